"""Promise: the environments of a run on a cluster share its blocks, and none is asked for when the run is over."""

from __future__ import annotations

from typing import Any

import pytest
from parsl.jobs.states import JobState, JobStatus

from envsolver.run.parsl.blocks import BlockBudget, Blocks
from envsolver.run.parsl.cluster import misses_in_a_row
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
    with pytest.raises(TimeoutError, match="no answer"):
        budget.close()
    states = [next(iter(scheduler.resources.values()))["status"].state for scheduler in schedulers]
    assert states == [JobState.CANCELLED, JobState.RUNNING, JobState.CANCELLED]


def test_after_a_block_that_never_worked_the_next_one_waits() -> None:
    _, first, _ = pair(2)
    first.missed(1)
    assert first.max_blocks == 0


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
