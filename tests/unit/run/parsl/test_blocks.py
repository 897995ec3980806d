"""Promise: the environments of a run on a cluster share its blocks, and none is asked for when the run is over."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from parsl.jobs.states import JobState, JobStatus

from envsolver.run.parsl.blocks import RETRY_SECONDS, BlockBudget, Blocks, SilentError
from envsolver.run.parsl.cluster import misses_in_a_row, unlike
from envsolver.run.parsl.slurm import never_starts


class FakeProvider:
    """A scheduler that runs every block at once."""

    label = "fake"

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.resources: dict[str, dict[str, Any]] = {}

    def submit(self, command: str, tasks_per_node: int, job_name: str) -> str:
        job = f"{command}{len(self.resources)}"
        self.resources[job] = {"status": JobStatus(JobState.RUNNING), "asked": (tasks_per_node, job_name)}
        return job

    def status(self, job_ids: list[str]) -> list[JobStatus]:
        if self.broken:
            raise TimeoutError(self.broken)
        return [self.resources[job]["status"] for job in job_ids]

    def cancel(self, job_ids: list[str]) -> list[bool]:
        if self.broken:
            raise TimeoutError(self.broken)
        for job in job_ids:
            self.resources[job]["status"] = JobStatus(JobState.CANCELLED)
        return [True for _ in job_ids]


def pair(most: int) -> tuple[BlockBudget, Blocks, Blocks]:
    budget = BlockBudget(most)
    return budget, Blocks(FakeProvider(), budget, 1.0), Blocks(FakeProvider(), budget, 1.0)


def test_what_one_environment_has_another_cannot_have() -> None:
    _, first, second = pair(3)
    for _ in range(2):
        first.submit("a", 1)
    assert (first.max_blocks, second.max_blocks) == (3, 1)


def test_others_wait_while_an_environment_with_work_has_no_block_that_runs() -> None:
    _, first, second = pair(2)
    first.submit("a", 1)
    assert not first.others_wait()
    second.wanted = True
    assert first.others_wait()
    job = second.submit("b", 1)
    assert not first.others_wait()
    second.resources[job]["status"] = JobStatus(JobState.PENDING)
    assert first.others_wait()


def test_a_block_has_its_nodes_when_it_runs_or_its_provider_says_so() -> None:
    scheduler = FakeProvider()
    blocks = Blocks(scheduler, BlockBudget(1), 1.0)
    job = blocks.submit("a", 1)
    assert blocks.placed(job)
    blocks.resources[job] = {"status": JobStatus(JobState.PENDING)}
    assert not blocks.placed(job)
    scheduler.resources[job]["placed"] = True
    assert blocks.placed(job)


def test_an_executor_that_is_replaced_gives_its_blocks_to_the_others_and_gets_no_more() -> None:
    _, first, second = pair(2)
    first.submit("a", 1)
    first.wanted = True
    first.retire()
    assert (first.active(), first.max_blocks, second.max_blocks) == ([], 0, 2)
    assert not second.others_wait()


def test_after_the_end_of_the_run_all_blocks_are_cancelled_and_none_is_asked_for() -> None:
    budget, first, _ = pair(1)
    first.submit("a", 1)
    budget.close()
    assert first.active() == []
    with pytest.raises(RuntimeError, match="the run is over"):
        first.submit("a", 1)


def test_a_scheduler_that_does_not_answer_is_known_and_the_blocks_stay_as_they_were() -> None:
    scheduler = FakeProvider()
    blocks = Blocks(scheduler, BlockBudget(1), 1.0)
    job = blocks.submit("a", 1)
    assert [each.state for each in blocks.status([job])] == [JobState.RUNNING]
    assert (blocks.silent_seconds(), blocks.silence) == (0, "")
    scheduler.broken = "no answer"
    assert [each.state for each in blocks.status([job])] == [JobState.RUNNING]
    assert (blocks.silent_seconds() > 0, blocks.silence) == (True, "no answer")
    scheduler.broken = ""
    blocks.status([job])
    assert blocks.silent_seconds() == 0


def test_one_environments_blocks_that_cannot_be_cancelled_keep_no_other_from_it() -> None:
    budget, schedulers = BlockBudget(2), (FakeProvider(), FakeProvider(), FakeProvider())
    for scheduler in schedulers:
        Blocks(scheduler, budget, 1.0).submit("a", 1)
    schedulers[1].broken = "no answer"
    assert budget.close() == ["blocks a0: no answer"]
    states = [next(iter(scheduler.resources.values()))["status"].state for scheduler in schedulers]
    assert states == [JobState.CANCELLED, JobState.RUNNING, JobState.CANCELLED]


class SilentProvider(FakeProvider):
    """A scheduler that takes no block, since it does not answer."""

    def submit(self, command: str, tasks_per_node: int, job_name: str) -> str:
        raise SilentError("no route to host")


def test_a_block_that_a_silent_scheduler_did_not_take_is_no_miss_and_is_asked_for_later() -> None:
    blocks = Blocks(SilentProvider(), BlockBudget(1), 1.0)
    with pytest.raises(SilentError) as raised:
        blocks.submit("a", 1)
    assert blocks.max_blocks == 0
    assert (blocks.silence, blocks.silent_seconds() > 0) == ("no route to host", True)
    blocks.status([])
    assert blocks.silence == "no route to host"  # without a question there is no answer
    told = JobStatus(JobState.MISSING, f"Failed to start block 0: {raised.value}")
    assert len(misses_in_a_row([JobStatus(JobState.MISSING), told, JobStatus(JobState.MISSING), told])) == 2


def test_giving_back_never_raises_since_who_gives_back_has_more_to_do() -> None:
    scheduler = FakeProvider()
    blocks = Blocks(scheduler, BlockBudget(1), 1.0)
    job = blocks.submit("a", 1)
    scheduler.broken = "no answer"
    assert blocks.cancel([job]) == [False]
    assert blocks.active() == [job]


class HangingProvider(FakeProvider):
    """A scheduler that answers no question until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def cancel(self, job_ids: list[str]) -> list[bool]:
        self.released.wait()
        return super().cancel(job_ids)


