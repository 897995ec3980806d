"""The values that cross from one stage to the next: frozen, keyword-only, and nothing else.

This module imports nothing of ours and nothing heavy, because the worker imports it on the far side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Verdict = Literal["passed", "failed", "timeout", "memory", "crashed", "environment", "lost", "skipped", "cached"]
"""A job's status. Everything but `passed`, `skipped` and `cached` fails the run."""

GOOD: frozenset[Verdict] = frozenset({"passed", "skipped", "cached"})
"""The verdicts that do not fail a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a requirement or an import was written.

    Attributes
    ----------
    path
        File, relative to the project's root, with forward slashes.
    cell
        Number of the notebook's cell, counted from 1 over all cells; None outside notebooks.
    line
        Line in the file or in the cell, counted from 1; None where there is no line.
    """

    path: str
    cell: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return the place as people write it, such as ``a.in:3`` or ``a.ipynb, cell 2, line 1``."""
        if self.cell is None:
            return self.path if self.line is None else f"{self.path}:{self.line}"
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.path}, cell {self.cell}{line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One requirement as it was written (PEP 508 text), and where."""

    text: str
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One module that a notebook imports.

    Attributes
    ----------
    module
        Dotted name as written, such as ``scipy.stats``.
    optional
        True when the notebook copes without it: the import stands in a ``try`` that catches
        the ImportError.
    """

    module: str
    origin: Origin
    optional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A PEP 723 ``# /// script`` block found in a notebook."""

    dependencies: tuple[Requirement, ...] = ()
    requires_python: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notebook:
    """One `.ipynb` file under test, read once.

    Attributes
    ----------
    path
        Relative to the project's root, with forward slashes.
    fault
        Why the file is not a usable notebook, or None. A notebook with a fault has no other content.
    language
        Language of the notebook's metadata, lower case; ``python`` when it says nothing.
    imports
        What its code cells import, first mention of each, standard library and local modules left out.
    installs
        Requirements of its ``%pip install`` and ``!pip install`` lines.
    refused
        Install lines that cannot be honoured (URLs and the like), each as a sentence with its place.
    script
        Its PEP 723 block, if any; `script_fault` says why a block could not be read.
    group
        Its metadata ``envsolver.group``.
    timeout, allow_errors
        Its metadata ``execution.timeout`` in seconds and ``execution.allow_errors``.
    early_environ
        True when it sets environment variables before an import.
    """

    path: str
    fault: str | None = None
    language: str = "python"
    code_cells: int = 0
    imports: tuple[Import, ...] = ()
    installs: tuple[Requirement, ...] = ()
    refused: tuple[str, ...] = ()
    script: Script | None = None
    script_fault: str | None = None
    group: str | None = None
    timeout: float | None = None
    allow_errors: bool = False
    early_environ: bool = False
    code_digest: str = ""
    """SHA-256 of its code cells' sources and tags, to tell whether it changed."""
    guarded_installs: tuple[Requirement, ...] = ()
    """Requirements of install lines that bind nothing: behind a condition such as "only on Colab", in an
    `except ImportError`, or conda's. They tell which distribution the notebook means by an import."""
    recorded_seconds: float | None = None
    """What its cells took when it was last saved, on whatever machine that was; None when it does not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A named dependency set, read from its file and everything that the file includes.

    Attributes
    ----------
    file
        The group's requirements file, relative to the project's root; empty for a derived group.
    requirements, constraints
        Every line that asks for or bounds a package, nested ``-r`` and ``-c`` files included.
    requires_python
        Versions of Python that the group supports, as a specifier set; None for all.
    digest
        SHA-256 over all text that a solve depends on; the same on every machine.
    options
        Lines of its files that are options of uv, such as ``--pre``.
    """

    name: str
    file: str
    requirements: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    requires_python: str | None = None
    digest: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Which group a notebook belongs to, and why.

    Attributes
    ----------
    group
        Name of the group; None when none fits.
    why
        One phrase for people, such as ``imports torch`` or ``set in pyproject.toml``.
    verdict, reason
        Set when the notebook will not run: `environment`, `failed` or `skipped`, and the sentence why.
    held_back
        Whose requirements give it older versions than it would get alone, a sentence each.
    """

    notebook: str
    group: str | None
    why: str
    verdict: Verdict | None = None
    reason: str = ""
    held_back: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python that environments can be built on.

    Attributes
    ----------
    request
        What was asked for, such as ``3.11``.
    executable
        Absolute path of the base interpreter, shims and virtualenvs seen through.
    version
        Full version, such as ``3.11.7``.
    platform
        ``sysconfig.get_platform()`` with the implementation, such as ``cpython-linux-x86_64``.
    """

    request: str
    executable: str
    version: str
    platform: str

    @property
    def minor(self) -> str:
        """The version's first two parts, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A distribution pinned by a lock; `name` is normalised (PEP 503)."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A group resolved for one interpreter.

    Attributes
    ----------
    text
        The requirements text that uv wrote, with hashes.
    packages
        What it pins, sorted by name.
    """

    group: str
    interpreter: Interpreter
    text: str
    packages: tuple[Package, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A lock installed in a cached virtualenv.

    Attributes
    ----------
    key
        Hexadecimal digest of the content: the lock's text, the interpreter, uv's settings.
    prefix
        The virtualenv's directory, which is its kernel's ``sys.prefix``.
    built
        True when this run built it, False when the cache had it.
    seconds
        What solving and building it took.
    """

    key: str
    group: str
    python: str
    prefix: Path
    packages: tuple[Package, ...] = ()
    built: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Edits:
    """Changes to the executed copy of a notebook; the file itself is never touched.

    Attributes
    ----------
    replace
        Text to replace in code cells, and by what. A text that no code cell holds is a fault.
    skip_cells
        A code cell that holds one of these texts is not run.
    stop_at
        The first code cell that holds this text, and all after it, are not run.
    parameters
        Values assigned in a cell put after the one tagged ``parameters``.
    """

    replace: Mapping[str, str] = field(default_factory=dict)
    skip_cells: tuple[str, ...] = ()
    stop_at: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One notebook in one environment, with its limits: what is scheduled and sent to a worker.

    Attributes
    ----------
    id
        Unique in the run and usable as a file name.
    root, run_dir
        Absolute paths of the project and of the run's folder.
    run_id
        Names the run in the environment of every process that it starts.
    prefix
        Absolute path of the environment; empty until it is known.
    timeout, cell_timeout
        Seconds for the whole notebook and for one cell.
    cores
        CPU cores granted; thread pools are told this number.
    memory
        Limit for the resident memory of the notebook's process tree, bytes; None for no limit.
    env, pass_env
        Variables set for the notebook, and names passed through from envsolver's own environment.
    allow_errors
        Run all cells even when one raises, and pass.
    output_limit
        Bytes of output kept per cell; what is beyond is cut, and the cut is shown.
    """

    id: str
    notebook: str
    group: str
    python: str
    root: str
    run_dir: str
    run_id: str
    environment: str = ""
    prefix: str = ""
    timeout: float = 600.0
    cell_timeout: float = 300.0
    cores: int = 1
    memory: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    edits: Edits = field(default_factory=Edits)
    allow_errors: bool = False
    output_limit: int = 8 * 1024 * 1024
    requirements_file: str = ""
    """The file that a person would add a requirement to, such as ``requirements/core.in``."""
    want_modules: bool = False
    """Whether `Result.modules` is wanted."""
    want_values: bool = False
    """Whether `Result.values` is wanted."""
    expected: float | None = None
    """Seconds that it takes by history; None when nothing is known."""
    attempt: int = 1
    """How often the run has started it, this time included."""
    template: str = ""
    """Socket of the template that forks its kernel; empty for a cold start."""
    cold: bool = False
    """Whether its kernel must start cold, whatever `template` says."""
    notices: str = ""
    """Socket on which the controller hears that its cores are free again; empty when nobody listens."""

    @property
    def mark(self) -> str:
        """What marks the processes of this attempt, unlike any other's."""
        return f"{self.run_id}/{self.id}/{self.attempt}"

    @property
    def log(self) -> str:
        """Its kernel's log, relative to the run's folder; a worker opens it as it starts the kernel."""
        return f"logs/{self.id}.log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a job is expected to take.

    Attributes
    ----------
    seconds
        Wall time; None when nothing is known.
    memory
        Peak resident memory of its process tree, bytes; None when nothing is known.
    failed
        Whether it did not pass the last time.
    """

    seconds: float | None = None
    memory: int | None = None
    failed: bool = False
    guessed: bool = False
    """Whether `seconds` are what others of its group take, since nothing is known of the notebook itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelHistory:
    """What history knows of a job's notebook, with the same code in the same environment.

    Attributes
    ----------
    modules
        What its kernel had imported at the end of a pass, in order; empty when that is not known.
    cold
        Whether it must start cold, because it did not pass the last time, or once not in a warm kernel.
    """

    modules: tuple[str, ...] = ()
    cold: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What went wrong in a notebook.

    Attributes
    ----------
    cell
        Number of the cell, counted from 1 over all cells of the file; None when no cell is to blame.
    source
        The cell's source as executed.
    traceback
        As the kernel gave it, with its colour codes; may be empty.
    """

    cell: int | None
    ename: str
    evalue: str
    traceback: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellTime:
    """Seconds that one cell took; `cell` counts from 1 over all cells of the file."""

    cell: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a job, or of a notebook that never became one.

    Attributes
    ----------
    status
        The verdict.
    started
        ISO 8601 with a zone; None when nothing was started.
    seconds
        Wall time of the job on its worker, kernel start included.
    start_seconds
        The part of `seconds` until the first cell was sent.
    peak_rss_bytes
        Largest sum seen of the resident memory of the process tree; None when nothing ran.
    worker
        Which worker ran it, such as ``core/0``.
    reason
        One sentence for people; always present unless the verdict is a plain pass.
    left_behind
        Files that the notebook wrote in its scratch directory, relative to the project's root.
    executed, log
        The executed copy and the kernel's log, relative to the run's folder.
    attempts
        How often it was run; a pass with more than one attempt says so in `reason`.
    """

    notebook: str
    group: str
    python: str
    status: Verdict
    environment: str = ""
    started: str | None = None
    seconds: float = 0.0
    start_seconds: float = 0.0
    peak_rss_bytes: int | None = None
    worker: str = ""
    reason: str = ""
    failure: Failure | None = None
    cells: tuple[CellTime, ...] = ()
    left_behind: tuple[str, ...] = ()
    executed: str = ""
    log: str = ""
    attempts: int = 1
    modules: tuple[str, ...] = ()
    """What the kernel had imported at the end of a pass, in order, when that was asked for and the notebook ran
    without edits: names of modules, and ``name=path`` for those from outside the environment."""
    warm: bool = False
    """Whether its kernel was forked from a template."""
    warm_verdict: str = ""
    """What a warm kernel said before, when the notebook did not pass in it and was run again in a cold one."""
    values: Mapping[str, object] | None = None
    """The notebook's variables at the end of a pass, as far as JSON can hold them; None when they were not asked for,
    or when the notebook had ended its kernel."""
    value_faults: Mapping[str, str] = field(default_factory=dict)
    """Why each of the other variables could not be given, as a phrase that continues "it"."""

    @property
    def good(self) -> bool:
        """Whether this result leaves the run in order."""
        return self.status in GOOD


class Progress(Protocol):
    """What is told while a run goes on. Calls come from one thread."""

    def note(self, text: str) -> None:
        """Say one line, such as ``core: built in 12 s``."""

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None = None, pythons: Sequence[str] = ()
    ) -> None:
        """Announce how many jobs each group has, how many run at once, the expected seconds in all, and the Pythons."""

    def started(self, job: Job, expected: float | None = None) -> None:
        """Say that a job was sent to a worker, which may still be starting; `expected` is its seconds by history."""

    def finished(self, result: Result) -> None:
        """Say that a notebook has its verdict."""

    def end(self) -> None:
        """Nothing more will come; leave the terminal clean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """One notebook, and the shard that runs it, on all its Pythons."""

    notebook: str
    shard: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """Which part of a run that was split over several machines this is.

    Attributes
    ----------
    index, count
        Its number, counted from 1, and how many there are.
    slices
        The whole split, the other shards' parts included, so that what is lost or run twice can be told.
    notebooks
        Those of its part that it sets out to run.
    """

    index: int
    count: int
    slices: tuple[Slice, ...]
    notebooks: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as the command line names it, such as ``2/4``."""
        return f"{self.index}/{self.count}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One invocation, as its reports see it.

    Attributes
    ----------
    directory
        The run's folder.
    started
        ISO 8601 with a zone.
    wall_seconds
        From the command's start to its end.
    workers
        How many jobs could run at once.
    not_run
        Selected notebooks that were never finished because the run was stopped.
    stopped
        Why the run ended early, as a sentence; empty when it did not.
    """

    directory: Path
    started: str
    wall_seconds: float
    workers: int
    results: tuple[Result, ...]
    environments: tuple[Environment, ...] = ()
    not_run: tuple[str, ...] = ()
    stopped: str = ""
    conflicts: tuple[str, ...] = ()
    """Why groups are kept apart, a sentence each."""
    shard: Shard | None = None
    """Which part this is, when the run was split over several machines."""
