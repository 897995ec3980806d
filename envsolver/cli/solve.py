"""The commands of the solver: `solve`, `lock`, `init`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envsolver.cli import completion, options
from envsolver.core.errors import ConfigurationError, NothingToRunError, UnsolvableError
from envsolver.report.formatting import json_text

if TYPE_CHECKING:
    from envsolver.core.environments import Group
    from envsolver.resolver.compatibility import SolveReport
    from envsolver.run.project import Project

_LOCKED = (
    "This command locks requirements/*.in files, unless lock = false. Groups of extras and dependency groups take"
    ' their versions from what `uv lock` writes: set lock = "uv.lock" in their tables.'
)
_SPELT = "See how it is spelt in the locks, which are written; --upgrade takes the name of one package."


@click.command("solve")
@options.pythons
@options.groups
@click.option("--upgrade", is_flag=True, help="Ask uv again, whatever is remembered.")
@click.option("--resolution", type=click.Choice(["highest", "lowest", "lowest-direct"]), help="Versions to prefer.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@options.build
@click.argument("notebooks", nargs=-1, shell_complete=completion.notebooks, metavar="[NOTEBOOK]...")
@click.pass_obj
def solve_command(
    directory: Path,
    /,
    *,
    notebooks: tuple[str, ...],
    groups: tuple[str, ...],
    pythons: tuple[str, ...],
    upgrade: bool,
    resolution: str | None,
    as_json: bool,
    build: bool,
) -> int:
    """Say whether each group solves, and which groups could share an environment; if not, why.

    Without any configuration, the groups are those that the NOTEBOOKs imply.
    """
    from envsolver.environments.sizes import package_sizes
    from envsolver.resolver.compatibility import GroupExamination, to_json
    from envsolver.run.project import open_project

    project = open_project(directory, upgrade=upgrade, resolution=resolution, build=build)
    interpreters, left_out = project.pythons(pythons)
    found, remarks = _groups(project, notebooks, groups, directory, pythons)
    if not found:
        raise NothingToRunError("there is nothing to solve", tip="`envsolver list` says why no notebook has a group.")
    report = GroupExamination(
        root=project.root,
        uv=project.uv,
        cache=project.solutions,
        terms=project.terms,
        sizes=lambda lock: package_sizes(project.store.prefix_for(lock)),
        upgrade=upgrade,
    ).examine(found, tuple(interpreters.values()))
    if as_json:
        click.echo(json_text({**to_json(report), "remarks": remarks}))
    else:
        _print_examination(report, remarks, left_out)
    return 0 if report.good else UnsolvableError.exit_code


def _print_examination(report: SolveReport, remarks: Sequence[str], left_out: Sequence[tuple[str, str]]) -> None:
    from envsolver.cli.tables import print_table
    from envsolver.resolver.compatibility import group_rows, pair_rows

    print_table(("group", "python", "outcome"), group_rows(report))
    if report.pairs:
        click.echo()
        print_table(("groups", "one environment?"), pair_rows(report))
    for remark in remarks:
        click.echo(f"\n{remark}")
    for version, reason in left_out:
        click.echo(f"\nPython {version} was left out: {reason}")
    click.echo(f"\nasked uv {report.calls} times, {report.seconds:.1f} s")


@click.command("lock")
@options.groups
@click.option("--check", "only_check", is_flag=True, help="Write nothing; fail when a lock is missing or stale.")
@click.option(
    "--upgrade",
    is_flag=False,
    flag_value="*",
    metavar="[PACKAGE]",
    help="Move everything, or this package, to the newest versions that fit.",
)
@click.option("-P", "--upgrade-package", "packages", multiple=True, metavar="PACKAGE", help="Move only this package.")
@options.build
@click.pass_obj
def lock_command(
    directory: Path,
    /,
    *,
    groups: tuple[str, ...],
    only_check: bool,
    upgrade: str | None,
    packages: tuple[str, ...],
    build: bool,
) -> int:
    """Write `requirements/<group>.txt`: each group solved for all platforms and Pythons, with hashes."""
    from envsolver.resolver.groups import read_groups
    from envsolver.resolver.lockfiles import check, lock_path, may_lock, not_locked, write_lock
    from envsolver.run.project import open_project

    project = open_project(directory)
    known = read_groups(project.config)
    chosen = [group for group in _named(known, groups) if may_lock(project.config, group)]
    if not chosen:
        raise NothingToRunError("there is no group to lock", tip=_LOCKED)
    if only_check:
        check(project.config, chosen)
        click.echo(f"{len(chosen)} locks are fresh")
        return 0
    interpreter = next(iter(project.pythons()[0].values()))
    named = (*packages, *([upgrade] if upgrade not in {None, "*"} else []))
    for group in chosen:
        changed = write_lock(
            project.config,
            group,
            interpreter,
            uv=project.uv,
            build=build,
            upgrade=upgrade == "*",
            upgrade_packages=named,
        )
        click.echo(f"{lock_path(group)}: {'written' if changed else 'unchanged'}")
    if unknown := not_locked([project.root / lock_path(group) for group in chosen], named):
        raise ConfigurationError([f"no lock has a package {name}" for name in unknown], tip=_SPELT)
    return 0


@click.command("init")
@options.build
@click.argument("notebooks", nargs=-1, shell_complete=completion.notebooks, metavar="[NOTEBOOK]...")
@click.pass_obj
def init_command(directory: Path, /, *, notebooks: tuple[str, ...], build: bool) -> int:
    """Write the configuration and the requirement files that the notebooks imply, for a person to edit."""
    from envsolver.resolver.scaffold import initial_configuration, initial_files, unplaced
    from envsolver.run.project import open_project
    from envsolver.run.resolution import resolve

    project = open_project(directory, build=build)
    if project.config.source:
        raise ConfigurationError(
            [f"{project.config.source} already configures envsolver"], tip="Edit it; `envsolver list` shows its effect."
        )
    resolution = resolve(project, patterns=notebooks, cwd=directory.absolute())
    groups = [resolution.groups[name] for name in sorted({a.group for a in resolution.assignments if a.group})]
    files = initial_files(groups, resolution.assignments)
    in_pyproject = (project.root / "pyproject.toml").exists()
    text = initial_configuration(
        groups,
        resolution.assignments,
        notebooks=_globs(notebooks, project.root, directory) or project.config.notebooks,
        python=tuple(dict.fromkeys(found.minor for found in resolution.interpreters.values())),
        table="tool.envsolver" if in_pyproject else "",
    )
    taken = [path for path in files if (project.root / path).exists()]
    if taken:
        raise ConfigurationError(
            [f"{path} is already there" for path in taken], tip="Move it, or write the configuration by hand."
        )
    for path, content in files.items():
        (project.root / path).parent.mkdir(parents=True, exist_ok=True)
        (project.root / path).write_text(content, encoding="utf-8")
        click.echo(f"wrote {path}")
    target = project.root / ("pyproject.toml" if in_pyproject else "envsolver.toml")
    before = target.read_text(encoding="utf-8").rstrip("\n") + "\n\n" if in_pyproject else ""
    target.write_text(before + text, encoding="utf-8")
    click.echo(f"wrote {target.relative_to(project.root)}" + (", [tool.envsolver]" if in_pyproject else ""))
    for remark in resolution.remarks:
        click.echo(remark)
    for assignment in unplaced(resolution.assignments):
        click.echo(f"not placed: {assignment.notebook}: {assignment.reason}")
    return 0


def _groups(
    project: Project, notebooks: tuple[str, ...], names: tuple[str, ...], directory: Path, pythons: tuple[str, ...]
) -> tuple[list[Group], tuple[str, ...]]:
    """Return the groups to solve, and what is to be said of those that the notebooks imply."""
    from envsolver.resolver.groups import read_groups
    from envsolver.run.resolution import resolve

    known = read_groups(project.config)
    if known:
        # What somebody else has built is not solved for.
        return [group for group in _named(known, names) if not group.prefix], ()
    resolution = resolve(project, patterns=notebooks, cwd=directory.absolute(), pythons=pythons)
    return _named(dict(resolution.groups), names), resolution.remarks


def _named(known: dict[str, Group], names: tuple[str, ...]) -> list[Group]:
    from envsolver.resolver.groups import check_group_names

    check_group_names(names, known)
    return [known[name] for name in names or sorted(known)]


def _globs(notebooks: tuple[str, ...], root: Path, directory: Path) -> tuple[str, ...]:
    """Turn what was named on the command line into globs relative to the root."""
    found = []
    for pattern in notebooks:
        path = (directory.absolute() / pattern).resolve()
        relative = path.relative_to(root.resolve()).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        found.append(f"{prefix}**/*.ipynb" if path.is_dir() else relative)
    return tuple(found)
