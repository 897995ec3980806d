"""The jobs that run now: what they take, and which worker each is on."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass

from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.scheduler.policy import ResourceRequest


@dataclass(kw_only=True, slots=True)
class RunningJob:
    """A job that was sent to its worker."""

    job: Job
    need: ResourceRequest
    slot: int
    started: float
    """Seconds of `time.monotonic`."""
    future: Future[Result] | None = None
    """What comes of it; None until it was sent."""

    @property
    def worker(self) -> str:
        """What its worker is called in results."""
        return f"worker {self.slot + 1}"

    @property
    def result(self) -> Result | None:
        """What it came to; None while it has not come back, or when its worker vanished."""
        done = self.future
        failed = done is None or not done.done() or done.cancelled() or done.exception() is not None
        return None if done is None or failed else done.result()


class RunningJobs:
    """The running jobs by the number that each got when it started.

    Parameters
    ----------
    slots
        How many jobs may run at once.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._by_ticket: dict[int, RunningJob] = {}
        self._tickets = 0

    def __bool__(self) -> bool:
        """Return whether any job runs."""
        return bool(self._by_ticket)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs that run, in the order in which they started."""
        return tuple(running.job for running in self._by_ticket.values())

    def add(self, job: Job, need: ResourceRequest) -> int:
        """Note a job that starts now, and return its ticket."""
        taken = {running.slot for running in self._by_ticket.values()}
        slot = next(n for n in range(self._slots) if n not in taken)
        self._tickets += 1
        self._by_ticket[self._tickets] = RunningJob(job=job, need=need, slot=slot, started=time.monotonic())
        return self._tickets

    def note_sent(self, ticket: int, future: Future[Result]) -> None:
        """Note what a job's worker is to deliver."""
        self._by_ticket[ticket].future = future

    def remove(self, ticket: int) -> RunningJob | None:
        """Forget a job that has ended; None when it was given up before."""
        return self._by_ticket.pop(ticket, None)

    def remove_all(self, key: str) -> tuple[RunningJob, ...]:
        """Forget the jobs in an environment whose workers are gone, and return them."""
        tickets = [ticket for ticket, running in self._by_ticket.items() if running.job.binding.environment == key]
        return tuple(self._by_ticket.pop(ticket) for ticket in tickets)

    def requests(self) -> list[tuple[float, ResourceRequest]]:
        """Return the seconds that each job probably still takes, and what it holds of the budget."""
        now = time.monotonic()
        return [(r.need.seconds - (now - r.started), r.need) for r in self._by_ticket.values()]