def test_the_end_of_a_run_waits_for_no_scheduler_that_hangs_and_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("envsolver.run.parsl.blocks.CLOSE_SECONDS", 0.5)
    budget, hanging, good = BlockBudget(2), HangingProvider(), FakeProvider()
    for scheduler in (hanging, good):
        Blocks(scheduler, budget, 1.0).submit("a", 1)
    assert budget.close() == ["blocks a0: the scheduler has not answered in time"]
    assert good.resources["a0"]["status"].state is JobState.CANCELLED
    hanging.released.set()


def test_a_block_that_comes_when_the_run_has_ended_without_waiting_for_it_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("envsolver.run.parsl.blocks.CLOSE_SECONDS", 0.1)

    class SlowProvider(FakeProvider):
        def submit(self, command: str, tasks_per_node: int, job_name: str) -> str:
            budget.close()
            return super().submit(command, tasks_per_node, job_name)

    budget, scheduler = BlockBudget(1), SlowProvider()
    blocks = Blocks(scheduler, budget, 1.0)
    job = blocks.submit("a", 1)
    assert (blocks.active(), scheduler.resources[job]["status"].state) == ([], JobState.CANCELLED)


def test_a_block_that_is_asked_for_while_the_run_ends_is_known_to_its_end() -> None:
    budget, ended = BlockBudget(1), threading.Event()

    def close() -> None:
        budget.close()
        ended.set()

    closing = threading.Thread(target=close)

    class LateProvider(FakeProvider):
        def submit(self, command: str, tasks_per_node: int, job_name: str) -> str:
            job = super().submit(command, tasks_per_node, job_name)
            closing.start()
            return job

    class SlowBlocks(Blocks):
        def _told(self, job: Any, answered: JobStatus) -> JobStatus:
            ended.wait(0.3)  # what is left between the scheduler's answer and the note of it
            return super()._told(job, answered)

    scheduler = LateProvider()
    submitting = threading.Thread(target=SlowBlocks(scheduler, budget, 1.0).submit, args=("a", 1))
    submitting.start()
    assert ended.wait(30)
    assert scheduler.resources["a0"]["status"].state is JobState.CANCELLED
    submitting.join()


