"""Promise: a pass at a later attempt is told as one, and fails where that was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import job

from envsolver.core.results import Result
from envsolver.core.verdicts import Verdict
from envsolver.run.scheduler.attempts import Attempts, Decision, Final, Lost, Retry

JOB = job()


def ended(status: Verdict, *, flaky: bool = False) -> Result:
    return Result(notebook="a.ipynb", group="core", python="3.11", status=status, reason=f"it {status}", flaky=flaky)


def judge(attempts: Attempts, *results: Result) -> list[Decision]:
    decisions = []
    for result in results:
        attempts.begin(JOB)
        decisions.append(attempts.judge(JOB, result, "core/0"))
    return decisions


def test_a_pass_at_a_later_attempt_is_flaky() -> None:
    first, last = judge(Attempts(1), ended("failed"), ended("passed"))
    assert isinstance(first, Retry)
    assert isinstance(last, Final)
    assert (last.result.status, last.result.flaky, last.result.attempts) == ("passed", True, 2)
    assert last.result.reason == "passed at attempt 2; before: failed, it failed"


def test_a_pass_at_a_later_attempt_fails_where_that_was_asked_for() -> None:
    _, last = judge(Attempts(1, fail_on_flaky=True), ended("failed"), ended("passed"))
    assert isinstance(last, Final)
    assert (last.result.status, last.result.flaky) == ("failed", True)
    assert last.result.reason == "flaky: passed at attempt 2; before: failed, it failed"


@pytest.mark.parametrize("retries", [0, 1])
def test_a_notebook_that_was_found_flaky_is_tried_again_only_with_retries(retries: int) -> None:
    (decision,) = judge(Attempts(retries), ended("failed", flaky=True))
    assert isinstance(decision, Retry if retries else Final)


def test_a_first_pass_is_not_flaky_whatever_was_asked_for() -> None:
    (last,) = judge(Attempts(1, fail_on_flaky=True), ended("passed"))
    assert last == Final(result=replace(ended("passed"), worker="core/0", attempts=1))


def test_what_no_place_could_run_is_no_loss_of_a_worker() -> None:
    attempts, lost = Attempts(0), Lost(reason="node n1 does not see it", unfit=True)
    decisions = []
    for _ in range(2):
        attempts.begin(JOB)
        decisions.append(attempts.judge(JOB, lost, "core/0"))
    first, last = decisions
    assert first == Retry(message="a.ipynb: it could not be run (node n1 does not see it); trying again")
    assert isinstance(last, Final)
    assert (last.result.status, last.result.reason) == (
        "environment",
        "it could not be run at each of 2 attempts: node n1 does not see it",
    )
