"""The order of jobs and which may start now: pure functions, tested alone.

The rule is longest first, since a long job started late is what makes a run's end ragged
(Graham, "Bounds on multiprocessing timing anomalies", 1969: at most 4/3 - 1/(3m) of the best). Where
jobs need several cores or much memory, later ones fill the gaps as long as they do not delay the first
that waits (EASY backfilling; Lifka, "The ANL/IBM SP scheduling system", 1995).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from envsolver.core.jobs import Cost, Job

Order = Literal["longest", "shortest", "failed", "name"]

UNKNOWN_SECONDS = 10.0
"""What a job is taken to last when neither it nor its group was ever seen."""

MEMORY_MARGIN = 1.25
"""Memory learnt from history is taken times this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceRequest:
    """What a job takes from the budget, and for how long it probably will."""

    cores: int
    memory: int
    seconds: float
    slots: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What all jobs that run at once may use together."""

    slots: int
    """Jobs."""
    cores: int
    """CPU cores."""
    memory: int
    """Bytes."""
    blocks: int = 0
    block_size: int = 1
    """On a cluster: how many blocks there may be, and how many jobs each runs, all in one environment."""

    def less(self, need: ResourceRequest) -> Budget:
        """Return what is left beside a running job."""
        return Budget(slots=self.slots - need.slots, cores=self.cores - need.cores, memory=self.memory - need.memory)

    def holds(self, need: ResourceRequest) -> bool:
        """Whether a job fits in what is left."""
        return self.slots >= need.slots and self.cores >= need.cores and self.memory >= need.memory


def need_of(job: Job, cost: Cost, budget: Budget, shared: int = 0) -> ResourceRequest:
    """Say what a job takes, cut to the whole budget so that one too large runs alone.

    Parameters
    ----------
    job
        Its configured limits win over history.
    cost
        What history knows.
    budget
        The whole budget.
    shared
        Bytes that it has in common with its template, which the budget counts once for all.
    """
    learnt = int(cost.memory * MEMORY_MARGIN) if cost.memory else 0
    memory = max((job.limits.memory if job.limits.memory is not None else learnt) - shared, 0)
    return ResourceRequest(
        cores=min(job.limits.cores, budget.cores),
        memory=min(memory, budget.memory),
        seconds=cost.seconds if cost.seconds is not None else UNKNOWN_SECONDS,
    )


def oversized(job: Job, budget: Budget) -> bool:
    """Whether a job asks for more than there is, so that it can only run alone."""
    return job.limits.cores > budget.cores or (job.limits.memory or 0) > budget.memory


def sort_jobs(
    jobs: Sequence[Job], costs: Mapping[str, Cost], by: Order, recorded: Mapping[str, float | None] | None = None
) -> tuple[Job, ...]:
    """Sort jobs into the order in which they should start.

    Parameters
    ----------
    jobs
        Any order.
    costs
        By job id; a job without one counts as unknown.
    by
        ``longest`` ends a run soonest; ``shortest`` reports most verdicts early; ``failed`` puts what
        failed last time first and then the shortest; ``name`` is alphabetical.
    recorded
        Seconds that a notebook itself states, by path: for one of which history knows nothing.

    Returns
    -------
    tuple of Job
        The same for the same input, whatever the order of `jobs`.
    """

    def seconds(job: Job) -> float:
        cost = costs.get(job.id, Cost())
        own = None if recorded is None else recorded.get(job.notebook)
        if own is not None and (cost.guessed or cost.seconds is None):
            return own
        return UNKNOWN_SECONDS if cost.seconds is None else cost.seconds

    def name(job: Job) -> tuple[str, str, str]:
        return (job.notebook, job.python, job.group)

    if by == "longest":
        return tuple(sorted(jobs, key=lambda job: (-seconds(job), name(job))))
    if by == "shortest":
        return tuple(sorted(jobs, key=lambda job: (seconds(job), name(job))))
    if by == "failed":
        return tuple(sorted(jobs, key=lambda job: (not costs.get(job.id, Cost()).failed, seconds(job), name(job))))
    return tuple(sorted(jobs, key=name))


def backfill(
    waiting: Sequence[ResourceRequest], running: Sequence[tuple[float, ResourceRequest]], budget: Budget
) -> tuple[int, ...]:
    """Choose which waiting jobs start now.

    Parameters
    ----------
    waiting
        Needs of the jobs that could start, in order.
    running
        For each running job, the seconds that it probably still takes, and its need.
    budget
        The whole budget.

    Returns
    -------
    tuple of int
        Indices into `waiting`. The first that does not fit reserves its place: later ones start only if
        they end before it could start, or if they fit beside it.
    """
    free = budget
    now_running = list(running)
    for _, need in running:
        free = free.less(need)
    chosen: list[int] = []
    reservation: tuple[float, Budget] | None = None
    for index, need in enumerate(waiting):
        if not free.holds(need):
            if reservation is None:
                reservation = _reserve(need, now_running, free)
            if free.slots < 1:
                break
            continue
        if reservation is not None:
            start, beside = reservation
            if need.seconds > start:
                if not beside.holds(need):
                    continue
                reservation = (start, beside.less(need))
        chosen.append(index)
        now_running.append((need.seconds, need))
        free = free.less(need)
    return tuple(chosen)


def _reserve(
    need: ResourceRequest, running: Sequence[tuple[float, ResourceRequest]], free: Budget
) -> tuple[float, Budget]:
    """Find when a job could start, and what is then left beside it."""
    for remaining, other in sorted(running, key=lambda pair: pair[0]):
        free = Budget(slots=free.slots + other.slots, cores=free.cores + other.cores, memory=free.memory + other.memory)
        if free.holds(need):
            return max(remaining, 0.0), free.less(need)
    return 0.0, Budget(slots=0, cores=0, memory=0)


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return the wall time of a list schedule of jobs in this order on `workers` workers."""
    ends = [0.0] * max(1, workers)
    for duration in seconds:
        soonest = min(range(len(ends)), key=ends.__getitem__)
        ends[soonest] += duration
    return max(ends)


def predicted_makespan(jobs: Sequence[Job], costs: Mapping[str, Cost], workers: int) -> float | None:
    """Return the wall time of jobs in this order by their history; None if that knows less than half of them.

    One without a time, such as a notebook that is new or never passed, counts as the median of the others.
    """
    seconds = [costs.get(job.id, Cost()).seconds for job in jobs]
    known = [value for value in seconds if value is not None]
    if not known or 2 * len(known) < len(seconds):
        return None
    usual = median(known)
    return makespan([usual if value is None else value for value in seconds], workers)
