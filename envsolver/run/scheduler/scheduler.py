"""The scheduling: start every job as soon as its environment, a slot and the budget allow, and keep every verdict.

One thread owns all state and reads one queue of events; environments, services and workers post to it.
Nothing here knows Parsl: a `JobExecutor` carries the jobs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from pathlib import Path
from queue import Empty, SimpleQueue

from envsolver.core.environments import Target
from envsolver.core.jobs import Cost, Job
from envsolver.core.progress import Progress
from envsolver.core.results import Result
from envsolver.run.scheduler.attempts import Attempts, Lost, Retry
from envsolver.run.scheduler.events import (
    EnvironmentLocated,
    EnvironmentReady,
    EnvironmentUnavailable,
    Event,
    Message,
    StopRequested,
)
from envsolver.run.scheduler.outcome import RunOutcome, Verdicts
from envsolver.run.scheduler.policy import Budget, ResourceRequest, backfill, need_of, oversized
from envsolver.run.scheduler.protocols import JobExecutor, KernelTemplates, PoolRequest
from envsolver.run.scheduler.running import RunningJob, RunningJobs
from envsolver.run.scheduler.waiting import WaitingJobs

CHECK_SECONDS = 1.0
"""How often the workers are looked after."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _AttemptEnded:
    ticket: int
    future: Future[Result]


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """What jobs are expected to take of the budget.

    Attributes
    ----------
    budget
        What running jobs may use together.
    history
        What history expects of each, by job id.
    templates
        The templates that fork the jobs' kernels; None when all start anew.
    """

    budget: Budget
    history: Mapping[str, Cost]
    templates: KernelTemplates | None

    def available(self) -> Budget:
        """Return the budget beside what the templates take, whose pages their kernels share."""
        taken = 0 if self.templates is None else self.templates.memory()
        return replace(self.budget, memory=max(self.budget.memory - taken, 0))

    def need(self, job: Job, budget: Budget) -> ResourceRequest:
        """Return what a job takes of a budget."""
        shared = 0 if self.templates is None else self.templates.shared(job)
        return need_of(job, self.history.get(job.id, Cost()), budget, shared)

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
    budget
        What running jobs may use together.
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
    """

    def __init__(
        self,
        *,
        jobs: Sequence[Job],
        executor: JobExecutor,
        progress: Progress,
        budget: Budget,
        verdicts: Verdicts | None = None,
        costs: Mapping[str, Cost] | None = None,
        retries: int = 0,
        fail_on_flaky: bool = False,
        templates: KernelTemplates | None = None,
    ) -> None:
        self._waiting = WaitingJobs(jobs)
        self._running = RunningJobs(budget.slots)
        self._costs = Costs(budget=budget, history=costs or {}, templates=templates)
        self._executor = executor
        self._opened: set[str] = set()
        self._ready: dict[Target, EnvironmentReady] = {}
        self._attempts = Attempts(retries, fail_on_flaky=fail_on_flaky)
        self._verdicts = verdicts or Verdicts(progress)
        self._progress = progress
        self._events: SimpleQueue[Event | _AttemptEnded] = SimpleQueue()
        self._looked = time.monotonic()  # after the workers

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
                    self._handle(self._events.get(timeout=CHECK_SECONDS))
                if time.monotonic() - self._looked >= CHECK_SECONDS:
                    self._replace_broken_workers()
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
        if event.future.cancelled() or error is not None:
            self._lose(running, str(error or "its worker was stopped"))
            # What ended it may have ended its pool: before anything is sent there again, all that it hit is reported.
            self._replace_broken_workers()
        else:
            self._judge(running, event.future.result())

    def _open(self, target: Target, key: str, prefix: Path, gpus: tuple[str, ...] = ()) -> None:
        jobs = self._waiting.of(target)
        if key not in self._opened and jobs:
            self._opened.add(key)
            request = PoolRequest(
                prefix=prefix,
                workers=min(self._costs.budget.slots, len(jobs)),
                gpus=gpus,
                cores=max(job.limits.cores for job in jobs),
                memory=max((job.limits.memory or 0 for job in jobs), default=0) or None,
                seconds=max(job.limits.timeout for job in jobs),
            )
            self._executor.open(key, request)

    def _start_what_fits(self) -> None:
        if self._verdicts.stopped:
            return
        able = self._waiting.startable(self._ready.keys(), self._costs.templates, self._running.jobs)
        if not able:
            return
        budget = self._costs.available()
        needs = [self._costs.need(job, budget) for job in able]
        for index in backfill(needs, self._running.requests(), budget):
            self._start(able[index], needs[index])

    def _start(self, job: Job, need: ResourceRequest) -> None:
        self._waiting.remove(job)
        sent = self._bound(job)
        if oversized(job, self._costs.budget):
            self._progress.note(f"{job.notebook} asks for more than this machine has; it runs alone")
        ticket = self._running.add(sent, need)
        self._progress.started(sent, sent.warm_start.expected)
        future = self._executor.submit(sent.binding.environment, sent)
        self._running.note_sent(ticket, future)
        future.add_done_callback(lambda done: self._events.put(_AttemptEnded(ticket=ticket, future=done)))

    def _bound(self, job: Job) -> Job:
        """Return a job as it is sent: with its environment, its template, and which attempt this is."""
        ready = self._ready[job.target]
        templates = self._costs.templates
        template = "" if templates is None else templates.path_for(job)
        return replace(
            job,
            binding=job.binding.bound(ready.environment, ready.env),
            warm_start=replace(job.warm_start, template=template, expected=self._costs.seconds(job)),
            attempt=self._attempts.begin(job),
        )

    def _lose(self, running: RunningJob, reason: str) -> None:
        """Deal with a job whose worker vanished: end what it left, then try again or say `lost`."""
        self._executor.clear(running.job)
        self._judge(running, Lost(reason=reason, seconds=time.monotonic() - running.started))

    def _judge(self, running: RunningJob, ended: Result | Lost) -> None:
        decision = self._attempts.judge(running.job, ended, running.worker)
        if isinstance(decision, Retry):
            self._progress.note(decision.message)
            self._waiting.put_first(running.job)
        else:
            self._verdicts.add(decision.result)

    def _replace_broken_workers(self) -> None:
        """Have a new pool in the place of each broken one, whose jobs each lose the attempt that was there."""
        self._looked = time.monotonic()
        for key, why in self._executor.broken().items():
            concerned = self._running.remove_all(key)
            self._executor.reopen(key)
            for running in concerned:
                if (result := running.result) is not None:  # it had come back before, and is only not dealt with yet
                    self._judge(running, result)
                else:
                    self._lose(running, why)
