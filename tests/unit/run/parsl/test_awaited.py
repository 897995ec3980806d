"""Promise: a job that waits for a node may wait long, and one that a worker has taken has its own limit."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from envsolver.core.results import Result
from envsolver.run.parsl.awaited import AwaitedJobs

DAY = 86400.0


class Line:
    """Jobs sent to one executor, and what its interchange says of how many it has handed on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs = AwaitedJobs(lambda: self.now)
        self.names: dict[Future[Result], str] = {}

    def send(self, name: str) -> Future[Result]:
        outcome: Future[Result] = Future()
        self.names[outcome] = name
        self.jobs.expect(outcome, "key", "label", seconds=180)
        self.jobs.expect(outcome, "key", "label", seconds=DAY, limit=10)
        return outcome

    def look(self, *taken: int) -> None:
        self.jobs.look("label", lambda: [{"tasks": each} for each in taken])

    def late(self, now: float) -> list[str]:
        self.now = now
        return [self.names[outcome] for outcome, _, _ in self.jobs.give_up_late()]


@pytest.fixture
def line() -> Line:
    return Line()


def test_those_that_came_first_are_those_that_workers_have(line: Line) -> None:
    for name in "abc":
        line.send(name)
    line.look(1, 1)
    assert line.late(10) == []
    assert line.late(10.1) == ["a", "b"]
    assert line.late(DAY) == []
    assert line.late(DAY + 0.1) == ["c"]


def test_the_time_counts_from_when_a_worker_was_first_seen_to_have_it(line: Line) -> None:
    line.send("a")
    line.look()
    line.now = 1000
    line.look(1)
    line.now = 1005
    line.look(1)
    assert line.late(1010) == []
    assert line.late(1011) == ["a"]


def test_a_worker_that_keeps_a_job_that_was_given_up_does_not_count_for_another(line: Line) -> None:
    line.send("a")
    line.look(1)
    assert line.late(11) == ["a"]
    line.send("b")
    line.look(1)
    assert line.late(100) == []
    line.look(1, 1)
    assert line.late(111) == ["b"]


def test_a_job_that_comes_back_while_the_interchange_is_asked_is_not_taken_for_the_next(line: Line) -> None:
    first = line.send("a")
    line.send("b")

    def ask() -> list[dict[str, Any]]:
        line.jobs.arrived(first)
        return [{"tasks": 1}]  # which was the first one's

    line.jobs.look("label", ask)
    assert line.late(100) == []


def test_an_executor_is_done_with_when_nothing_is_out(line: Line) -> None:
    outcome = line.send("a")
    assert line.jobs.awaits("label")
    line.jobs.arrived(outcome)
    assert not line.jobs.awaits("label")
    line.send("b")
    line.jobs.forget("key")
    assert not line.jobs.awaits("label")