def test_after_a_block_that_never_worked_the_next_one_waits_unless_that_one_has_lasted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("envsolver.run.parsl.blocks.time", SimpleNamespace(monotonic=lambda: now))
    _, first, _ = pair(2)
    job = first.submit("a", 1)
    first.cancel([job])
    first.missed(1)
    assert first.max_blocks == 0
    now += RETRY_SECONDS
    first.missed(1)
    assert first.max_blocks > 0
    first.submit("a", 1)
    now += 2 * RETRY_SECONDS  # which it lasts, as one whose image cannot be pulled
    first.missed(2)
    assert first.max_blocks > 0


@pytest.mark.parametrize(
    ("states", "misses"),
    [
        ((), 0),
        ((JobState.MISSING, JobState.MISSING), 2),
        ((JobState.MISSING, JobState.COMPLETED), 0),
        ((JobState.COMPLETED, JobState.MISSING, JobState.RUNNING), 1),
        ((JobState.MISSING, JobState.SCALED_IN), 1),
    ],
)
def test_only_the_last_blocks_that_never_worked_count(states: tuple[JobState, ...], misses: int) -> None:
    assert len(misses_in_a_row([JobStatus(state) for state in states])) == misses


@pytest.mark.parametrize(
    ("reason", "never"),
    [
        ("Resources", False),
        ("Priority", False),
        ("JobHeldUser", True),
        ("QOSNotAllowed", True),
        ("AssocGrpCPUMinutesLimit", True),
        ("AssocMaxJobsLimit", False),
        ("AssocGrpCpuLimit", False),
        ("AssocGrpCPURunMinutesLimit", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("QOSMaxCpuPerJobLimit", True),
        ("PartitionDown", False),
        ("PartitionTimeLimit", True),
    ],
)
def test_a_block_that_slurm_will_never_start_is_known_by_its_reason(reason: str, never: bool) -> None:
    assert never_starts(reason) is never


class OddProvider(FakeProvider):
    """A provider that notes no end of its blocks, keeps other things beside them, and answers in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []
        self.cleaned = False
        self.resources["group"] = "not a block"  # type: ignore[assignment]  # as Parsl's for Azure does

    def status(self, job_ids: list[str]) -> list[JobStatus]:
        self.asked.append(job_ids)
        return list(reversed(super().status(job_ids)))

    def cancel(self, job_ids: list[str]) -> list[bool]:
        return [True for _ in job_ids]

    def clean_up(self) -> None:
        self.cleaned = True


def test_a_providers_own_way_of_keeping_blocks_does_not_matter() -> None:
    scheduler = OddProvider()
    blocks = Blocks(scheduler, BlockBudget(2), 1.0)
    first, second = blocks.submit("a", 1), blocks.submit("b", 1)
    scheduler.resources[first]["status"] = JobStatus(JobState.FAILED)
    assert [each.state for each in blocks.status([first, second])] == [JobState.FAILED, JobState.RUNNING]
    blocks.cancel([second])
    assert blocks.active() == []
    blocks.status([first, second])
    assert scheduler.asked == [[first, second]]  # what has ended, some forget


def test_at_the_end_a_provider_removes_what_else_it_has_made() -> None:
    budget, scheduler = BlockBudget(1), OddProvider()
    Blocks(scheduler, budget, 1.0)
    budget.close()
    assert scheduler.cleaned


@pytest.mark.parametrize(("worked", "state"), [(False, JobState.MISSING), (True, JobState.FAILED)])
def test_a_block_of_no_use_counts_as_one_that_never_worked_unless_it_has(worked: bool, state: JobState) -> None:
    _, blocks, _ = pair(1)
    job = blocks.submit("a", 1)
    blocks.fail(job, "its node sees nothing", worked=worked)
    (status,) = blocks.status([job])
    assert (status.state, status.message) == (state, "RUNNING; its node sees nothing")
    assert not blocks.active()


def test_of_what_is_said_of_several_blocks_the_same_is_said_once() -> None:
    told = [
        "job 1 FAILED on n1: x",
        "job 2 FAILED on n2: x",
        "pod envsolver-0a1f Pending",
        "pod envsolver-77ce Pending",
    ]
    assert unlike(told) == ["job 2 FAILED on n2: x", "pod envsolver-77ce Pending"]
