"""The jobs that wait, and which of them could start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from envsolver.core.environments import Target
from envsolver.core.jobs import Job
from envsolver.run.scheduler.protocols import KernelTemplates

WINDOW = 64
"""How many of the jobs that wait are looked at when one may start; it bounds the work of each decision."""


class WaitingJobs:
    """The jobs that wait, in the order in which they should start."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = {job.id: job for job in jobs}

    def __bool__(self) -> bool:
        """Return whether any job waits."""
        return bool(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """Go through the jobs in order."""
        return iter(tuple(self._jobs.values()))

    def put_first(self, job: Job) -> None:
        """Have a job start before all others."""
        self._jobs = {job.id: job, **self._jobs}

    def remove(self, job: Job) -> None:
        """Take a job out that starts or never will."""
        del self._jobs[job.id]

    def of(self, target: Target, notebooks: Collection[str] | None = None) -> tuple[Job, ...]:
        """Return a target's jobs, or only those of some notebooks."""
        return tuple(
            job
            for job in self._jobs.values()
            if job.target == target and (notebooks is None or job.notebook in notebooks)
        )

    def startable(
        self, ready: Collection[Target], templates: KernelTemplates | None, running: Iterable[Job]
    ) -> list[Job]:
        """Return the jobs that could start, in order; last those for whose template another one waits already.

        That one has the template loaded. The others would wait beside it, in slots where something else can run.

        Parameters
        ----------
        ready
            The targets whose environments are there.
        running
            The jobs that run.
        """
        able = (job for job in self._jobs.values() if job.target in ready)
        if templates is None:
            return list(islice(able, WINDOW))
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
