"""The command line: it reads what is asked, calls the stages, prints, and turns errors into exit codes.

Imports stand inside the commands, so that `envsolver --help` costs next to nothing.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from envsolver import __version__
from envsolver.cli.booktests import check_command, generate_command, schema_command
from envsolver.cli.report import history_command, merge_command, report_command
from envsolver.cli.solve import init_command, lock_command, solve_command
from envsolver.cli.tables import print_table
from envsolver.core.errors import ConfigurationError, EnvsolverError

if TYPE_CHECKING:
    from envsolver.core.results import Run
    from envsolver.environments.store import Entry
    from envsolver.run.project import Project

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_INTERRUPTED = 130

PATIENCE = 5.0
"""Seconds in which a second request to stop is taken for the first: a run ends by itself within them."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Parameters
    ----------
    arguments
        Without the program's name; None for those of the process.
    """
    _write_any_text()
    try:
        code = cli.main(args=arguments, prog_name="envsolver", standalone_mode=False)
        status = code if isinstance(code, int) else 0
    except EnvsolverError as error:
        _say_error(error)
        status = error.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("envsolver: interrupted", err=True)
        status = EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  lasts to the end
        status = 1
    _leave(status)


def _write_any_text() -> None:
    """Have what the output's encoding cannot hold, such as a file's name that is no text, written escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave(status: int) -> NoReturn:
    if status == EXIT_INTERRUPTED:
        # What was worth keeping is written. Threads that wait for dead processes must not hold the exit up.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _say_error(error: EnvsolverError) -> None:
    red = "red" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else None
    click.secho("envsolver: error: ", fg=red, bold=red is not None, err=True, nl="\n" in error.message)
    click.echo(error.message, err=True)
    if error.tip:
        click.echo(error.tip, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="envsolver")
@click.option(
    "-C",
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Work on the project of this directory.",
)
@click.pass_context
def cli(context: click.Context, directory: Path) -> None:
    """Run a repository's Jupyter notebooks as tests, each in the environment that it needs."""
    context.obj = directory


def _selection(command: Command) -> Command:
    """Add the arguments that choose notebooks."""
    command = click.option(
        "--python", "pythons", multiple=True, metavar="VERSION", help="Python version, or `all`; repeatable."
    )(command)
    command = click.option(
        "-g", "--group", "groups", multiple=True, metavar="GROUP", help="Only this group; repeatable."
    )(command)
    return click.argument("notebooks", nargs=-1, metavar="[NOTEBOOK]...")(command)


def _output(command: Command) -> Command:
    """Add the options that say how much is shown."""
    command = click.option("-q", "--quiet", is_flag=True, help="Show failures and the last line only.")(command)
    command = click.option("-v", "--verbose", is_flag=True, help="Show each job's start as well.")(command)
    return click.option(
        "--color/--no-color", default=None, help="Colours; default: on a terminal, unless NO_COLOR is set."
    )(command)


@cli.command("run")
@_selection
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
@click.option(
    "--resolution",
    type=click.Choice(["highest", "lowest", "lowest-direct"]),
    help="Which versions the solver prefers; default: highest.",
)
@click.option("--cold", is_flag=True, help="Start every kernel anew, none from a template with packages imported.")
@click.option("--monitor", is_flag=True, help="Have Parsl measure the run, into parsl/monitoring.db of its folder.")
@click.option("--shard", metavar="I/N", help="Run the I-th of N parts, for several machines; join them with `merge`.")
@click.option(
    "--times",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --shard: a history, results.json or run folder with the notebooks' times, the same for all shards.",
)
@click.option("--upgrade", is_flag=True, help="Newest versions that fit, whatever locks and earlier solves say.")
@_output
@click.pass_obj
def run_command(
    directory: Path,
    /,
    *,
    notebooks: tuple[str, ...],
    groups: tuple[str, ...],
    pythons: tuple[str, ...],
    quiet: bool,
    verbose: bool,
    color: bool | None,
    resolution: str | None,
    upgrade: bool,
    shard: str | None,
    times: Path | None,
    **choices: Any,
) -> int:
    """Run notebooks as tests.

    NOTEBOOK is a path, a directory, a glob or the name of a test file such as tb_quickstart; without any, all that
    the configuration names are run.
    """
    from dataclasses import replace

    from envsolver.run.parsl.prestart import ParslPrestart

    start = None
    if not choices["sequential"]:
        start = ParslPrestart()
        click.get_current_context().call_on_close(start.stop)
    from envsolver.report.live import make_progress
    from envsolver.run.context import Options
    from envsolver.run.project import open_project
    from envsolver.run.workflow import run

    _stop_like_interrupt()
    project = open_project(directory, resolution=resolution, upgrade=upgrade)
    if notebooks:
        from envsolver.testing.generate import resolve_names

        # A name such as tb_quickstart stands for its test file's notebook, with that file's settings.
        config = project.config
        notebooks, config = resolve_names(config, notebooks, cwd=directory.absolute(), directory=config.booktests)
        project = replace(project, config=config)
    part = _shard(shard, times, directory)
    options = Options(patterns=notebooks, groups=groups, pythons=pythons, **part, **choices)
    progress = make_progress(sys.stdout, color=color, quiet=quiet, verbose=verbose)
    finished, status = run(project, options, progress, cwd=directory.absolute(), start=start)
    _print_report(finished, color=color, quiet=quiet)
    return status


