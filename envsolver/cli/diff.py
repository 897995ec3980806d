"""The command `diff`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envsolver.core.errors import NothingToRunError
from envsolver.core.paths import RUNS, STATE

if TYPE_CHECKING:
    from envsolver.run.difference import Changed, Difference

SUSPECTS = 5
"""How many packages are shown for a notebook."""
NAMED = 5
"""How many runs are named where one is not found."""


@click.command("diff")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.argument("before", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("after", type=click.Path(path_type=Path), metavar="RUN")
@click.pass_obj
def diff_command(directory: Path, /, *, before: Path, after: Path, as_json: bool) -> int:
    """Say what became different from one run to another, and which packages are the likeliest cause.

    RUN is a run's folder, its name in .envsolver/runs, its results.json, or a directory with a run's shards. The exit
    code is 1 when a notebook is newly broken.
    """
    from envsolver.report.formatting import json_text
    from envsolver.run.difference import compare, load_run
    from envsolver.run.project import open_project

    runs = open_project(directory).state / RUNS
    one, two = (load_run(_place(directory.absolute(), runs, run)) for run in (before, after))
    found = compare(one, two)
    click.echo(json_text(asdict(found)) if as_json else "\n".join(difference_lines(found)))
    return 1 if found.broken else 0


def _place(directory: Path, runs: Path, run: Path) -> Path:
    """Return where a run is that the command line names.

    Raises
    ------
    NothingToRunError
        Nothing is there.
    """
    place = directory / run
    if place.exists():
        return place
    if (runs / run).is_dir():
        return runs / run
    known = sorted((each.name for each in runs.glob("*") if each.is_dir() and not each.is_symlink()), reverse=True)
    tip = f"The newest in {STATE}/{RUNS}: {', '.join(known[:NAMED])}." if known else "Nothing has run here yet."
    raise NothingToRunError(f'no run is called "{run}", and there is no such folder', tip=tip)


def difference_lines(found: Difference) -> Iterator[str]:
    """Yield what became different, a line each."""
    yield f"newly broken: {len(found.broken)}"
    for each in found.broken:
        yield f"  {_titled(each)}: {each.after}, was {each.before}: {_beginning(each.reason)}"
        for suspect in each.suspects[:SUSPECTS]:
            yield f"      {suspect.change}: {suspect.why}"
        if len(each.suspects) > SUSPECTS:
            yield f"      and {len(each.suspects) - SUSPECTS} more packages differ"
        if not each.suspects:
            yield "      no package is known to differ: look at the notebook, the project and its data"
    yield f"newly mended: {len(found.mended)}"
    for each in found.mended:
        yield f"  {_titled(each)}: {each.after}, was {each.before}: {_beginning(each.reason)}"
    yield f"slower: {len(found.slower)}"
    for slow in found.slower:
        yield f"  {slow.notebook} ({slow.group}, Python {slow.python}): {slow.before:.1f} s -> {slow.after:.1f} s"
    for name, notebooks in (("first", found.only_before), ("second", found.only_after)):
        if notebooks:
            yield f"only in the {name} run: {', '.join(notebooks)}"


def _titled(each: Changed) -> str:
    return f"{each.notebook} ({each.group}, Python {each.python})"


def _beginning(text: str) -> str:
    """Return a reason's first line, and the second where the first only leads to it."""
    first, *others = text.split("\n", 2)
    return " ".join([first, *others[:1]]) if first.endswith(":") else first
