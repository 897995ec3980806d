"""Promises of the plan: its order, its admission, its bounds."""

from __future__ import annotations

import pytest
from fakes import job
from hypothesis import given
from hypothesis import strategies as st

from envsolver.core.jobs import Cost, Limits
from envsolver.run.scheduler.policy import (
    Budget,
    ResourceRequest,
    backfill,
    makespan,
    need_of,
    oversized,
    predicted_makespan,
    sort_jobs,
)

GIB = 1024**3


def need(seconds: float = 1.0, cores: int = 1, memory: int = 0) -> ResourceRequest:
    return ResourceRequest(cores=cores, memory=memory, seconds=seconds)


COSTS = {"a": Cost(seconds=5), "b": Cost(seconds=20, failed=True), "c": Cost(seconds=1)}


@pytest.mark.parametrize(
    ("by", "expected"),
    [("longest", "bacd"), ("shortest", "dcab"), ("failed", "bdca"), ("name", "abcd")],
)
def test_jobs_start_in_the_order_asked_for(by: str, expected: str) -> None:
    costs = {**COSTS, "d": Cost(seconds=0.5)}
    jobs = [job(name) for name in "dcba"]
    assert "".join(j.id for j in sort_jobs(jobs, costs, by)) == expected  # type: ignore[arg-type]  # parametrised


def test_a_notebook_that_history_does_not_know_tells_itself_what_it_takes() -> None:
    jobs = [job(name) for name in "abcd"]
    costs = {"a": Cost(seconds=30), "b": Cost(seconds=20, guessed=True), "c": Cost(seconds=20, guessed=True)}
    recorded = {"a.ipynb": 1.0, "b.ipynb": 60.0, "c.ipynb": None, "d.ipynb": 25.0}
    assert "".join(j.id for j in sort_jobs(jobs, costs, "longest", recorded)) == "badc"
    assert "".join(j.id for j in sort_jobs(jobs, costs, "longest")) == "abcd"


def test_equal_jobs_keep_the_order_of_their_names_whatever_order_they_come_in() -> None:
    jobs = [job(name) for name in "abcdef"]
    assert sort_jobs(jobs, {}, "longest") == sort_jobs(jobs[::-1], {}, "longest") == tuple(jobs)


def test_no_more_jobs_start_than_there_are_slots() -> None:
    assert backfill([need()] * 5, [], Budget(slots=2, cores=8, memory=0)) == (0, 1)


def test_running_jobs_count_in_the_budget() -> None:
    running = [(3.0, need(cores=2))]
    assert backfill([need(), need()], running, Budget(slots=4, cores=3, memory=0)) == (0,)


def test_a_short_job_fills_the_gap_before_a_big_one_that_waits() -> None:
    waiting = [need(seconds=10, cores=2), need(seconds=2)]
    running = [(5.0, need(cores=1))]
    assert backfill(waiting, running, Budget(slots=2, cores=2, memory=0)) == (1,)


def test_a_long_job_does_not_delay_a_big_one_that_waits() -> None:
    waiting = [need(seconds=10, cores=2), need(seconds=50)]
    running = [(5.0, need(cores=1))]
    assert backfill(waiting, running, Budget(slots=2, cores=2, memory=0)) == ()


def test_a_long_job_starts_when_it_fits_beside_the_big_one_that_waits() -> None:
    waiting = [need(seconds=10, cores=3), need(seconds=50)]
    running = [(5.0, need(cores=2))]
    assert backfill(waiting, running, Budget(slots=4, cores=4, memory=0)) == (1,)


def test_memory_bounds_what_runs_at_once() -> None:
    waiting = [need(memory=3 * GIB), need(memory=3 * GIB), need(memory=GIB)]
    assert backfill(waiting, [], Budget(slots=8, cores=8, memory=4 * GIB)) == (0, 2)


def test_a_job_larger_than_the_machine_is_cut_to_it_and_runs_alone() -> None:
    budget = Budget(slots=2, cores=2, memory=4 * GIB)
    big = job("big", limits=Limits(memory=64 * GIB, cores=16))
    assert oversized(big, budget)
    cut = need_of(big, Cost(), budget)
    assert backfill([cut, need()], [], budget) == (0,)


def test_memory_learnt_from_history_is_taken_with_a_margin() -> None:
    budget = Budget(slots=2, cores=2, memory=100 * GIB)
    assert need_of(job("a"), Cost(memory=4 * GIB), budget).memory == 5 * GIB
    assert need_of(job("a", limits=Limits(memory=GIB)), Cost(memory=4 * GIB), budget).memory == GIB


def test_what_a_job_shares_with_its_template_is_not_taken_from_the_budget_again() -> None:
    budget = Budget(slots=4, cores=4, memory=8 * GIB)
    assert need_of(job("a"), Cost(memory=4 * GIB), budget, 3 * GIB).memory == 2 * GIB
    assert need_of(job("a", limits=Limits(memory=2 * GIB)), Cost(), budget, 3 * GIB).memory == 0


@pytest.mark.parametrize(
    ("seconds", "workers", "wall"), [([], 2, 0), ([3, 2, 2], 1, 7), ([3, 2, 2], 2, 4), ([9, 1], 4, 9)]
)
def test_the_expected_wall_time_is_that_of_a_list_schedule(seconds: list[float], workers: int, wall: float) -> None:
    assert makespan(seconds, workers) == wall


def test_a_run_is_foretold_though_some_notebooks_never_passed_and_counts_those_as_usual() -> None:
    costs = {"a": Cost(seconds=5), "b": Cost(seconds=20), "c": Cost(seconds=1), "d": Cost(failed=True)}
    assert predicted_makespan([job(name) for name in "badce"], costs, 1) == 5 + 20 + 1 + 5 + 5


def test_a_run_of_mostly_unknown_notebooks_is_not_foretold() -> None:
    assert predicted_makespan([job(name) for name in "abc"], {"a": Cost(seconds=5)}, 2) is None
    assert predicted_makespan([], {}, 2) is None


needs = st.builds(
    ResourceRequest, cores=st.integers(1, 4), memory=st.integers(0, 8), seconds=st.floats(0.1, 100, allow_nan=False)
)


@given(
    waiting=st.lists(needs, max_size=12),
    budget=st.builds(Budget, slots=st.integers(1, 6), cores=st.just(4), memory=st.just(8)),
)
def test_what_starts_never_exceeds_the_budget_and_an_idle_machine_always_starts_something(
    waiting: list[ResourceRequest], budget: Budget
) -> None:
    chosen = backfill(waiting, [], budget)
    assert len(chosen) <= budget.slots
    assert sum(waiting[i].cores for i in chosen) <= budget.cores
    assert sum(waiting[i].memory for i in chosen) <= budget.memory
    assert chosen or not waiting
