"""Whether a job that ended has its verdict or is tried again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TypeAlias

from envsolver.core.jobs import Job
from envsolver.core.results import Result

LOST_RETRIES = 1
"""How often a job whose worker vanished is tried again, even when no retries were asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """How an attempt ended that came to no result: why, and after how many seconds.

    `unfit` where it was sent to a place that could not run it; else its worker vanished.
    """

    reason: str
    seconds: float = 0.0
    unfit: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """The job is run again; `message` says why."""

    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Final:
    """The job has its verdict."""

    result: Result


Decision: TypeAlias = Retry | Final


class Attempts:
    """Counts how often each job was started, and decides what its end means.

    Parameters
    ----------
    retries
        How many more times a notebook that does not pass is run.
    fail_on_flaky
        Whether one that passes at a later attempt has failed.
    """

    def __init__(self, retries: int, *, fail_on_flaky: bool = False) -> None:
        self._retries = retries
        self._fail_on_flaky = fail_on_flaky
        self._started: Counter[str] = Counter()
        self._earlier: dict[str, Result] = {}

    def begin(self, job: Job) -> int:
        """Count another attempt of a job, and return its number, from 1."""
        self._started[job.id] += 1
        return self._started[job.id]

    def take_back(self, job: Job) -> None:
        """Do not count the last attempt of a job, which was never started."""
        self._started[job.id] -= 1

    def judge(self, job: Job, ended: Result | Lost, worker: str) -> Decision:
        """Decide what an attempt's end means.

        Parameters
        ----------
        ended
            What the attempt came to.
        worker
            What the worker that ran it is called in results.
        """
        return self._judge_lost(job, ended, worker) if isinstance(ended, Lost) else self._judge(job, ended, worker)

    def _judge(self, job: Job, result: Result, worker: str) -> Decision:
        attempt = self._started[job.id]
        result = replace(result, worker=result.worker or worker, attempts=attempt)
        if not result.good and result.status != "environment" and attempt <= self._retries:
            self._earlier[job.id] = result
            return Retry(message=f"{result.notebook}: {result.status}, trying again ({attempt} of {self._retries})")
        earlier = self._earlier.get(job.id)
        if result.good and earlier is not None:
            text = f"passed at attempt {attempt}; before: {earlier.status}, {earlier.reason}"
            result = replace(result, reason=text, flaky=True)
            if self._fail_on_flaky:
                result = replace(result, status="failed", reason=f"flaky: {text}", failure=earlier.failure)
        return Final(result=result)

    def _judge_lost(self, job: Job, lost: Lost, worker: str) -> Decision:
        attempt = self._started[job.id]
        why = _first_line(lost.reason)
        what = "it could not be run" if lost.unfit else "its worker vanished"
        if attempt <= max(LOST_RETRIES, self._retries):
            return Retry(message=f"{job.notebook}: {what} ({why}); trying again")
        return Final(
            result=Result(
                notebook=job.notebook,
                group=job.group,
                python=job.python,
                environment=job.binding.environment,
                strategy=job.strategy,
                status="environment" if lost.unfit else "lost",
                seconds=lost.seconds,
                worker=worker,
                reason=f"{what} at each of {attempt} attempts: {why}",
                attempts=attempt,
            )
        )


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
