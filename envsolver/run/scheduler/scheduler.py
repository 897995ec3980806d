"""The scheduling: start every job as soon as its environment, a slot and the budget allow, and keep every verdict.

One thread owns all state and reads one queue of events; environments, services and workers post to it.
Nothing here knows Parsl: a `JobExecutor` carries the jobs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from pathlib import Path
from queue import Empty, SimpleQueue

from envsolver.core.environments import Target
from envsolver.core.errors import HandedBackError, UnfitPlaceError
from envsolver.core.jobs import Cost, Job, pool_of
from envsolver.core.progress import Progress
from envsolver.core.quantities import duration
from envsolver.core.results import Result
from envsolver.run.scheduler.attempts import Attempts, Lost, Retry
from envsolver.run.scheduler.clock import Clock
from envsolver.run.scheduler.events import (
    EnvironmentLocated,
    EnvironmentReady,
    EnvironmentUnavailable,
    Event,
    Message,
    StopRequested,
)
from envsolver.run.scheduler.outcome import RunOutcome, Verdicts
from envsolver.run.scheduler.policy import UNKNOWN_SECONDS, Budget, ResourceRequest, backfill, need_of, oversized
from envsolver.run.scheduler.protocols import JobExecutor, KernelTemplates, PoolRequest
from envsolver.run.scheduler.running import RunningJob, RunningJobs
from envsolver.run.scheduler.shares import Demand, OpenPools
from envsolver.run.scheduler.waiting import WaitingJobs

CHECK_SECONDS = 1.0
"""How often the workers are looked after."""

HOLD_SECONDS = 40.0
"""How long a job that was handed back waits at most: by then a block that has nothing else to run was given back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _AttemptEnded:
    ticket: int
    future: Future[Result]


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """What jobs are expected to take of the budget.

    Attributes
    ----------
    budgets
        What running jobs may use together, by the profile that they run under.
    history
        What history expects of each, by job id.
    templates
        The templates that fork the jobs' kernels; None when all start anew.
    """

    budgets: Mapping[str, Budget]
    history: Mapping[str, Cost]
    templates: KernelTemplates | None

    def available(self, profile: str, slots: int) -> Budget:
        """Return a budget of so many slots at most, beside what the templates take, whose pages their kernels share."""
        taken, whole = 0 if self.templates is None else self.templates.memory(), self.budgets[profile]
        return replace(whole, slots=min(whole.slots, slots), memory=max(whole.memory - taken, 0))

    def need(self, job: Job, budget: Budget) -> ResourceRequest:
        """Return what a job takes of a budget."""
        shared = 0 if self.templates is None else self.templates.shared(job)
        return need_of(job, self.history.get(job.id, Cost()), budget, shared)

    def template(self, job: Job) -> str:
        """Return the socket of the template that forks a job's kernel; empty for a kernel that starts anew."""
        return "" if self.templates is None else self.templates.path_for(job)

    def learn(self, job: Job, ended: Result | Lost) -> None:
        """Have the templates hear what an attempt came to."""
        if self.templates is not None and isinstance(ended, Result):
            self.templates.learn(job, ended)

    def seconds(self, job: Job) -> float | None:
        """Return how long a job is expected to take; None when nothing is known."""
        return self.history.get(job.id, Cost()).seconds


