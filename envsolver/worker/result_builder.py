"""What is known so far about a job that runs; it becomes the job's result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.worker.verdicts import Judgement, judge_changes


class ResultBuilder:
    """What is known so far about a job.

    Attributes
    ----------
    result
        Replaced by a fuller one as things become known. A pass until something is judged.
    began
        Reading of the monotonic clock.
    waited
        Seconds that passed until a template answered; they are not the notebook's.
    allowed
        Phrases for the errors that `allow_errors` let pass.
    void
        Why the attempt says nothing, since a warm kernel found what its template had not; empty for nothing.
    computing
        Whether the kernel was warm, and computed when its limit had passed.
    silent
        Whether the kernel left a cell or a question without an answer, so that nothing more is asked of it.
    unwritten
        What could not be written down about it, and why, as a sentence; empty for nothing.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.began = time.monotonic()
        self.waited = 0.0
        self.allowed: list[str] = []
        self.void = ""
        self.computing = False
        self.silent = False
        self.unwritten = ""
        self.result = Result(
            notebook=job.notebook,
            group=job.group,
            python=job.python,
            environment=job.binding.environment,
            strategy=job.strategy,
            status="passed",
            why=job.why,
        )

    @property
    def passes(self) -> bool:
        """Whether nothing is known against a pass."""
        return self.result.status == "passed"

    @property
    def tells(self) -> bool:
        """Whether the notebook came to an end, so that it is worth knowing what it read."""
        return self.result.status in {"passed", "failed"}

    @property
    def answers(self) -> bool:
        """Whether the notebook came to an end after which its kernel can be asked."""
        return self.tells and not self.silent

    def judge(self, judgement: Judgement) -> None:
        """Set the verdict."""
        status, reason, failure = judgement.status, judgement.reason, judgement.failure
        self.result = replace(self.result, status=status, reason=reason, failure=failure)

    def changed(self, paths: Sequence[str]) -> None:
        """Take note of the project's own files that changed meanwhile: nothing may reach the project."""
        if paths:
            self.judge(judge_changes(self.result, paths))

    def remaining(self) -> float:
        """Return what is left of the notebook's time, seconds."""
        return self.job.limits.timeout - (time.monotonic() - self.began - self.waited)

    def finished(self, started: str) -> Result:
        """Return the result; `started` is ISO 8601."""
        reasons = [self.result.reason]
        if self.passes and self.allowed:
            reasons = [f"errors are allowed, and {', '.join(self.allowed)}"]
        reasons.append(self.unwritten)
        return replace(
            self.result,
            started=started,
            seconds=time.monotonic() - self.began,
            reason="; ".join(filter(None, reasons)),
        )
