"""The command `run`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from envsolver.cli import completion
from envsolver.cli.coverage import coverage_options, covering
from envsolver.cli.options import output, selection, versions
from envsolver.cli.streams import GuardedStream
from envsolver.core.errors import ConfigurationError
from envsolver.core.paths import HISTORY, STATE

if TYPE_CHECKING:
    from typing_extensions import Unpack  # no library of ours: it comes with the type checker

    from envsolver.core.progress import Progress
    from envsolver.core.results import Run
    from envsolver.run.options import Options
    from envsolver.run.parsl.prestart import ParslPrestart
    from envsolver.run.project import Project
    from envsolver.run.scheduler.policy import Order

PATIENCE = 5.0
"""Seconds in which a second request to stop is taken for the first: a run ends by itself within them."""


class Choices(TypedDict):
    """What the command line says of how notebooks are run."""

    resolution: str | None
    more: tuple[str, ...]
    prerelease: bool
    indexes: tuple[str, ...]
    upgrade: bool
    groups: tuple[str, ...]
    expression: str | None
    last_failed: bool
    pythons: tuple[str, ...]
    workers: int | None
    failfast: bool
    sequential: bool
    retries: int
    fail_on_flaky: bool
    timeout: float | None
    order: Order | None
    cold: bool
    verify_warm: float
    monitor: bool
    run_dir: Path | None
    since: str | None
    rerun: bool
    verify: float
    shard: str | None
    times: Path | None
    cov: tuple[str, ...]
    cov_branch: bool
    cov_config: Path | None
    cov_append: bool


def percentage(_: click.Context, __: click.Parameter, value: str) -> float:
    """Return the number of a text such as ``10%``; the sign may be missing."""
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        number = -1
    if not 0 <= number <= 100:  # noqa: PLR2004  # percent
        message = f"{value!r} is no percentage from 0% to 100%."
        raise click.BadParameter(message)
    return number


@click.command("run")
@selection
@click.option("-n", "--workers", type=click.IntRange(min=1), metavar="N", help="Jobs at once; default: the cores.")
@click.option("-x", "--failfast", is_flag=True, help="Stop at the first notebook that does not pass.")
@click.option("--sequential", is_flag=True, help="Run one notebook at a time, without Parsl.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Run a notebook that does not pass up to N more times.",
)
@click.option("--fail-on-flaky", is_flag=True, help="Fail a notebook that passes at a later attempt only.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Limit for a whole notebook, over every setting.",
)
@click.option(
    "--order",
    type=click.Choice(["longest", "shortest", "failed", "name"]),
    help="What starts first; default: longest, with --failfast: failed.",
)
@versions
@click.option("--cold", is_flag=True, help="Start every kernel anew, none from a template with packages imported.")
@click.option(
    "--verify-warm",
    default="0%",
    callback=percentage,
    metavar="N%",
    help="Run a sample of what passes in a warm kernel again in a cold one, and fail what shows something else.",
)
@click.option(
    "-k",
    "expression",
    metavar="EXPRESSION",
    help="Only what it names, such as 'core and not slow': words are parts of paths and groups.",
)
@click.option("--last-failed", "--lf", is_flag=True, help="Only what did not pass the last time; all if all passed.")
@click.option("--dry-run", is_flag=True, help="Show what would run where, in which order and how long; run nothing.")
@click.option(
    "--verify",
    default="0%",
    callback=percentage,
    metavar="N%",
    help="Run a sample of the notebooks that are cached all the same; one that does not pass fails the run.",
)
@click.option(
    "--since",
    metavar="COMMIT",
    help="Without a history: only what may depend on what git says changed since a commit; the others are skipped.",
)
@click.option("--rerun", is_flag=True, help="Run all, also those of which nothing changed since they passed.")
@click.option("--monitor", is_flag=True, help="Have Parsl measure the run, into parsl/monitoring.db of its folder.")
@click.option(
    "--profile",
    metavar="NAME",
    envvar="ENVSOLVER_PROFILE",
    shell_complete=completion.profiles,
    help="Where notebooks run; default: local, this machine.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder for what the run leaves; default: one named after the time, in .envsolver/runs.",
)
@click.option(
    "--shard",
    metavar="I/N|auto",
    help="Run the I-th of N parts, for several machines; `auto` asks the job array. Join them with `merge`.",
)
@click.option(
    "--times",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --shard: a history, results.json or run folder with the notebooks' times, the same for all shards.",
)
@covering
@click.option("--watch", is_flag=True, help="Stay, and after each save run what depends on the saved file.")
@output
@click.pass_obj
def run_command(
    directory: Path,
    /,
    *,
    notebooks: tuple[str, ...],
    strategy: str | None,
    profile: str | None,
    dry_run: bool,
    watch: bool,
    color: bool | None,
    quiet: bool,
    verbose: bool,
    **choices: Unpack[Choices],
) -> int:
    """Run notebooks as tests.

    NOTEBOOK is a path, a directory, a glob or the name of a test file such as tb_quickstart; without any, all that
    the configuration names are run.
    """
    start = None if choices["sequential"] or dry_run or watch else _prestart(directory, choices)
    from envsolver.report.live import make_progress
    from envsolver.run.workflow import run

    _stop_like_interrupt()
    cwd = directory.absolute()

    def opened() -> tuple[Project, Options]:
        project = _open(directory, choices, strategy=strategy, build=not dry_run)
        names, project = _resolve_names(notebooks, project, cwd)
        return project, _options(names, choices, cwd, project.root)

    if watch:
        return _watch(opened, partial(make_progress, sys.stdout, color=color, quiet=quiet, verbose=verbose), cwd)
    project, options = opened()
    project, options = _on_cluster(project, options, profile, start)
    if dry_run:
        return _print_plan(project, options, cwd)
    progress = make_progress(sys.stdout, color=color, quiet=quiet, verbose=verbose)
    finished, status = run(project, options, progress, cwd=cwd, start=start)
    _tell_github(finished, project.root)
    _print_report(finished, color=color, quiet=quiet)
    return status


def _watch(opened: Callable[[], tuple[Project, Options]], make_progress: Callable[[], Progress], cwd: Path) -> int:
    from dataclasses import replace

    given = click.get_current_context().params
    if others := [
        f"--{name.replace('_', '-')}" for name in ("dry_run", "profile", "run_dir", "shard", "cov") if given[name]
    ]:
        raise ConfigurationError([f"--watch does not go with {others[0]}"])
    from envsolver.report.text import verdict_lines
    from envsolver.run.watch import WatchSession, run_round, watch

    def round_of(session: WatchSession) -> str:
        project, options = opened()
        options = replace(options, rerun=options.rerun and not session.results)
        return run_round(session, project, options, make_progress(), cwd=cwd)

    def show(session: WatchSession) -> None:
        click.echo("\n".join([*verdict_lines(session.results.values()), "waiting for a save; Ctrl-C ends"]))

    return watch(round_of, opened()[0].root, show, partial(click.echo, err=True))


def _resolve_names(notebooks: tuple[str, ...], project: Project, cwd: Path) -> tuple[tuple[str, ...], Project]:
    """Take a name such as tb_quickstart for its test file's notebook, with that file's settings."""
    if not notebooks:
        return notebooks, project
    from dataclasses import replace

    from envsolver.testing.generate import resolve_names

    config = project.config
    notebooks, config = resolve_names(config, notebooks, cwd=cwd, directory=config.booktests)
    return notebooks, replace(project, config=config)


def _open(directory: Path, choices: Choices, *, strategy: str | None, build: bool) -> Project:
    """Open the project, with the versions that the command line asks for."""
    from envsolver.run.project import Tomorrow, open_project

    tomorrow = Tomorrow(more=choices["more"], prerelease=choices["prerelease"], indexes=choices["indexes"])
    return open_project(
        directory,
        strategy=strategy,
        resolution=choices["resolution"],
        upgrade=choices["upgrade"],
        build=build,
        tomorrow=tomorrow,
    )


def _print_plan(project: Project, options: Options, cwd: Path) -> int:
    """Print what a run would do; the exit code is 0 when all of it could run."""
    from envsolver.cli.tables import print_table
    from envsolver.core.profiles import LOCAL
    from envsolver.core.quantities import duration
    from envsolver.resolver.locks import NOT_BUILT
    from envsolver.run.options import worker_count
    from envsolver.run.workflow import plan

    made = plan(project, options, cwd=cwd)
    states = dict.fromkeys(made.missing, "to be built")
    for target, fault in made.faults.items():
        states[target] = "to be solved" if NOT_BUILT in fault.message else "cannot be had"
    several = bool(options.placement.clusters)
    rows = []
    for number, job in enumerate(made.jobs, 1):
        seconds = made.costs[job.id].seconds if job.id in made.costs else None
        time = "?" if seconds is None else duration(seconds)
        state = states.get(job.target, "ready")
        place = f"{state}, {job.profile or LOCAL}" if several else state
        rows.append((str(number), job.notebook, job.group, job.python, time, place))
    rows += [
        ("-", each.notebook, each.group, each.python, "", f"{each.status}: {each.reason}") for each in made.settled
    ]
    print_table(("", "notebook", "group", "python", "time", "environment, profile" if several else "environment"), rows)
    for target, fault in made.faults.items():
        click.echo(f"\n{target.group}, Python {target.python}: {fault.message}", err=True)
    whole = "" if made.seconds is None else f", about {duration(made.seconds)}"
    click.echo(f"\n{len(made.jobs)} would run, {worker_count(options)} at once{whole}; nothing was run.")
    return 1 if "cannot be had" in states.values() else 0


def _prestart(directory: Path, choices: Choices) -> ParslPrestart:
    """Start Parsl's programs before anything else is imported, unless it may be that nothing has changed.

    They end with the command.
    """
    from envsolver.run.parsl.prestart import ParslPrestart

    start = ParslPrestart(monitor=choices["monitor"])
    click.get_current_context().call_on_close(start.stop)
    folder = directory.absolute()
    if choices["rerun"] or not any((place / STATE / HISTORY).exists() for place in (folder, *folder.parents)):
        start.begin()
    return start


def _on_cluster(
    project: Project, options: Options, name: str | None, start: ParslPrestart | None
) -> tuple[Project, Options]:
    """Return the project and the options of a run with profiles, whose environments the nodes must see."""
    if name is None and all(group.profile is None for group in project.config.groups.values()):
        return project, options
    from dataclasses import replace

    if start is not None:
        start.wait()  # Parsl's packages cannot be imported by two threads at once
    from envsolver.run.profiles import choose_placement, environments_folder

    placement = choose_placement(project.config, name, options.groups)
    if (folder := environments_folder(placement)) is not None:
        project = replace(project, cache=folder)
    return project, replace(options, placement=placement)


def _options(notebooks: tuple[str, ...], choices: Choices, cwd: Path, root: Path) -> Options:
    from envsolver.run.options import Options
    from envsolver.run.shards import parse_shard

    shard, times = choices["shard"], choices["times"]
    if shard is None and times is not None:
        raise ConfigurationError(["--times needs --shard"])
    return Options(
        patterns=notebooks,
        groups=choices["groups"],
        expression=choices["expression"],
        last_failed=choices["last_failed"],
        pythons=choices["pythons"],
        workers=choices["workers"],
        failfast=choices["failfast"],
        sequential=choices["sequential"],
        retries=choices["retries"],
        fail_on_flaky=choices["fail_on_flaky"],
        timeout=choices["timeout"],
        order=choices["order"],
        since=choices["since"],
        rerun=choices["rerun"],
        verify=choices["verify"],
        cold=choices["cold"],
        verify_warm=choices["verify_warm"],
        monitor=choices["monitor"],
        directory=None if choices["run_dir"] is None else (cwd / choices["run_dir"]).resolve(),
        shard=None if shard is None else parse_shard(shard, os.environ),
        times=None if times is None else cwd / times,
        coverage=coverage_options(
            choices["cov"],
            branch=choices["cov_branch"],
            config=choices["cov_config"],
            append=choices["cov_append"],
            root=root,
            cwd=cwd,
        ),
    )


def _stop_like_interrupt() -> None:
    """Let a polite request to end (a CI system's, a batch scheduler's) do what Ctrl-C does.

    A second request within `PATIENCE` seconds means the same, and the report shows what was finished.
    """
    asked = -PATIENCE

    def interrupt(*_: object) -> None:
        nonlocal asked
        if time.monotonic() - asked < PATIENCE:
            return
        asked = time.monotonic()
        raise KeyboardInterrupt

    for request in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(request) is not signal.SIG_IGN:
            signal.signal(request, interrupt)


def _tell_github(finished: Run, root: Path) -> None:
    from envsolver.report.github import write_github

    write = sys.stdout.write_commands if isinstance(sys.stdout, GuardedStream) else sys.stdout.write
    try:
        write_github(finished, os.environ, write, root=root)
    except OSError as error:
        click.echo(f"envsolver: the step's summary cannot be written: {error}", err=True)


def _print_report(finished: Run, *, color: bool | None, quiet: bool) -> None:
    from envsolver.report.live import use_color
    from envsolver.report.text import report_lines

    lines = report_lines(finished, color=use_color(sys.stdout, color))
    click.echo("\n".join(lines[-1:] if quiet and all(r.good for r in finished.results) else lines), color=True)
