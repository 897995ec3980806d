"""A notebook whose environment turns out to be damaged is run again, after the environment was built anew.

An executor of jobs around another one. What it looks at are results that a lost file may explain; a job is run again
once at most, and the scheduler sees one result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from envsolver.core.errors import UnfitPlaceError
from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.scheduler.protocols import JobExecutor, PoolRequest

_LOST_MODULE = frozenset({"ImportError", "ModuleNotFoundError"})
_LOOKERS = 2
"""How many results are looked at side by side."""


class HealingExecutor:
    """Carry jobs by another executor; run those again whose environment was damaged.

    Parameters
    ----------
    executor
        Carries the jobs.
    rebuild
        Looks at a job's environment; if files of it are gone, builds it anew and returns True.
    """

    def __init__(self, executor: JobExecutor, rebuild: Callable[[Job], bool]) -> None:
        self._executor = executor
        self._rebuild = rebuild
        self._rebuilt: dict[str, float] = {}
        self._guard = threading.Lock()
        self._lookers = ThreadPoolExecutor(max_workers=_LOOKERS, thread_name_prefix="healing")

    def open(self, key: str, pool: PoolRequest) -> None:
        """Have the other executor get ready."""
        self._executor.open(key, pool)

    def submit(self, key: str, job: Job) -> Future[Result]:
        """Start a job; its future waits for a second run, if there is one."""
        outcome: Future[Result] = Future()
        started = time.monotonic()

        def look(done: Future[Result]) -> None:
            if not done.cancelled() and _may_be_damage(done):
                try:
                    self._lookers.submit(self._look, key, job, started, done, outcome)
                except RuntimeError:  # the run is being stopped
                    _hand_on(done, outcome)
            else:
                _hand_on(done, outcome)

        self._executor.submit(key, job).add_done_callback(look)
        return outcome

    def clear(self, job: Job) -> None:
        """End whatever an attempt whose worker was lost left running."""
        self._executor.clear(job)

    def broken(self) -> Mapping[str, str]:
        """Name the environments whose workers are gone for good, and why."""
        return self._executor.broken()

    def reopen(self, key: str) -> None:
        """Have the workers of a broken environment replaced."""
        self._executor.reopen(key)

    def close(self, *, gently: bool) -> None:
        """Stop everything."""
        self._lookers.shutdown(wait=False, cancel_futures=True)
        self._executor.close(gently=gently)

    def _look(self, key: str, job: Job, started: float, done: Future[Result], outcome: Future[Result]) -> None:
        try:
            # One at a time: what the first finds damaged, the others find whole, and they ran before that.
            with self._guard:
                if self._rebuilt.get(key, 0.0) <= started and self._rebuild(job):
                    self._rebuilt[key] = time.monotonic()
                again = self._rebuilt.get(key, 0.0) > started
        except Exception:  # noqa: BLE001  the verdict that is there already stands
            again = False
        if again:
            self._executor.submit(key, job).add_done_callback(lambda second: _hand_on(second, outcome))
        else:
            _hand_on(done, outcome)


def _may_be_damage(done: Future[Result]) -> bool:
    """Return whether a file that is gone from the environment may be what a job's end comes from."""
    if (error := done.exception()) is not None:
        return isinstance(error, UnfitPlaceError)
    result = done.result()
    if result.status in {"crashed", "environment"}:
        return True
    return result.status == "failed" and result.failure is not None and result.failure.ename in _LOST_MODULE


def _hand_on(done: Future[Result], outcome: Future[Result]) -> None:
    if outcome.done():
        return
    if done.cancelled():
        outcome.cancel()
    elif (error := done.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())