def _shard(shard: str | None, times: Path | None, directory: Path) -> dict[str, Any]:
    """Read which part of the notebooks is wanted."""
    if shard is None:
        if times is not None:
            raise ConfigurationError(["--times needs --shard"])
        return {}
    from envsolver.run.shards import parse_shard

    return {"shard": parse_shard(shard), "times": times and directory.absolute() / times}


def _stop_like_interrupt() -> None:
    """Let a polite request to end (a CI system's, a batch scheduler's) do what Ctrl-C does.

    Whoever asks again within `PATIENCE` seconds means the same, and gets the report of what was finished.
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


def _print_report(finished: Run, *, color: bool | None, quiet: bool) -> None:
    from envsolver.report.live import use_color
    from envsolver.report.text import report_lines

    lines = report_lines(finished, color=use_color(sys.stdout, color))
    click.echo("\n".join(lines[-1:] if quiet and all(r.good for r in finished.results) else lines), color=True)


@cli.command("list")
@_selection
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_obj
def list_command(
    directory: Path, /, *, notebooks: tuple[str, ...], groups: tuple[str, ...], pythons: tuple[str, ...], as_json: bool
) -> int:
    """Show each notebook's group, and why it belongs there."""
    from envsolver.run.project import open_project
    from envsolver.run.resolution import resolve

    project = open_project(directory)
    resolution = resolve(project, patterns=notebooks, cwd=directory.absolute(), pythons=pythons)
    rows = [a for a in resolution.assignments if not groups or a.group in groups]
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
        return 0
    shown = [(row.notebook, row.group or f"({row.verdict})", row.reason or row.why) for row in rows]
    print_table(("notebook", "group", "why"), shown)
    for remark in resolution.remarks:
        click.echo(f"\n{remark}")
    for (group, version), fault in resolution.faults.items():
        click.echo(f"\n{group}, Python {version}: {fault.message}", err=True)
    return 0


@cli.command("sync")
@click.option("--python", "pythons", multiple=True, metavar="VERSION", help="Python version, or `all`; repeatable.")
@click.option("-g", "--group", "groups", multiple=True, metavar="GROUP", help="Only this group; repeatable.")
@click.option("--upgrade", is_flag=True, help="Solve anew, to the newest versions that fit.")
@click.pass_obj
def sync_command(directory: Path, /, *, groups: tuple[str, ...], pythons: tuple[str, ...], upgrade: bool) -> int:
    """Solve the groups and build their environments, without running anything."""
    from envsolver.run.project import open_project
    from envsolver.run.sync import sync

    project = open_project(directory, upgrade=upgrade)
    rows = [
        (
            e.group,
            e.python,
            str(len(e.packages)),
            f"{'built' if e.built else 'cached'} in {e.seconds:.2f} s",
            str(e.prefix),
        )
        for e in sync(project, groups=groups, pythons=pythons)
    ]
    print_table(("group", "python", "packages", "", "environment"), rows)
    return 0


@cli.command("clean")
@click.option("--all", "everything", is_flag=True, help="Evict every environment that no live run uses.")
@click.option(
    "--unused-days", type=click.IntRange(min=0), metavar="DAYS", help="Evict what was not used for so many days."
)
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="Evict the environment with this key, or its beginning."
)
@click.pass_obj
def clean_command(directory: Path, /, *, everything: bool, unused_days: int | None, keys: tuple[str, ...]) -> int:
    """Show what the environment cache holds; with an option, evict from it.

    Only directories that carry envsolver's tag are ever removed.
    """
    from envsolver.run.project import open_project

    project = open_project(directory)
    entries = project.store.entries()
    _print_cache(project, entries)
    chosen = _evictable(entries, everything=everything, unused_days=unused_days, keys=keys)
    if chosen:
        removed = project.store.evict(chosen)
        freed = sum(entry.size for entry in removed)
        click.echo(f"evicted {len(removed)} of {len(chosen)}, {_megabytes(freed)}")
        for entry in chosen:
            if entry not in removed:
                click.echo(f"kept {entry.directory.name}: a live run uses it", err=True)
    return 0


def _evictable(
    entries: Sequence[Entry], *, everything: bool, unused_days: int | None, keys: Sequence[str]
) -> list[Entry]:
    import time

    for key in keys:
        if not any(entry.directory.name.startswith(key) for entry in entries):
            raise ConfigurationError([f"--key {key}: the cache holds no such environment"])
    oldest = None if unused_days is None else time.time() - unused_days * 86400
    return [
        entry
        for entry in entries
        if everything
        or (oldest is not None and entry.used < oldest)
        or any(entry.directory.name.startswith(key) for key in keys)
    ]


def _print_cache(project: Project, entries: Sequence[Entry]) -> None:
    from datetime import datetime, timezone

    def day(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M")

    rows = [
        (
            entry.directory.name,
            entry.group,
            entry.python,
            str(entry.packages),
            _megabytes(entry.size),
            day(entry.used),
            "in use" if entry.in_use else "" if entry.complete else "incomplete",
        )
        for entry in entries
    ]
    print_table(("key", "group", "python", "packages", "size", "last used", ""), rows)
    total = sum(entry.size for entry in entries)
    click.echo(f"{len(entries)} environments, {_megabytes(total)}, in {project.store.directory}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


for _command in (
    *(solve_command, lock_command, init_command),
    *(report_command, history_command, merge_command),
    *(generate_command, check_command, schema_command),
):
    cli.add_command(_command)


if __name__ == "__main__":
    main()
