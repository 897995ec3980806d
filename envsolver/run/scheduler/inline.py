"""An executor without Parsl: one job at a time in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.scheduler.protocols import PoolRequest


class InlineExecutor:
    """Run one job at a time on a thread of this process.

    Parameters
    ----------
    run_job
        Runs a job, whose environment the job itself names.
    clear
        Ends whatever a job left running.
    """

    def __init__(self, run_job: Callable[[Job], Result], clear: Callable[[Job], object]) -> None:
        self._run_job = run_job
        self._clear = clear
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="job")

    def open(self, key: str, pool: PoolRequest) -> None:
        """Nothing to prepare."""

    def submit(self, key: str, job: Job) -> Future[Result]:  # noqa: ARG002  the job itself names its environment
        """Run the job on the one thread."""
        return self._thread.submit(self._run_job, job)

    def clear(self, job: Job) -> None:
        """End what the job left running."""
        self._clear(job)

    def broken(self) -> Mapping[str, str]:
        """Nothing breaks here."""
        return {}

    def reopen(self, key: str) -> None:
        """Nothing to replace."""

    def close(self, *, gently: bool) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=gently, cancel_futures=True)
