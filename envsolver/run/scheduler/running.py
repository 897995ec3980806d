"""The jobs that run now: what they take, and which worker each is on."""

from __future__ import annotations

import heapq
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass

from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.scheduler.clock import Clock
from envsolver.run.scheduler.policy import ResourceRequest
from envsolver.run.scheduler.shares import Demand


@dataclass(kw_only=True, slots=True)
class RunningJob:
    """A job that was sent to its worker."""

    job: Job
    need: ResourceRequest
    slot: int
    started: float
    """Seconds of the scheduling's clock."""
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
    clock
        The time to go by.

    Attributes
    ----------
    of_pool
        How many each pool runs.
    """

    def __init__(self, slots: int, clock: Clock) -> None:
        self._free_slots = list(range(slots))
        self._clock = clock
        self._by_ticket: dict[int, RunningJob] = {}
        self.of_pool: Counter[str] = Counter()
        self._tickets = 0

    def __bool__(self) -> bool:
        """Return whether any job runs."""
        return bool(self._by_ticket)

    @property
    def free(self) -> int:
        """How many more jobs may run."""
        return len(self._free_slots)

    def demand(self) -> dict[str, Demand]:
        """Return how many jobs each pool runs, and how long they probably still take."""
        found: dict[str, Demand] = {}
        now = self._clock.now()
        for running in self._by_ticket.values():
            before = found.get(running.job.pool, Demand(jobs=0, seconds=0.0))
            left = max(0.0, running.need.seconds - (now - running.started))
            found[running.job.pool] = Demand(jobs=before.jobs + 1, seconds=before.seconds + left)
        return found

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs that run, in the order in which they started."""
        return tuple(running.job for running in self._by_ticket.values())

    def add(self, job: Job, need: ResourceRequest) -> int:
        """Note a job that starts now, and return its ticket."""
        slot = heapq.heappop(self._free_slots)
        self._tickets += 1
        self.of_pool[job.pool] += 1
        self._by_ticket[self._tickets] = RunningJob(job=job, need=need, slot=slot, started=self._clock.now())
        return self._tickets

    def note_sent(self, ticket: int, future: Future[Result]) -> None:
        """Note what a job's worker is to deliver."""
        self._by_ticket[ticket].future = future

    def remove(self, ticket: int) -> RunningJob | None:
        """Forget a job that has ended; None when it was given up before."""
        running = self._by_ticket.pop(ticket, None)
        if running is not None:
            self._release(running)
        return running

    def remove_all(self, pool: str) -> tuple[RunningJob, ...]:
        """Forget the jobs whose workers are gone, and return them."""
        tickets = [ticket for ticket, running in self._by_ticket.items() if running.job.pool == pool]
        found = tuple(self._by_ticket.pop(ticket) for ticket in tickets)
        for running in found:
            self._release(running)
        return found

    def _release(self, running: RunningJob) -> None:
        heapq.heappush(self._free_slots, running.slot)
        self.of_pool[running.job.pool] -= 1

    def requests(self, profile: str) -> list[tuple[float, ResourceRequest]]:
        """Return the seconds that each job of a profile probably still takes, and what it holds of the budget."""
        now = self._clock.now()
        running = (each for each in self._by_ticket.values() if each.job.profile == profile)
        return [(each.need.seconds - (now - each.started), each.need) for each in running]
