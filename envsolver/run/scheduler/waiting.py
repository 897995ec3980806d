"""The jobs that wait, and which of them could start."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

from envsolver.core.environments import Target
from envsolver.core.jobs import Job
from envsolver.run.scheduler.protocols import KernelTemplates
from envsolver.run.scheduler.shares import Demand

WINDOW = 64
"""How many of the jobs that wait are looked at when one may start; it bounds the work of each decision."""


class WaitingJobs:
    """The jobs that wait, in the order in which they should start.

    Parameters
    ----------
    seconds
        Returns how long a job probably takes.
    """

    def __init__(self, jobs: Sequence[Job], seconds: Callable[[Job], float]) -> None:
        self._seconds = seconds
        self._jobs: dict[Target, dict[str, Job]] = {}
        self._places = {job.id: place for place, job in enumerate(jobs)}
        self._first = 0
        self._work: dict[Target, float] = {}
        self._held: dict[str, float] = {}
        for job in jobs:
            self._jobs.setdefault(job.target, {})[job.id] = job
            self._work[job.target] = self._work.get(job.target, 0.0) + seconds(job)

    def __bool__(self) -> bool:
        """Return whether any job waits."""
        return any(self._jobs.values())

    def __iter__(self) -> Iterator[Job]:
        """Go through the jobs in order."""
        return iter(tuple(self._in_order(self._jobs)))

    def _in_order(self, targets: Iterable[Target]) -> Iterator[Job]:
        waiting = [jobs for target in targets if (jobs := self._jobs.get(target))]
        if len(waiting) == 1:
            return iter(waiting[0].values())
        return heapq.merge(*(jobs.values() for jobs in waiting), key=lambda job: self._places[job.id])

    def put_first(self, job: Job) -> None:
        """Have a job start before all others."""
        self._first -= 1
        self._places[job.id] = self._first
        self._jobs[job.target] = {job.id: job, **self._jobs[job.target]}
        self._work[job.target] += self._seconds(job)

    def hold(self, job: Job, until: float) -> None:
        """Have a job start before all others, but not before a time of the scheduling's clock."""
        self.put_first(job)
        self._held[job.id] = until

    def release(self, now: float) -> None:
        """Let jobs start whose time has come."""
        if self._held:
            self._held = {name: until for name, until in self._held.items() if until > now}

    def remove(self, job: Job) -> None:
        """Take a job out that starts or never will."""
        del self._jobs[job.target][job.id]
        self._work[job.target] -= self._seconds(job)
        self._held.pop(job.id, None)

    def of(self, target: Target, notebooks: Collection[str] | None = None) -> tuple[Job, ...]:
        """Return a target's jobs, or only those of some notebooks."""
        jobs = self._jobs.get(target, {}).values()
        return tuple(job for job in jobs if notebooks is None or job.notebook in notebooks)

    def demand(self, targets: Iterable[Target]) -> Demand:
        """Return how many jobs of some targets wait, and how long they take together."""
        targets = tuple(targets)
        return Demand(
            jobs=sum(len(self._jobs.get(target, ())) for target in targets),
            seconds=sum(self._work.get(target, 0.0) for target in targets),
        )

    def first(self, targets: Iterable[Target], most: int) -> list[Job]:
        """Return the first jobs of some targets that could start."""
        return list(islice((job for job in self._in_order(targets) if job.id not in self._held), most))

    def startable(
        self, targets: Iterable[Target], templates: KernelTemplates | None, running: Iterable[Job]
    ) -> list[Job]:
        """Return some targets' jobs that could start, in order; last those for whose template another waits already.

        That one has the template loaded. The others would wait beside it, in slots where something else can run.

        Parameters
        ----------
        running
            The jobs that run.
        """
        if templates is None:
            return self.first(targets, WINDOW)
        able = (job for job in self._in_order(targets) if job.id not in self._held)
        awaited = {part for job in running for part in templates.loading(job)}
        first: list[Job] = []
        last: list[Job] = []
        for job in able:
            parts = templates.loading(job)
            (last if parts and parts <= awaited else first).append(job)
            awaited |= parts
            if len(first) == WINDOW or len(last) == 4 * WINDOW:
                break
        return [*first, *last][:WINDOW]
