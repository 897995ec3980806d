"""What a run came to, and how its verdicts are gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from envsolver.core.jobs import Job
from envsolver.core.progress import Progress
from envsolver.core.results import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """What a run came to."""

    results: tuple[Result, ...]
    """In the order in which they were reached."""
    not_run: tuple[str, ...] = ()
    """Notebooks without a verdict, because the run was stopped."""
    stopped: str = ""
    """Why it was stopped, as a phrase; empty when it was not."""
    interrupted: bool = False
    """Whether a person or the system stopped it."""


class Verdicts:
    """The final results of a run, each handed on at once.

    Parameters
    ----------
    why_stop
        Asked after each final result: what it answers is why the run stops there; empty to go on.
    on_result
        Called with each final result, for instance to write it down.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        why_stop: Callable[[Result], str] = lambda _: "",
        on_result: Callable[[Result], None] | None = None,
    ) -> None:
        self._progress = progress
        self._why_stop = why_stop
        self._on_result = on_result
        self._results: list[Result] = []
        self._interrupted = False
        self.stopped = ""

    def add(self, result: Result) -> None:
        """Keep a final result."""
        self._results.append(result)
        self._progress.finished(result)
        if self._on_result is not None:
            self._on_result(result)
        self.stopped = self._why_stop(result)

    def interrupt(self, reason: str = "interrupted") -> None:
        """Note that a person or the system stopped the run, or that something else is to be run."""
        self._interrupted = True
        self.stopped = reason

    def outcome(self, unfinished: Iterable[Job]) -> RunOutcome:
        """Return what the run came to, `unfinished` being the jobs without a verdict."""
        return RunOutcome(
            results=tuple(self._results),
            not_run=tuple(sorted({job.notebook for job in unfinished})),
            stopped=self.stopped,
            interrupted=self._interrupted,
        )
