"""What a run was asked for, and what it holds on to while it goes on and must give back."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from envsolver.core.environments import Environment, Target
from envsolver.core.errors import EnvsolverError
from envsolver.core.progress import Progress
from envsolver.core.results import Result, Run, Shard
from envsolver.run.directories import new_run_directory, prepare_state
from envsolver.run.parsl.prestart import ParslPrestart
from envsolver.run.project import Project
from envsolver.run.scheduler.policy import Order
from envsolver.run.scheduler.scheduler import RunOutcome
from envsolver.worker.guardian import owned


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line asks of a run.

    Attributes
    ----------
    patterns
        Notebook paths, directories and globs; empty for all.
    groups
        Run only notebooks of these groups; empty for all.
    pythons
        Python versions, or ``all``; empty for the default.
    workers
        How many notebooks may run at once; None for the number of cores.
    timeout
        Seconds for a whole notebook, over every other setting.
    order
        None for longest first, or with `failfast` for what failed last time first.
    cold
        Start every kernel anew, none from a template.
    monitor
        Have Parsl measure the run.
    shard, times
        Which part of how many, and the file whose times make the parts equal.
    """

    patterns: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    workers: int | None = None
    failfast: bool = False
    sequential: bool = False
    retries: int = 0
    timeout: float | None = None
    order: Order | None = None
    cold: bool = False
    monitor: bool = False
    shard: tuple[int, int] | None = None
    times: Path | None = None


@dataclass(kw_only=True)
class RunContext:
    """What one run holds on to while it goes on, and must give back."""

    project: Project
    options: Options
    progress: Progress
    directory: Path
    run_id: str
    scratch: Path
    started: str
    clock: float
    environments: dict[Target, Environment] = field(default_factory=dict)
    errors: list[EnvsolverError] = field(default_factory=list)
    saved: float = 0.0
    start: ParslPrestart | None = None
    shard: Shard | None = None

    def record(self, results: Sequence[Result], outcome: RunOutcome | None = None) -> Run:
        """Put together what the reports see."""
        return Run(
            directory=self.directory,
            started=self.started,
            wall_seconds=time.monotonic() - self.clock,
            workers=worker_count(self.options),
            results=tuple(results),
            environments=tuple(self.environments.values()),
            not_run=outcome.not_run if outcome else (),
            stopped=outcome.stopped if outcome else "",
            shard=self.shard,
        )


def worker_count(options: Options) -> int:
    """Give how many notebooks may run at once."""
    return 1 if options.sequential else options.workers or available_cores()


def available_cores() -> int:
    """Give the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def open_context(
    project: Project, options: Options, progress: Progress, clock: float, start: ParslPrestart | None = None
) -> Iterator[RunContext]:
    """Open a run's folder and mark; afterwards end every process that carries the mark."""
    run_id = start.run_id if start is not None else uuid.uuid4().hex
    # Parsl writes scripts that do not quote their paths, so it gets a directory that needs no quoting.
    scratch = Path(tempfile.mkdtemp(prefix="envsolver-"))
    with contextlib.ExitStack() as stack:
        stack.callback(project.store.release)
        ended = stack.enter_context(owned(run_id, [scratch]))
        directory = new_run_directory(prepare_state(project.state) / "runs")
        ended.callback(_keep_parsl_logs, scratch / "parsl", directory / "parsl")
        yield RunContext(
            project=project,
            options=options,
            progress=progress,
            directory=directory,
            run_id=run_id,
            scratch=scratch,
            started=datetime.now(timezone.utc).astimezone().isoformat(timespec="milliseconds"),
            clock=clock,
            start=start,
        )


def _keep_parsl_logs(made: Path, kept: Path) -> None:
    """Move what Parsl wrote into the run's folder, but for its keys: nobody needs them now, and CI uploads runs."""
    for keys in made.glob("*/*/certificates"):
        shutil.rmtree(keys, ignore_errors=True)
    with contextlib.suppress(OSError):
        shutil.move(made, kept)
