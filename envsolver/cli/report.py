"""The commands about runs that have ended: `report`, `history`, `merge`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envsolver.cli import completion
from envsolver.cli.options import strategy
from envsolver.core.errors import NothingToRunError
from envsolver.core.paths import RUNS, history_name
from envsolver.core.quantities import size


@click.command("report")
@click.option("--no-open", is_flag=True, help="Build the report, but open no browser.")
@click.argument("run", required=False, metavar="[RUN]", shell_complete=completion.runs, type=click.Path(path_type=Path))
@click.pass_obj
def report_command(directory: Path, /, *, run: Path | None, no_open: bool) -> int:
    """Rebuild the HTML report of a run (the newest, or the folder RUN) and open it."""
    from envsolver.report.html import write_html
    from envsolver.report.results_json import read_results
    from envsolver.report.summaries import strategies_of
    from envsolver.run.directories import newest_run
    from envsolver.run.history import History
    from envsolver.run.project import open_project

    project = open_project(directory)
    folder = _run_folder(project.state, run) if run is not None else newest_run(project.state)
    if folder is None:
        raise NothingToRunError("there is no run yet", tip="`envsolver run` makes one.")
    finished = read_results(folder)
    history = History(project.state / history_name(strategies_of(finished)))
    path = write_html(
        finished,
        expected=history.expected(before=finished.started),
        conflicts=finished.conflicts,
    )
    click.echo(str(path))
    if not no_open:
        click.launch(path.as_uri())
    if finished.state == "complete" and not finished.not_run:
        return 0
    names = ", ".join(finished.not_run) or "none"
    click.echo(f"{finished.stopped or 'The run has not come to its end'}; not run: {names}", err=True)
    return 1


def _run_folder(state: Path, run: Path) -> Path:
    """Take a run's folder by its path, or by its name below the project's runs."""
    for candidate in (run, state / RUNS / run):
        if candidate.is_dir():
            return candidate.resolve()
    raise NothingToRunError(f"there is no run {run}", tip=f"The runs are the folders in {state / RUNS}.")


@click.command("history")
@click.option("--by", type=click.Choice(["time", "memory", "flaky", "name"]), default="time", show_default=True)
@click.option(
    "--flaky", is_flag=True, help="Only notebooks that passed and did not pass, with nothing changed between."
)
@strategy
@click.pass_obj
def history_command(directory: Path, /, *, by: str, flaky: bool, strategy: str | None) -> int:
    """Show what is remembered of each notebook: its time, its memory, its last verdict, and whether it is flaky."""
    from envsolver.cli.tables import print_table
    from envsolver.run.project import open_project

    records = open_project(directory, strategy=strategy).history.records()
    if not records:
        raise NothingToRunError("there is no history yet", tip="`envsolver run` makes it.")
    keys = {
        "time": lambda r: -(r.seconds or 0),
        "memory": lambda r: -(r.memory or 0),
        "flaky": lambda r: not r.flaky,
        "name": lambda r: r.notebook,
    }
    rows = [
        (
            r.notebook,
            r.group,
            r.python,
            str(r.runs),
            "" if r.seconds is None else f"{r.seconds:.1f} s",
            size(r.memory),
            r.last,
            "flaky" if r.flaky else "",
        )
        for r in sorted(records, key=keys[by])
        if r.flaky or not flaky
    ]
    print_table(("notebook", "group", "python", "runs", "median", "peak", "last", ""), rows)
    return 0


@click.command("merge")
@click.argument("places", nargs=-1, required=True, metavar="RUN...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the merged run; default: a new one among the project's runs.",
)
@click.option("--color/--no-color", default=None, help="Colours; default: on a terminal, unless NO_COLOR is set.")
@click.pass_obj
def merge_command(directory: Path, /, *, places: tuple[Path, ...], output: Path | None, color: bool | None) -> int:
    """Join the results of a run's shards into one results.json, junit.xml and report.html, and their histories.

    RUN is a run's folder, its results.json, or a directory that holds such folders, such as a downloaded artifact.
    """
    from envsolver.report.html import write_html
    from envsolver.report.junit import write_junit
    from envsolver.report.live import use_color
    from envsolver.report.results_json import write_results
    from envsolver.report.text import report_lines
    from envsolver.run.directories import new_run_directory, prepare_state
    from envsolver.run.merge import find_histories, find_runs, merge, ran_again, verify
    from envsolver.run.passes import Passes
    from envsolver.run.project import open_project

    named = [directory / place for place in places]
    runs = find_runs(named, without=output and directory / output)
    for run in ran_again(runs):
        click.echo(f"{run.directory}: shard {run.shard} did not come to its end, and ran again; left out", err=True)
        runs = tuple(other for other in runs if other is not run)
    verify(runs)  # before a folder is made
    project = open_project(directory)
    target = directory / output if output else new_run_directory(prepare_state(project.state) / RUNS)
    merged = merge(runs, target.absolute())
    write_results(merged)
    write_junit(merged)
    write_html(merged, conflicts=merged.conflicts)
    ran = {result.strategy for result in merged.results} & {"", *project.config.strategies}
    for name in sorted(map(history_name, ran)):
        own = (project.state / name).resolve()
        for history in find_histories(named, runs, name):
            if history != own and not Passes(own).absorb(history):
                click.echo(f"{history}: is no history of this version; what it knows is left out", err=True)
    click.echo("\n".join(report_lines(merged, color=use_color(sys.stdout, color))), color=True)
    whole = merged.state == "complete" and not merged.not_run
    return 0 if whole and all(result.good for result in merged.results) else 1
