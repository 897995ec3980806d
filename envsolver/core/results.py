"""The values that cross from one stage to the next: frozen, keyword-only, and nothing else.

This module imports nothing of ours and nothing heavy, because the worker imports it on the far side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from envsolver.core.environments import Environment
from envsolver.core.fingerprints import Reading
from envsolver.core.verdicts import GOOD, Verdict

RunState: TypeAlias = Literal["running", "complete", "interrupted"]
"""Whether a run came to its end. One that reads `running` and runs no more was killed."""


class ResultKey(NamedTuple):
    """What a result is of: a notebook in a group, on a Python version."""

    notebook: str
    group: str
    python: str


class BlockKey(NamedTuple):
    """Which block: schedulers of two profiles may call theirs by the same name."""

    profile: str
    name: str


VOID = "void"
"""With which the warm verdict of an attempt begins that says nothing, since its kernel's modules might differ."""


AFTER_VOID = "(after a void attempt)"
"""Stands first among the modules of a notebook of which an attempt with more ahead was void."""

LEADING = "(leading imports)"
"""Stands for the modules of a notebook whose next kernel is to have ahead what its first cells import, and no more."""

NOTHING = "(nothing)"
"""Stands for the modules of a notebook whose next kernel is to have nothing ahead but what every kernel has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What went wrong in a notebook."""

    cell: int | None
    """Number of the cell, counted from 1 over all cells of the file; None when no cell is to blame."""
    ename: str
    evalue: str
    traceback: str = ""
    """As the kernel gave it, with its colour codes; may be empty."""
    source: str = ""
    """The cell's source as executed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellTime:
    """Seconds that one cell took; `cell` counts from 1 over all cells of the file."""

    cell: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class WarningPlace:
    """A line that warned while a notebook ran."""

    category: str
    """Name of the warning's class, with its module unless it is Python's own, such as ``DeprecationWarning``."""
    message: str
    """Text of the first warning that came from there."""
    path: str
    """File of the line, relative to the project's root, or to where modules are installed, such as ``numpy/_core.py``;
    empty for a cell of the notebook."""
    line: int
    cell: int | None = None
    """Number of the cell, as in `Failure`; None for a line of a file."""
    count: int = 1
    """How often it was seen to warn. Where Python shows a line's warning once, that is once."""
    hidden: bool = False
    """Whether Python shows it to nobody, as it does deprecations outside of a notebook's own cells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunWarning:
    """A line that warned in one or more of a run's notebooks."""

    category: str
    message: str
    """As in `WarningPlace`."""
    path: str
    """File of the line, as in `WarningPlace`; the notebook itself for a line of one of its cells."""
    line: int
    cell: int | None
    hidden: bool
    """As in `WarningPlace`."""
    count: int
    """How often it was seen to warn, over all notebooks."""
    notebooks: tuple[str, ...]
    """In which notebooks, sorted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a job, or of a notebook that never became one."""

    notebook: str
    group: str
    python: str
    status: Verdict
    """The verdict."""
    environment: str = ""
    strategy: str = ""
    """With which strategy it was had; empty for none."""
    started: str | None = None
    """ISO 8601 with a zone; None when nothing was started."""
    seconds: float = 0.0
    """Wall time of the job on its worker, kernel start included."""
    start_seconds: float = 0.0
    """The part of `seconds` until the first cell was sent."""
    peak_rss_bytes: int | None = None
    """Largest sum seen of the resident memory of the process tree; None when nothing ran."""
    worker: str = ""
    """Which worker ran it: ``worker 2`` on this machine, node, block and worker such as ``n1/0/1`` on a cluster."""
    node: str = ""
    block: str = ""
    """The cluster's node that it ran on, and the scheduler's name of the block; empty on this machine."""
    queued_seconds: float = 0.0
    """How long it waited on a cluster from when it was sent until a worker took it, mostly for a block to start."""
    reason: str = ""
    """One sentence for people; always present unless the verdict is a plain pass."""
    failure: Failure | None = None
    cells: tuple[CellTime, ...] = ()
    warnings: tuple[WarningPlace, ...] = ()
    warning_count: int = 0
    """The lines that warned while it ran, in order, the first 200 of them; and how many warnings all lines gave."""
    left_behind: tuple[str, ...] = ()
    left_behind_count: int = 0
    """Files that the notebook made, changed or deleted, relative to the project's root: the first ones, and how
    many."""
    isolation: str = ""
    """How the notebook was kept from the project: ``namespace`` or ``copies``; empty when it did not run."""
    executed: str = ""
    log: str = ""
    """The executed copy and the kernel's log, relative to the run's folder."""
    attempts: int = 1
    """How often it was run; a pass with more than one attempt says so in `reason`."""
    modules: tuple[str, ...] = ()
    """What the kernel had imported at the end of a pass, in order, when that was asked for and the notebook ran
    without edits: names of modules, and ``name=path`` for those from outside the environment."""
    warm: bool = False
    """Whether its kernel was forked from a template."""
    warm_verdict: str = ""
    """What a warm kernel said before, when the notebook did not pass in it and was run again in a cold one."""
    verified: bool = False
    """Whether a cold kernel was asked as well, and showed the same as the warm one in which it passed."""
    flaky: bool = False
    """Whether it passed and did not pass, with nothing changed between."""
    why: str = ""
    """Why it was run, as a phrase such as ``data/wall.csv changed``; empty where that was not asked."""
    reading: Reading | None = None
    """What it read, for its fingerprint; None when that is not known."""
    values: Mapping[str, object] | None = None
    """The notebook's variables at the end of a pass, as far as JSON can hold them; None when they were not asked for,
    or when the notebook had ended its kernel."""
    value_faults: Mapping[str, str] = field(default_factory=dict)
    """Why each of the other variables could not be given, as a phrase that continues "it"."""

    @property
    def key(self) -> ResultKey:
        """What it is the result of."""
        return ResultKey(self.notebook, self.group, self.python)

    @property
    def good(self) -> bool:
        """Whether this result leaves the run in order."""
        return self.status in GOOD


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """One notebook, and the shard that runs it, on all its Pythons."""

    notebook: str
    shard: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """Which part of a run that was split over several machines this is."""

    index: int
    count: int
    """Its number, counted from 1, and how many there are."""
    slices: tuple[Slice, ...]
    """The whole split, the other shards' parts included, so that what is lost or run twice can be found."""
    notebooks: tuple[str, ...]
    """Those of its part that it sets out to run."""

    def __str__(self) -> str:
        """Return it as the command line names it, such as ``2/4``."""
        return f"{self.index}/{self.count}"


