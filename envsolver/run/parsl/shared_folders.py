"""What a job needs of the folders that a cluster's nodes share, looked for on its node.

A notebook is not to blame for what its node does not see: its job raises then, and is run elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from envsolver.core.errors import UnfitPlaceError
from envsolver.core.jobs import Job
from envsolver.core.results import Result


class Place(NamedTuple):
    """The node on which a job is, and the number of its block."""

    node: str
    block: str


class _Wanted(NamedTuple):
    what: str
    path: Path
    remedy: str


def _wanted(job: Job) -> Iterator[_Wanted]:
    yield _Wanted(
        "the run's folder",
        Path(job.run_dir),
        "it must be on a file system that all nodes see; --run-dir says where it is",
    )
    yield _Wanted(
        "the notebook",
        Path(job.root, job.notebook),
        'the project must be on a file system that all nodes see, or be sent to them (project = "send" in the profile)',
    )
    if job.binding.prefix:
        yield _Wanted(
            "the environment's Python",
            Path(job.binding.prefix, "bin", "python"),
            "all nodes must see the profile's `environments` and the Python that they were made with, "
            "or build them themselves (node-environments = true)",
        )


def look(job: Job, place: Place) -> None:
    """Look for what a job needs.

    Raises
    ------
    UnfitPlaceError
        The node does not see something of it.
    """
    for what, path, remedy in _wanted(job):
        try:
            path.stat()
        except OSError as error:
            leads = f", which leads to {path.readlink()}" if path.is_symlink() else ""
            words = f"node {place.node} does not see {what} {path}{leads} ({error.strerror}): {remedy}"
            raise UnfitPlaceError(words, place.block, str(path)) from error


def run_where_seen(run: Callable[[Job], Result], job: Job, place: Place) -> Result:
    """Run a job, unless its node does not see what it needs, and believe no failure on a node that lost that meanwhile.

    A pass stands, without the files that have gone with the run's folder.

    Raises
    ------
    UnfitPlaceError
        The job is to be run elsewhere.
    """
    look(job, place)
    folders = Path(job.run_dir), Path(job.root)
    before = [_identity(each) for each in folders]
    result = run(job)
    gone = [each for each, seen in zip(folders, before, strict=True) if _identity(each) != seen]
    if not result.good:
        look(job, place)
        if gone:
            words = f"node {place.node} has lost sight of {gone[0]} while the notebook ran"
            raise UnfitPlaceError(words, place.block, str(gone[0]))
    elif folders[0] in gone:
        lost = f"its executed copy is lost: node {place.node} does not see the run's folder any more"
        return replace(result, executed="", log="", reason="; ".join(filter(None, [result.reason, lost])))
    return result


def _identity(folder: Path) -> int | None:
    """Return what tells a folder from another one that has taken its place; None when it is not there."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None
