"""Promise: a notebook does not fail for a file that its environment has lost."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future

import pytest
from fakes import job

from envsolver.core.jobs import Job
from envsolver.core.results import Failure, Result
from envsolver.core.verdicts import Verdict
from envsolver.run.healing import HealingExecutor
from envsolver.run.scheduler.protocols import PoolRequest


def result(status: Verdict, ename: str = "") -> Result:
    failure = Failure(cell=None, ename=ename, evalue="", traceback="") if ename else None
    return Result(notebook="a.ipynb", group="core", python="3.11", status=status, failure=failure)


class Disk:
    """An environment that may be damaged, and an executor whose jobs fail while it is."""

    def __init__(self, broken: Result, *, damaged: bool, mendable: bool = True) -> None:
        self.broken_result = broken
        self.damaged = damaged
        self.mendable = mendable
        self.looked = 0
        self.ran = 0

    def rebuild(self, _: Job) -> bool:
        self.looked += 1
        if self.damaged and not self.mendable:
            raise OSError("no space left")
        self.damaged, before = False, self.damaged
        return before

    def open(self, key: str, pool: PoolRequest) -> None:
        pass

    def submit(self, key: str, job: Job) -> Future[Result]:
        self.ran += 1
        done: Future[Result] = Future()
        done.set_result(self.broken_result if self.damaged else result("passed"))
        return done

    def clear(self, job: Job) -> None:
        pass

    def broken(self) -> dict[str, str]:
        return {}

    def reopen(self, key: str) -> None:
        pass

    def close(self, *, gently: bool) -> None:
        pass


def verdict(disk: Disk) -> str:
    executor = HealingExecutor(disk, disk.rebuild)
    try:
        return executor.submit("key", job()).result(timeout=60).status
    finally:
        executor.close(gently=True)


@pytest.mark.parametrize(
    "broken",
    [
        result("crashed"),
        result("environment"),
        result("failed", "ModuleNotFoundError"),
        result("failed", "ImportError"),
    ],
)
def test_a_job_whose_environment_was_damaged_is_run_again_in_the_mended_one(broken: Result) -> None:
    disk = Disk(broken, damaged=True)
    assert (verdict(disk), disk.ran) == ("passed", 2)


@pytest.mark.parametrize("broken", [result("failed", "ValueError"), result("timeout"), result("memory")])
def test_what_no_lost_file_explains_stands_and_nothing_is_looked_at(broken: Result) -> None:
    disk = Disk(broken, damaged=True)
    assert (verdict(disk), disk.ran, disk.looked) == (broken.status, 1, 0)


def test_an_environment_that_cannot_be_mended_leaves_the_verdict() -> None:
    disk = Disk(result("crashed"), damaged=True, mendable=False)
    assert (verdict(disk), disk.ran) == ("crashed", 1)


class Stubborn(Disk):
    """An environment that looks damaged for ever."""

    def rebuild(self, _: Job) -> bool:
        self.looked += 1
        return True


def test_a_job_is_run_again_once_at_most() -> None:
    disk = Stubborn(result("crashed"), damaged=True)
    assert (verdict(disk), disk.ran, disk.looked) == ("crashed", 2, 1)


def test_a_verdict_that_comes_while_the_run_is_being_stopped_stands() -> None:
    disk = Disk(result("crashed"), damaged=True)
    healing = HealingExecutor(disk, disk.rebuild)
    healing.close(gently=False)
    assert healing.submit("key", job()).result(timeout=10).status == "crashed"
    assert disk.looked == 0


class Lost(Disk):
    """An executor whose worker is lost, or that never started the job."""

    def __init__(self, *, cancelled: bool) -> None:
        super().__init__(result("crashed"), damaged=False)
        self.cancelled = cancelled

    def submit(self, key: str, job: Job) -> Future[Result]:
        done: Future[Result] = Future()
        if self.cancelled:
            done.cancel()
        else:
            done.set_exception(ConnectionError("the worker is gone"))
        return done


@pytest.mark.parametrize(("cancelled", "error"), [(True, CancelledError), (False, ConnectionError)])
def test_what_became_of_a_job_without_a_result_is_handed_on(cancelled: bool, error: type[Exception]) -> None:
    lost = Lost(cancelled=cancelled)
    healing = HealingExecutor(lost, lost.rebuild)
    with pytest.raises(error):
        healing.submit("key", job()).result(timeout=10)
    healing.close(gently=True)
