"""What is scheduled and sent to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from envsolver.core.environments import Environment, Target
from envsolver.core.results import ResultKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Edits:
    """Changes to the executed copy of a notebook; the file itself is never touched."""

    replace: Mapping[str, str] = field(default_factory=dict)
    """Text to replace in code cells, and by what. A text that no code cell holds is a fault."""
    skip_cells: tuple[str, ...] = ()
    """A code cell that holds one of these texts is not run."""
    stop_at: str | None = None
    """The first code cell that holds this text, and all after it, are not run."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Values assigned in a cell put after the one tagged ``parameters``."""
    before: str = ""
    """Source of a cell put before the first one, empty for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a job may use."""

    timeout: float = 600.0
    cell_timeout: float = 300.0
    """Seconds for the whole notebook and for one cell."""
    cores: int = 1
    """CPU cores granted, and the size of thread pools."""
    memory: int | None = None
    """Limit for the resident memory of the notebook's process tree, bytes; None for no limit."""
    output: int = 8 * 1024 * 1024
    """Bytes of output kept per cell; what is beyond is cut, and the cut is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """What a job's kernel runs in."""

    environment: str = ""
    prefix: str = ""
    """The environment's key and its absolute path; empty until they are known."""
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    """Variables set for the notebook, and names passed through from envsolver's own environment."""
    requirements_place: str = ""
    """What a person would add a requirement to, such as ``requirements/core.in``, as the end of a sentence."""
    project: str = ""
    """The name of the distribution that the project makes, then the places of its repository, with spaces between."""

    def bound(self, environment: Environment, env: Mapping[str, str]) -> Binding:
        """Return it with its environment, and with more variables, such as those of services."""
        key, prefix = environment.key, str(environment.prefix)
        return replace(self, environment=key, prefix=prefix, env={**self.env, **env})


TEMPLATE_SECONDS = 60.0
"""For how long a job waits for a template to get ready and fork its kernel; then it starts a cold one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmStart:
    """Whether a job's kernel is forked from a template, and what the templates of later runs need to know."""

    template: str = ""
    """Socket of the template that forks the kernel; empty for a cold start."""
    cold: bool = False
    """Whether the kernel must start cold, whatever `template` says."""
    expected: float | None = None
    """Seconds that the job takes by history, which bound how long a warm kernel may try; None when nothing is known."""
    want_modules: bool = False
    """Whether `Result.modules` is wanted."""
    verify: bool = False
    """Whether a pass in a warm kernel counts only when a cold one passes with the same outputs."""


NEEDED_SHARE = 1.25
NEEDED_SECONDS = 10.0
"""A notebook is taken to need its time by history times the one, and the other to start and to come home."""


def seconds_needed(expected: float | None, timeout: float) -> float:
    """Return how much must be left of a block so that a notebook ends in it.

    Parameters
    ----------
    expected
        Its seconds by history; None when nothing is known.
    timeout
        Its limit, past which it is ended in any case.
    """
    return NEEDED_SECONDS + (timeout if expected is None else min(NEEDED_SHARE * expected, timeout))


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One notebook in one environment, with its limits: what is scheduled and sent to a worker."""

    id: str
    """Unique in the run and usable as a file name."""
    notebook: str
    group: str
    python: str
    root: str
    run_dir: str
    """Absolute paths of the project and of the run's folder."""
    run_id: str
    """Names the run in the environment of every process that it starts."""
    limits: Limits = field(default_factory=Limits)
    binding: Binding = field(default_factory=Binding)
    warm_start: WarmStart = field(default_factory=WarmStart)
    edits: Edits = field(default_factory=Edits)
    strategy: str = ""
    """The strategy that it is run with; empty for none."""
    warnings: tuple[str, ...] = ()
    """Filters of warnings, beside Python's own, in pytest's syntax; a later one comes before those ahead of it."""
    profile: str = ""
    """The profile that it runs under; empty for this machine."""
    allow_errors: bool = False
    """Run all cells even when one raises, and pass."""
    want_values: bool = False
    """Whether `Result.values` is wanted."""
    attempt: int = 1
    """How often the run has started it, this time included."""
    why: str = ""
    """Why it is not cached, as a phrase."""
    output_files: tuple[str, ...] = ()
    """The project's files that the run's own output goes to, relative to the root: no notebook changed them."""

    @property
    def target(self) -> Target:
        """What its environment is built for."""
        return Target(self.group, self.python)

    @property
    def key(self) -> ResultKey:
        """What its result will be of."""
        return ResultKey(self.notebook, self.group, self.python)

    @property
    def pool(self) -> str:
        """What the workers are called that can run it: those of its environment, under its profile."""
        return pool_of(self.binding.environment, self.profile)

    @property
    def mark(self) -> str:
        """What marks the processes of this attempt, unlike any other's."""
        return f"{self.run_id}/{self.id}/{self.attempt}"

    @property
    def log(self) -> str:
        """Its kernel's log, relative to the run's folder; a worker opens it as it starts the kernel."""
        return f"logs/{self.id}.log"


def pool_of(environment: str, profile: str) -> str:
    """Return what the workers of an environment are called under a profile."""
    return f"{environment}@{profile}" if profile else environment


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a job is expected to take."""

    seconds: float | None = None
    """Wall time; None when nothing is known."""
    memory: int | None = None
    """Peak resident memory of its process tree, bytes; None when nothing is known."""
    failed: bool = False
    """Whether it did not pass the last time."""
    guessed: bool = False
    """Whether `seconds` are what others of its group take, since nothing is known of the notebook itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelHistory:
    """What history knows of a job's notebook, with the same code in the same environment."""

    modules: tuple[str, ...] = ()
    """What its kernel had imported at the end of a pass, in order; empty when that is not known."""
    cold: bool = False
    """Whether it must start cold, because it did not pass the last time, or once not in a warm kernel."""
