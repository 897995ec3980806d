"""The run: start every job as soon as its environment, a slot and the budget allow, and keep every verdict.

One thread owns all state and reads one queue of events; environments, services and workers post to it.
Nothing here knows Parsl: a `JobExecutor` carries the jobs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from envsolver.core.environments import Target
from envsolver.core.jobs import Cost, Job
from envsolver.core.progress import Progress
from envsolver.core.results import Result
from envsolver.run.parsl.executor import JobExecutor
from envsolver.run.scheduler.events import (
    CoresReleased,
    EnvironmentLocated,
    EnvironmentReady,
    EnvironmentUnavailable,
    Event,
    Message,
)
from envsolver.run.scheduler.policy import Budget, ResourceRequest, backfill, need_of, oversized
from envsolver.worker.processes import JOB_MARK, kill_marked

LOST_RETRIES = 1
"""How often a job whose worker vanished is tried again, even when no retries were asked for."""

WINDOW = 64
"""How many of the jobs that wait are looked at when one may start; it bounds the work of each decision."""

ENDING = 2
"""How many jobs may be ending while as many others have their cores already; an executor has so many workers more."""

CHECK_SECONDS = 1.0
"""How often the workers are looked after while nothing happens."""


class KernelTemplates(Protocol):
    """The templates of warm kernels, as the scheduling sees them."""

    def path_for(self, job: Job) -> str:
        """Give the socket of the template that forks a job's kernel; empty for a kernel that starts anew."""

    def loading(self, job: Job) -> frozenset[str]:
        """Name the parts of a template that must still be loaded before it can fork a job's kernel."""

    def shared(self, job: Job) -> int:
        """Give the memory that a job's kernel has in common with its template, bytes."""

    def memory(self) -> int:
        """Give the memory that all templates take together, bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    ticket: int
    future: Future[Result]


@dataclass(kw_only=True, slots=True)
class _Running:
    job: Job
    need: ResourceRequest
    slot: int
    key: str
    started: float
    """Seconds of `time.monotonic`."""
    ending: bool = False
    """Whether it has given its cores and its slot back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """What a run came to.

    Attributes
    ----------
    results
        In the order in which they were reached.
    not_run
        Notebooks without a verdict, because the run was stopped.
    stopped
        Why it was stopped, as a phrase; empty when it was not.
    interrupted
        Whether a person or the system stopped it.
    """

    results: tuple[Result, ...]
    not_run: tuple[str, ...] = ()
    stopped: str = ""
    interrupted: bool = False