BlockState: TypeAlias = Literal["queued", "running", "ended"]
"""What has become of a block."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """What a cluster's scheduler was asked for: nodes for a time. Times are ISO 8601 with a zone."""

    name: str
    """What the scheduler calls it."""
    profile: str
    environment: str
    """The first digits of the key of the environment whose notebooks it runs."""
    state: BlockState
    node: str = ""
    """The nodes that it has, as the scheduler writes them; empty before it runs."""
    asked: str
    """When it was asked for."""
    started: str | None = None
    ended: str | None = None
    """When it began to run, and when it was seen to have ended; None when it has not."""
    ends: str | None = None
    """When its walltime is over; None when that is not known."""
    reason: str = ""
    """The scheduler's words."""

    @property
    def key(self) -> BlockKey:
        """Which block this is among all of the run."""
        return BlockKey(self.profile, self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One invocation, as its reports see it."""

    directory: Path
    """The run's folder."""
    started: str
    """ISO 8601 with a zone."""
    wall_seconds: float
    """From the command's start to its end."""
    workers: int
    """How many jobs could run at once."""
    results: tuple[Result, ...]
    environments: tuple[Environment, ...] = ()
    not_run: tuple[str, ...] = ()
    """Selected notebooks that were never finished because the run was stopped."""
    stopped: str = ""
    """Why the run ended early, as a sentence; empty when it did not."""
    conflicts: tuple[str, ...] = ()
    """Why groups are kept apart, a sentence each."""
    blocks: tuple[Block, ...] = ()
    """What a cluster's scheduler was asked for."""
    shard: Shard | None = None
    """Which part this is, when the run was split over several machines."""
    state: RunState = "complete"
    """Only a run in which every notebook got its verdict is complete."""
    unwritten: tuple[str, ...] = ()
    """Names of the reports that could not be written."""
