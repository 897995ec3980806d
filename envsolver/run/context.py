"""What one run is, and what it has come to so far."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.core.environments import Environment
from envsolver.core.errors import EnvsolverError
from envsolver.core.paths import RUNS
from envsolver.core.progress import Progress
from envsolver.core.results import Block, BlockKey, Result, ResultKey, Run, RunState, Shard
from envsolver.report.results_json import write_results
from envsolver.run.coverage import RunCoverage
from envsolver.run.directories import named_run_directory, new_run_directory, prepare_state
from envsolver.run.options import Options, worker_count
from envsolver.run.parsl.prestart import ParslPrestart
from envsolver.run.project import Project
from envsolver.run.scheduler.outcome import RunOutcome

if TYPE_CHECKING:
    from envsolver.run.watch import WatchSession

SAVE_SECONDS = 2.0
"""How often the results so far are written down, so that even a killed run leaves them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext:
    """What one run is."""

    project: Project
    options: Options
    progress: Progress
    directory: Path
    """The run's folder."""
    run_id: str
    """The mark of all its processes."""
    prestart: ParslPrestart | None = None
    """What was started ahead, with the run's mark."""
    session: WatchSession | None = None
    """What stays for the next run, while files are watched."""
    coverage: RunCoverage | None = None
    """What measures it; None for nothing."""


def make_context(
    project: Project,
    options: Options,
    progress: Progress,
    prestart: ParslPrestart | None,
    session: WatchSession | None = None,
) -> RunContext:
    """Make a run's folder and its mark.

    Raises
    ------
    ConfigurationError
        The folder cannot be made.
    """
    state, named = prepare_state(project.state), options.directory
    owner = session or prestart
    directory = new_run_directory(state / RUNS) if named is None else named_run_directory(named)
    asked = options.coverage
    return RunContext(
        project=project,
        options=options,
        progress=progress,
        directory=directory,
        coverage=None if asked is None else RunCoverage(project=project, options=asked, directory=directory),
        run_id=uuid.uuid4().hex if owner is None else owner.run_id,
        prestart=prestart,
        session=session,
    )


class RunRecord:
    """What a run has come to so far, written down while it goes on.

    Parameters
    ----------
    clock
        When the command started, by `time.monotonic`.
    settled
        The results of notebooks that will not run.
    planned
        What will run. It is written down at once, so that a run that is killed does not read as a whole one.

    Attributes
    ----------
    environments, errors
        What the preparation brought up, and what went wrong there; threads append to them.
    """

    def __init__(
        self,
        context: RunContext,
        *,
        clock: float,
        shard: Shard | None = None,
        settled: Sequence[Result] = (),
        planned: Sequence[ResultKey] = (),
    ) -> None:
        self.environments: list[Environment] = []
        self.errors: list[EnvsolverError] = []
        self._context = context
        self._clock = clock
        self._started = datetime.now(timezone.utc).astimezone().isoformat(timespec="milliseconds")
        self._shard = shard
        self._results = list(settled)
        self._blocks: dict[BlockKey, Block] = {}
        self._planned = tuple(planned)
        self._save()

    def add(self, result: Result, digest: str) -> None:
        """Keep a verdict as soon as it is known, `digest` being that of what its notebook depends on."""
        # What is long and only the history's would be copied each time that the results are written.
        self._results.append(replace(result, modules=(), reading=None))
        self._context.project.history.add(result, digest)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()

    def add_block(self, block: Block) -> None:
        """Keep what has become of a block of nodes, instead of what was known of it before."""
        self._blocks[block.key] = block
        self._context.progress.block(block)

    def _save(self) -> None:
        self._saved = time.monotonic()
        with contextlib.suppress(OSError):  # the last one, which holds all of them, says so
            write_results(self.run())

    def run(self, outcome: RunOutcome | None = None, *, conflicts: Sequence[str] = ()) -> Run:
        """Return what the reports see.

        Parameters
        ----------
        outcome
            What the run came to; None while it goes on.
        conflicts
            Why groups are kept apart, a sentence each.
        """
        done = {result.key for result in self._results}
        not_run = (
            outcome.not_run if outcome else tuple(sorted({key.notebook for key in self._planned if key not in done}))
        )
        state: RunState = "running"
        if outcome is not None:
            state = "interrupted" if outcome.stopped or outcome.not_run else "complete"
        return Run(
            directory=self._context.directory,
            started=self._started,
            wall_seconds=time.monotonic() - self._clock,
            workers=worker_count(self._context.options),
            results=tuple(self._results),
            environments=tuple(self.environments),
            not_run=not_run,
            stopped=outcome.stopped if outcome else "the run has not come to its end",
            state=state,
            conflicts=tuple(conflicts),
            shard=self._shard,
            blocks=tuple(self._blocks.copy().values()),
        )