class Scheduler:
    """Schedule jobs onto a dispatcher.

    Parameters
    ----------
    jobs
        In the order in which they should start.
    costs
        What history expects of each, by job id.
    dispatcher
        Carries the jobs.
    progress
        Is told what happens.
    budget
        What running jobs may use together.
    failfast
        Stop at the first notebook that does not pass.
    retries
        How many more times a notebook that does not pass is run.
    on_result
        Called with each final result, for instance to write it down at once.
    warmth
        The templates that fork the jobs' kernels; None when all start anew.
    notices
        Socket on which the workers say that a job has given its cores back, which is then posted as `CoresReleased`;
        empty when nobody listens.
    """

    def __init__(
        self,
        *,
        jobs: Sequence[Job],
        dispatcher: JobExecutor,
        progress: Progress,
        budget: Budget,
        costs: Mapping[str, Cost] | None = None,
        failfast: bool = False,
        retries: int = 0,
        on_result: Callable[[Result], None] | None = None,
        warmth: KernelTemplates | None = None,
        core_release: str = "",
    ) -> None:
        self._waiting = {job.id: job for job in jobs}
        self._jobs_of: Counter[Target] = Counter(job.target for job in jobs)
        self._costs = costs or {}
        self._dispatcher = dispatcher
        self._progress = progress
        self._budget = budget
        self._failfast = failfast
        self._retries = retries
        self._on_result = on_result
        self._warmth = warmth
        self._core_release = core_release
        self._events: SimpleQueue[Event | _Done] = SimpleQueue()
        self._ready: dict[Target, EnvironmentReady] = {}
        self._keys: set[str] = set()
        self._running: dict[int, _Running] = {}
        self._tickets = 0
        self._attempts: Counter[str] = Counter()
        self._earlier: dict[str, Result] = {}
        self._results: list[Result] = []
        self._stopped = ""

    def post(self, event: Event) -> None:
        """Hand in news; may be called from any thread."""
        self._events.put(event)

    def run(self) -> RunOutcome:
        """Run until every job has its verdict or the run is stopped.

        Returns
        -------
        RunOutcome
            An interruption is part of it and is not raised.
        """
        interrupted = False
        try:
            while (self._waiting or self._running) and not self._stopped:
                self._next_event()
                self._start_what_fits()
        except KeyboardInterrupt:
            interrupted = True
            self._stopped = "interrupted"
        unfinished = [*(running.job for running in self._running.values()), *self._waiting.values()]
        return RunOutcome(
            results=tuple(self._results),
            not_run=tuple(sorted({job.notebook for job in unfinished})),
            stopped=self._stopped,
            interrupted=interrupted,
        )

    def _next_event(self) -> None:
        try:
            event = self._events.get(timeout=CHECK_SECONDS)
        except Empty:
            self._look_after_workers()
            return
        if isinstance(event, EnvironmentLocated):
            self._open(event.key, event.prefix, self._jobs_of[event.target], event.gpus)
        elif isinstance(event, EnvironmentReady):
            self._open(event.environment.key, event.environment.prefix, self._jobs_of[event.target])
            self._ready[event.target] = event
        elif isinstance(event, EnvironmentUnavailable):
            self._give_up(event)
        elif isinstance(event, Message):
            self._progress.note(event.text)
        elif isinstance(event, CoresReleased):
            self._free(event.mark)
        else:
            self._take(event)

    def _open(self, key: str, prefix: Path, jobs: int, gpus: tuple[str, ...] = ()) -> None:
        if key not in self._keys:
            self._keys.add(key)
            self._dispatcher.open(
                key, prefix, min(self._budget.slots + (ENDING if self._core_release else 0), jobs), gpus
            )

    def _give_up(self, event: EnvironmentUnavailable) -> None:
        concerned = [
            job
            for job in self._waiting.values()
            if job.target == event.target and (event.notebooks is None or job.notebook in event.notebooks)
        ]
        for job in concerned:
            del self._waiting[job.id]
            self._finish(
                Result(
                    notebook=job.notebook,
                    group=job.group,
                    python=job.python,
                    status=event.verdict,
                    reason=event.reason,
                )
            )

    def _start_what_fits(self) -> None:
        if self._stopped:
            return
        able = self._able()
        if not able:
            return
        now = time.monotonic()
        budget = self._budget_now()
        needs = [need_of(job, self._cost(job), budget, self._shared(job)) for job in able]
        running = [(r.need.seconds - (now - r.started), r.need) for r in self._running.values()]
        for index in backfill(needs, running, budget):
            self._start(able[index], needs[index])

    def _able(self) -> list[Job]:
        """Give the jobs that could start, in order; last those for whose template another one waits already.

        That one has the template loaded. The others would wait beside it, in slots where something else can run.
        """
        ready = (job for job in self._waiting.values() if job.target in self._ready)
        if self._warmth is None:
            return list(islice(ready, WINDOW))
        awaited = {part for running in self._running.values() for part in self._warmth.loading(running.job)}
        first: list[Job] = []
        last: list[Job] = []
        for job in ready:
            parts = self._warmth.loading(job)
            (last if parts and parts <= awaited else first).append(job)
            awaited |= parts
            if len(first) == WINDOW or len(last) == 4 * WINDOW:
                break
        return [*first, *last][:WINDOW]

    def _budget_now(self) -> Budget:
        """Give the budget beside what the templates take, whose pages their kernels share."""
        if self._warmth is None:
            return self._budget
        return replace(self._budget, memory=max(self._budget.memory - self._warmth.memory(), 0))

    def _shared(self, job: Job) -> int:
        return 0 if self._warmth is None else self._warmth.shared(job)

    def _start(self, job: Job, need: ResourceRequest) -> None:
        del self._waiting[job.id]
        ready = self._ready[job.target]
        self._attempts[job.id] += 1
        sent = self._bound(job, ready)
        if oversized(job, self._budget):
            self._progress.note(f"{job.notebook} asks for more than this machine has; it runs alone")
        self._tickets += 1
        ticket = self._tickets
        taken = {running.slot for running in self._running.values() if not running.ending}
        slot = next(n for n in range(self._budget.slots) if n not in taken)
        self._running[ticket] = _Running(
            job=sent, need=need, slot=slot, key=ready.environment.key, started=time.monotonic()
        )
        self._progress.started(sent, self._cost(job).seconds)
        future = self._dispatcher.submit(ready.environment.key, sent)
        future.add_done_callback(lambda done: self._events.put(_Done(ticket=ticket, future=done)))

    def _bound(self, job: Job, ready: EnvironmentReady) -> Job:
        """Return a job as it is sent: with its environment, its template, and which attempt this is."""
        template = "" if self._warmth is None else self._warmth.path_for(job)
        return replace(
            job,
            binding=job.binding.bound(ready.environment, ready.env),
            warm_start=replace(job.warm_start, template=template, expected=self._cost(job).seconds),
            attempt=self._attempts[job.id],
            core_release=self._core_release,
        )

    def _free(self, mark: str) -> None:
        """Let others have the cores and the slot of a job that is ending, as far as there are workers for that."""
        if sum(running.ending for running in self._running.values()) >= ENDING:
            return
        for running in self._running.values():
            if running.job.mark == mark:
                running.ending = True
                running.need = replace(running.need, cores=0, slots=0, seconds=0.0)

    def _take(self, event: _Done) -> None:
        running = self._running.pop(event.ticket, None)
        if running is None:  # its workers were given up before, and so was this attempt
            return
        error = None if event.future.cancelled() else event.future.exception()
        if event.future.cancelled() or error is not None:
            self._lose(running, str(error or "its worker was stopped"))
            return
        self._judge(running, event.future.result())

    def _judge(self, running: _Running, result: Result) -> None:
        attempt = self._attempts[running.job.id]
        result = replace(result, worker=f"worker {running.slot + 1}", attempts=attempt)
        earlier = self._earlier.get(running.job.id)
        if not result.good and result.status != "environment" and attempt <= self._retries:
            self._earlier[running.job.id] = result
            self._progress.note(f"{result.notebook}: {result.status}, trying again ({attempt} of {self._retries})")
            self._wait_again(running.job)
            return
        if result.good and earlier is not None:
            told = f"passed at attempt {attempt}; before: {earlier.status}, {earlier.reason}"
            result = replace(result, reason=told)
        self._finish(result)

    def _lose(self, running: _Running, why: str) -> None:
        """Deal with a job whose worker vanished: end what it left, then try again or say `lost`."""
        job = running.job
        kill_marked(JOB_MARK, job.mark)
        attempt = self._attempts[job.id]
        if attempt <= max(LOST_RETRIES, self._retries):
            self._progress.note(f"{job.notebook}: its worker vanished ({_first_line(why)}); trying again")
            self._wait_again(job)
            return
        self._finish(
            Result(
                notebook=job.notebook,
                group=job.group,
                python=job.python,
                environment=job.binding.environment,
                status="lost",
                seconds=time.monotonic() - running.started,
                worker=f"worker {running.slot + 1}",
                reason=f"its worker vanished at each of {attempt} attempts: {_first_line(why)}",
                attempts=attempt,
            )
        )

    def _wait_again(self, job: Job) -> None:
        """Put a job before all others that wait; it is bound anew when it starts."""
        self._waiting = {job.id: job, **self._waiting}

    def _look_after_workers(self) -> None:
        for key in self._dispatcher.broken():
            concerned = [ticket for ticket, running in self._running.items() if running.key == key]
            self._dispatcher.reopen(key)
            for ticket in concerned:
                self._lose(self._running.pop(ticket), "its pool of workers ended")

    def _finish(self, result: Result) -> None:
        self._results.append(result)
        self._progress.finished(result)
        if self._on_result is not None:
            self._on_result(result)
        if self._failfast and not result.good:
            self._stopped = f"stopped at the first notebook that did not pass: {result.notebook}"

    def _cost(self, job: Job) -> Cost:
        return self._costs.get(job.id, Cost())


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