class Scheduler:
    """Schedule jobs onto an executor.

    Parameters
    ----------
    jobs
        In the order in which they should start.
    executor
        Carries the jobs.
    progress
        Is called with what happens.
    slots
        How many jobs may run at once.
    budgets
        What running jobs may use together, by the profile that they run under; empty for this machine.
    verdicts
        Gets each final result, and says when to stop; None for one that only keeps them.
    costs
        What history expects of each, by job id.
    retries
        How many more times a notebook that does not pass is run.
    fail_on_flaky
        Whether one that passes at a later attempt has failed.
    templates
        The templates that fork the jobs' kernels; None when all start anew.
    clock
        The time to go by.
    """

    def __init__(
        self,
        *,
        jobs: Sequence[Job],
        executor: JobExecutor,
        progress: Progress,
        slots: int,
        budgets: Mapping[str, Budget],
        verdicts: Verdicts | None = None,
        costs: Mapping[str, Cost] | None = None,
        retries: int = 0,
        fail_on_flaky: bool = False,
        templates: KernelTemplates | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._running = RunningJobs(slots, self._clock)
        self._costs = Costs(budgets=budgets, history=costs or {}, templates=templates)
        self._waiting = WaitingJobs(jobs, lambda job: self._costs.seconds(job) or UNKNOWN_SECONDS)
        self._executor = executor
        self._pools = OpenPools(budgets)
        self._ready: dict[Target, EnvironmentReady] = {}
        self._attempts = Attempts(retries, fail_on_flaky=fail_on_flaky)
        self._verdicts = verdicts or Verdicts(progress)
        self._progress = progress
        self._events: SimpleQueue[Event | _AttemptEnded] = SimpleQueue()
        self._looked = self._clock.now()  # after the workers

    def post(self, event: Event) -> None:
        """Hand in an event; may be called from any thread."""
        self._events.put(event)

    def run(self) -> RunOutcome:
        """Run until every job has its verdict or the run is stopped.

        Returns
        -------
        RunOutcome
            An interruption is part of it and is not raised.
        """
        try:
            while (self._waiting or self._running) and not self._verdicts.stopped:
                with contextlib.suppress(Empty):
                    self._handle(self._clock.next(self._events, CHECK_SECONDS))
                if self._clock.now() - self._looked >= CHECK_SECONDS:
                    self._replace_broken_workers()
                    self._share_blocks()
                self._waiting.release(self._clock.now())
                self._start_what_fits()
        except KeyboardInterrupt:
            self._verdicts.interrupt()
        return self._verdicts.outcome([*self._running.jobs, *self._waiting])

    @singledispatchmethod
    def _handle(self, event: object) -> None:
        """Deal with one event."""
        raise TypeError(event)

    @_handle.register
    def _(self, event: EnvironmentLocated) -> None:
        self._open(event.target, event.key, event.prefix, event.gpus)

    @_handle.register
    def _(self, event: EnvironmentReady) -> None:
        self._open(event.target, event.environment.key, event.environment.prefix)
        self._ready[event.target] = event
        self._share_blocks()

    @_handle.register
    def _(self, event: EnvironmentUnavailable) -> None:
        for job in self._waiting.of(event.target, event.notebooks):
            self._waiting.remove(job)
            self._verdicts.add(
                Result(
                    notebook=job.notebook,
                    group=job.group,
                    python=job.python,
                    strategy=job.strategy,
                    status=event.verdict,
                    reason=event.reason,
                    log=event.log,
                )
            )

    @_handle.register
    def _(self, event: Message) -> None:
        self._progress.note(event.text)

    @_handle.register
    def _(self, event: StopRequested) -> None:
        self._verdicts.interrupt(event.reason)

    @_handle.register
    def _(self, event: _AttemptEnded) -> None:
        running = self._running.remove(event.ticket)
        if running is None:  # its workers were given up before, and so was this attempt
            return
        error = None if event.future.cancelled() else event.future.exception()
        if isinstance(error, HandedBackError):
            self._take_back(running.job, error.seconds)
        elif event.future.cancelled() or error is not None:
            self._lose(running, str(error or "its worker was stopped"), unfit=isinstance(error, UnfitPlaceError))
            # What ended it may have ended its pool: before anything is sent there again, all that it hit is reported.
            self._replace_broken_workers()
        else:
            self._judge(running, self._with_queue_time(running, event.future.result()))

    def _open(self, target: Target, key: str, prefix: Path, gpus: tuple[str, ...] = ()) -> None:
        jobs = self._waiting.of(target)
        pool = pool_of(key, jobs[0].profile) if jobs else ""  # which all jobs of a group have in common
        if jobs and self._pools.add(pool, jobs[0].profile, target):
            request = PoolRequest(
                prefix=prefix,
                environment=key,
                profile=jobs[0].profile,
                workers=min(self._costs.budgets[jobs[0].profile].slots, len(jobs)),
                gpus=gpus,
                cores=max(job.limits.cores for job in jobs),
                memory=max((job.limits.memory or 0 for job in jobs), default=0) or None,
            )
            self._executor.open(pool, request)

    def _start_what_fits(self) -> None:
        for profile, budget in self._costs.budgets.items():
            if self._verdicts.stopped or not self._running.free:
                return
            if budget.blocks:
                self._fill_blocks(profile)
            else:
                self._start_what_fits_under(profile)

    def _share_blocks(self) -> None:
        """Share the blocks of each cluster among its pools, by the work that is left."""
        running = self._running.demand()
        for profile in (name for name, budget in self._costs.budgets.items() if budget.blocks):
            demand = {}
            for pool, targets in self._pools.under(profile, self._ready):
                waits, runs = self._waiting.demand(targets), running.get(pool, Demand(jobs=0, seconds=0.0))
                demand[pool] = Demand(jobs=waits.jobs + runs.jobs, seconds=waits.seconds + runs.seconds)
            self._pools.share(profile, demand)

    def _fill_blocks(self, profile: str) -> None:
        """Send each pool of a cluster as many jobs as its blocks run at once; what a node holds is for it to say."""
        budget = self._costs.budgets[profile]
        for pool, targets in self._pools.under(profile, self._ready):
            room = min(self._pools.places(pool) - self._running.of_pool[pool], self._running.free)
            for job in self._waiting.first(targets, room) if room > 0 else ():
                self._start(job, self._costs.need(job, budget))

    def _start_what_fits_under(self, profile: str) -> None:
        targets = [target for _, each in self._pools.under(profile, self._ready) for target in each]
        able = self._waiting.startable(targets, self._costs.templates, self._running.jobs)
        if not able:
            return
        running = self._running.requests(profile)
        budget = self._costs.available(profile, len(running) + self._running.free)
        needs = [self._costs.need(job, budget) for job in able]
        for index in backfill(needs, running, budget):
            self._start(able[index], needs[index])

    def _start(self, job: Job, need: ResourceRequest) -> None:
        self._waiting.remove(job)
        sent = self._bound(job)
        if oversized(job, self._costs.budgets[job.profile]):
            self._progress.note(f"{job.notebook} asks for more than this machine has; it runs alone")
        ticket = self._running.add(sent, need)
        self._progress.started(sent, sent.warm_start.expected)
        future = self._executor.submit(sent.pool, sent)
        self._running.note_sent(ticket, future)
        future.add_done_callback(lambda done: self._events.put(_AttemptEnded(ticket=ticket, future=done)))

    def _bound(self, job: Job) -> Job:
        """Return a job as it is sent: with its environment, its template, and which attempt this is."""
        ready = self._ready[job.target]
        return replace(
            job,
            binding=job.binding.bound(ready.environment, ready.env),
            warm_start=replace(job.warm_start, template=self._costs.template(job), expected=self._costs.seconds(job)),
            attempt=self._attempts.begin(job),
        )

    def _take_back(self, job: Job, seconds: float) -> None:
        """Have a job wait that was not started, at the longest until the block is over that is too short for it."""
        self._attempts.take_back(job)
        self._waiting.hold(job, self._clock.now() + min(max(seconds, CHECK_SECONDS), HOLD_SECONDS))
        self._progress.returned(job)
        self._progress.note(f"{job.notebook} waits for another block: only {duration(seconds)} are left of this one")

    def _lose(self, running: RunningJob, reason: str, *, unfit: bool = False) -> None:
        """Deal with a job that has come to no result: end what it left, then try again or say so."""
        self._executor.clear(running.job)
        self._judge(running, Lost(reason=reason, seconds=self._clock.now() - running.started, unfit=unfit))

    def _judge(self, running: RunningJob, ended: Result | Lost) -> None:
        self._costs.learn(running.job, ended)
        decision = self._attempts.judge(running.job, ended, running.worker)
        if isinstance(decision, Retry):
            self._progress.returned(running.job)
            self._progress.note(decision.message)
            self._waiting.put_first(running.job)
        else:
            self._verdicts.add(decision.result)

    def _replace_broken_workers(self) -> None:
        """Have a new pool in the place of each broken one, whose jobs each lose the attempt that was there."""
        self._looked = self._clock.now()
        for pool, why in self._executor.broken().items():
            concerned = self._running.remove_all(pool)
            self._executor.reopen(pool)
            for running in concerned:
                if (result := running.result) is not None:  # it had come back before, and is only not dealt with yet
                    self._judge(running, result)
                else:
                    self._lose(running, why)

    def _with_queue_time(self, running: RunningJob, result: Result) -> Result:
        """Return a cluster's result with the time that its job waited there before a worker took it."""
        if not running.job.profile:
            return result
        return replace(result, queued_seconds=max(0.0, self._clock.now() - running.started - result.seconds))
