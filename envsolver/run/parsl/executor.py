"""Parsl, behind one door: an executor per environment, jobs in, results out.

The pool runs on envsolver's own interpreter, since Parsl's interchange refuses any other; the
environment is bound through `worker_init`, which the job reads and proves. Parsl writes its files
below a directory whose path needs no quoting, since its scripts do not quote it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import getpass
import os
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from envsolver.core.errors import UnfitPlaceError
from envsolver.core.jobs import TEMPLATE_SECONDS, Job
from envsolver.core.results import Result
from envsolver.run.parsl.awaited import AwaitedJobs
from envsolver.run.parsl.monitoring import interrupts_held, make_hub
from envsolver.run.parsl.pool import Pools
from envsolver.run.scheduler.protocols import PoolRequest
from envsolver.worker.processes import JOB_MARK, kill_marked

if TYPE_CHECKING:
    from parsl.dataflow.dflow import DataFlowKernel
    from parsl.executors import HighThroughputExecutor

T = TypeVar("T")

START_SECONDS = 180.0
"""How long an executor may take until it stands; Parsl allows its interchange 120 s."""

MARGIN_SECONDS = 60.0
"""How much longer than its limits allow a job may take on its way to its worker, there, and back."""

CLOSE_SECONDS = 20.0
"""How long Parsl may take to stop; what it leaves is ended with the run."""


class ParslJobExecutor:
    """One `HighThroughputExecutor` per environment under a single `DataFlowKernel`.

    Parameters
    ----------
    pools
        Make the executors, by the profile; on this machine under the empty name.
    directory
        Where Parsl writes; its path must be free of characters that a shell treats specially.
    monitor
        Have Parsl measure the run, into a database in `directory`.
    """

    def __init__(
        self,
        pools: Mapping[str, Pools],
        *,
        directory: Path,
        monitor: bool = False,
    ) -> None:
        self._pools = pools
        self._monitor = monitor
        self._directory = directory
        self._kernel: DataFlowKernel | None = None
        self._opened: dict[str, Future[HighThroughputExecutor]] = {}
        self._requests: dict[str, PoolRequest] = {}
        self._labels: dict[str, list[str]] = {}  # of each pool's executors, the newest last
        self._awaited = AwaitedJobs()
        for each in pools.values():
            each.watch(self._awaited)
        self._left: dict[str, tuple[str, Future[HighThroughputExecutor]]] = {}  # by label, those with a stuck worker
        self._silent: set[HighThroughputExecutor] = set()
        # Executors are started one after the other, in the order of their work's urgency: each start is
        # bound by the processor, and Parsl's kernel is not made for starts from several threads.
        self._starter = _Starter()
        self._starter.submit(self._load)

    def open(self, key: str, pool: PoolRequest) -> None:
        """Queue the start of the pool's executor."""
        self._requests[key] = pool
        name = pool.environment[:12]
        before = sum(label.startswith(name) for labels in self._labels.values() for label in labels)
        label = f"{name}-{before + 1}" if before else name
        self._labels.setdefault(key, []).append(label)
        self._opened[key] = self._starter.submit(self._start, key, label)

    def submit(self, key: str, job: Job) -> Future[Result]:
        """Send the job as soon as the executor stands."""
        outcome: Future[Result] = Future()
        label = self._labels[key][-1]
        self._awaited.expect(outcome, key, label, seconds=START_SECONDS)
        outcome.add_done_callback(self._awaited.arrived)
        self._opened[key].add_done_callback(lambda started: self._send(started, key, job, outcome))
        return outcome

    def clear(self, job: Job) -> None:
        """End the processes of an attempt whose worker was lost."""
        kill_marked(JOB_MARK, job.mark)

    def broken(self) -> Mapping[str, str]:
        """Name pools whose interchange, or whose only processes, have ended or say nothing any more, and why."""
        self._give_up_late()
        return {key: why for key, opened in self._opened.items() if (why := self._why_broken(key, opened))}

    def reopen(self, key: str) -> None:
        """Start another executor in place of a broken one, from which nothing is expected any more."""
        self._awaited.forget(key)
        opened = self._opened[key]
        self._abandon(key, opened)
        self.open(key, self._requests[key])

    def _abandon(self, key: str, opened: Future[HighThroughputExecutor]) -> None:
        if opened.done() and not opened.cancelled() and opened.exception() is None:
            self._pools_of(key).abandon(opened.result())

    def close(self, *, gently: bool) -> None:
        """Stop Parsl. Without `gently` its processes are taken for dead and nothing is awaited."""
        self._starter.cancel()
        if gently and not self.broken() and all(len(labels) == 1 for labels in self._labels.values()):
            # It asks the interchanges, which may die at any time; then it would wait for ever.
            stopping = threading.Thread(target=self._stop, name="parsl-stop", daemon=True)
            stopping.start()
            stopping.join(CLOSE_SECONDS)
        with contextlib.ExitStack() as stack:  # each, whatever becomes of another
            for pools in self._pools.values():
                stack.callback(pools.close)
        if self._kernel is not None:
            atexit.unregister(self._kernel.atexit_cleanup)

    def _pools_of(self, key: str) -> Pools:
        return self._pools[self._requests[key].profile]

    def _stop(self) -> None:
        self._starter.join()
        if self._kernel is not None:
            self._kernel.cleanup()

    def _give_up_late(self) -> None:
        """Give up the jobs that are long overdue: each has lost its worker, and no other job has.

        New jobs get a pool without the worker that is stuck; the others that run in the old one stay there, and when
        they are back, it is given up.
        """
        for outcome, key, label in self._awaited.give_up_late():
            if self._labels[key][-1] == label:
                self._left[label] = (key, self._opened[key])
                self.open(key, self._requests[key])
            with contextlib.suppress(InvalidStateError):  # it came after all
                outcome.set_exception(TimeoutError("nothing came from its worker long after its limit"))
        for label in [each for each in self._left if not self._awaited.awaits(each)]:
            self._abandon(*self._left.pop(label))

    def _load(self) -> DataFlowKernel:
        if self._kernel is not None:
            return self._kernel
        from parsl.config import Config
        from parsl.dataflow import dflow
        from parsl.dataflow.dflow import DataFlowKernel

        dflow.getuser = _user  # type: ignore[attr-defined]
        scaled = next((pools for pools in self._pools.values() if pools.strategy != "none"), None)
        with self._quiet():
            self._kernel = DataFlowKernel(
                Config(
                    executors=[],
                    strategy="none" if scaled is None else scaled.strategy,
                    max_idletime=0.0 if scaled is None else scaled.idle_seconds,
                    strategy_period=1,
                    run_dir=str(self._directory),
                    initialize_logging=False,
                    usage_tracking=0,
                    monitoring=make_hub() if self._monitor else None,
                )
            )
        return self._kernel

    def _quiet(self) -> contextlib.AbstractContextManager[None]:
        """Keep Ctrl-C from the processes that monitoring starts; the run ends them itself."""
        return interrupts_held() if self._monitor else contextlib.nullcontext()

    def _start(self, key: str, label: str) -> HighThroughputExecutor:
        kernel = self._load()
        pools = self._pools_of(key)
        executor = pools.make(label, self._requests[key])
        with self._quiet():
            kernel.add_executors([executor])
        pools.started(executor)
        return executor

    def _send(self, started: Future[HighThroughputExecutor], key: str, job: Job, outcome: Future[Result]) -> None:
        if started.cancelled():
            outcome.cancel()
            return
        error = started.exception()
        if error is not None:
            outcome.set_exception(UnfitPlaceError(f"its workers could not be started: {self._start_fault(error)}"))
            return
        try:
            from parsl import python_app

            from envsolver.run.parsl.task import run_job

            executor = started.result()
            app = python_app(run_job, data_flow_kernel=self._kernel, executors=[executor.label], cache=False)
            # A warm attempt, the cold one after it, and a third have the whole limit each.
            limit = 3 * job.limits.timeout + MARGIN_SECONDS
            limit += TEMPLATE_SECONDS if job.warm_start.template else 0.0
            seconds = limit + self._pools_of(key).waiting_seconds
            self._awaited.expect(outcome, key, executor.label, seconds=seconds, limit=limit)
            app(job).add_done_callback(lambda done: self._hand_on(done, job, executor, outcome))
        except Exception as problem:  # noqa: BLE001  any failure to send must reach the scheduler
            outcome.set_exception(problem)

    def _hand_on(
        self, done: Future[Result], job: Job, executor: HighThroughputExecutor, outcome: Future[Result]
    ) -> None:
        from parsl.executors.high_throughput.errors import ManagerLost

        try:
            error = done.exception()
            pools = self._pools[job.profile]
            if isinstance(error, ManagerLost) and pools.strategy == "none":
                self._silent.add(executor)  # its interchange goes on, and would keep for ever what it is sent
            if error is None:
                ended: Result | Exception = pools.located(done.result(), executor)
            else:
                ended = pools.explain(job, _exception(error), executor)
        except Exception as problem:  # noqa: BLE001  the future must end in any case
            ended = problem
        with contextlib.suppress(InvalidStateError):  # it was given up
            if isinstance(ended, Exception):
                outcome.set_exception(ended)
            else:
                outcome.set_result(ended)

    def _why_broken(self, key: str, opened: Future[HighThroughputExecutor]) -> str:
        """Return why an executor can carry no jobs; empty for one that can, or is still starting."""
        if not opened.done() or opened.cancelled():
            return ""
        if (error := opened.exception()) is not None:
            return f"its pool of workers could not be started: {self._start_fault(error)}"
        silent = "nothing came from its pool of workers any more" if opened.result() in self._silent else ""
        return self._pools_of(key).why_broken(opened.result()) or silent

    def _start_fault(self, error: BaseException) -> str:
        """Return why an executor could not be started; a system's error does not say that it is about Parsl's files."""
        return f"{error} (Parsl's files are in {self._directory})" if isinstance(error, OSError) else str(error)


class _Starter:
    """Makes calls one after the other, on a thread that keeps no process from its end.

    Parsl waits two minutes for an interchange that may be dead by now; the threads of a pool would be waited for.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="parsl-start", daemon=True)
        self._stopped = threading.Event()
        self._thread.start()

    def submit(self, call: Callable[..., T], *arguments: object) -> Future[T]:
        """Queue a call."""
        answer: Future[T] = Future()
        self._calls.put((answer, functools.partial(call, *arguments)))
        return answer

    def cancel(self) -> None:
        """Cancel the calls that have not begun."""
        self._stopped.set()
        self._calls.put(None)

    def join(self) -> None:
        """Wait for the end of the call that has begun."""
        self._thread.join()

    def _work(self) -> None:
        while (queued := self._calls.get()) is not None:
            answer, call = queued
            if self._stopped.is_set():
                answer.cancel()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001  the future carries it
                answer.set_exception(error)


def _user() -> str:
    """Return who runs this, which Parsl writes down: in a container that may be a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # before Python 3.13, and since
        return str(os.getuid())


def _exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(str(error))
