"""Promise: what becomes of a pod is told in its cluster's words, and one that cannot start is not awaited for ever."""

from __future__ import annotations

from typing import Any

import pytest
from parsl.jobs.states import JobState

from envsolver.run.parsl.pod_states import RETRY_SECONDS, PodStates, state_of
from envsolver.run.parsl.pods import CONTAINER


def pod(phase: str, *containers: dict[str, Any], deleted: bool = False, **status: Any) -> dict[str, Any]:
    statuses = [{"name": CONTAINER, "state": state} for state in containers]
    metadata = {"name": "p"} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n1"},
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "evicting"}
ENDED = {"exitCode": 3, "reason": "Error", "message": "one\n\nno such module\n"}
PULLING = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
PULLING_POD = pod("Pending", PULLING)


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (pod("Pending"), JobState.PENDING, "Pending on n1"),
        (pod("Pending", {"waiting": {"reason": "ContainerCreating"}}), JobState.PENDING, "Pending on n1"),
        (pod("Pending", conditions=[UNSCHEDULABLE]), JobState.PENDING, "Pending (Unschedulable: 0/3 nodes) on n1"),
        (pod("Pending", PULLING), JobState.PENDING, "Pending (ImagePullBackOff: Back-off pulling image) on n1"),
        (pod("Running", {"running": {}}), JobState.RUNNING, "Running on n1"),
        (
            pod("Running", {"running": {}}, deleted=True, conditions=[DISRUPTED]),
            JobState.RUNNING,
            "Running (EvictionByEvictionAPI: evicting; is being deleted) on n1",
        ),
        (pod("Unknown"), JobState.UNKNOWN, "Unknown on n1"),
        (pod("Succeeded", {"terminated": {"exitCode": 0}}), JobState.COMPLETED, "Succeeded on n1"),
        (pod("Failed", {"terminated": ENDED}), JobState.FAILED, "(Error: one / no such module, exit code 3) on n1"),
        (
            pod("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            JobState.FAILED,
            "Failed (OOMKilled, exit code 137) on n1",
        ),
        (pod("Failed", reason="Evicted", message="low on memory"), JobState.FAILED, "(Evicted: low on memory) on n1"),
        (pod("Failed", reason="DeadlineExceeded"), JobState.TIMEOUT, "Failed (DeadlineExceeded) on n1"),
    ],
)
def test_what_became_of_a_pod_is_told_in_the_clusters_words(found: dict[str, Any], state: JobState, words: str) -> None:
    assert state_of(found)[0] is state
    assert state_of(found)[1].endswith(words)


class Judge:
    """Judges pods with a clock of its own, and with the events of a table."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[dict[str, Any]] = []
        self.states = PodStates(lambda _: self.events, lambda: self.now)

    def at(self, seconds: float, found: dict[str, Any]) -> tuple[JobState, str]:
        self.now = seconds
        state, words, _ = self.states.judge(found)
        return state, words.removeprefix("Kubernetes: pod p ")


def event(second: int, kind: str, reason: str, message: str) -> dict[str, Any]:
    return {"lastTimestamp": f"2026-01-01T00:00:{second:02}Z", "type": kind, "reason": reason, "message": message}


def refused(reason: str, message: str) -> dict[str, Any]:
    return pod("Pending", {"waiting": {"reason": reason, "message": message}})


def test_a_registry_may_answer_later_and_what_it_said_is_told_while_its_node_waits() -> None:
    judge = Judge()
    told = "Pending (ErrImagePull: i: not found) on n1"
    assert judge.at(0, refused("ErrImagePull", "i: not found")) == (JobState.PENDING, told)
    assert judge.at(RETRY_SECONDS - 1, PULLING_POD) == (JobState.PENDING, told)
    assert judge.at(RETRY_SECONDS, PULLING_POD) == (JobState.FAILED, told)
    assert judge.at(RETRY_SECONDS + 9, {**PULLING_POD, "metadata": {"name": "q"}})[0] is JobState.FAILED


def test_a_pod_that_starts_gives_those_after_it_the_whole_time() -> None:
    judge = Judge()
    judge.at(0, PULLING_POD)
    judge.at(30, pod("Running", {"running": {}}))
    assert judge.at(50, PULLING_POD)[0] is JobState.PENDING
    assert judge.at(50 + RETRY_SECONDS, PULLING_POD)[0] is JobState.FAILED


def test_the_registrys_words_are_found_among_the_events() -> None:
    judge = Judge()
    judge.events = [
        event(1, "Warning", "Failed", "Failed to pull image: no such host"),
        event(1, "Warning", "Failed", "Error: ErrImagePull"),
        event(2, "Warning", "Failed", "Error: ImagePullBackOff"),
        event(2, "Normal", "BackOff", "Back-off pulling image"),
    ]
    assert judge.at(0, PULLING_POD)[1] == "Pending (ErrImagePull: Failed to pull image: no such host) on n1"
    judge.events = []
    assert judge.at(0, PULLING_POD)[1] == "Pending (ImagePullBackOff: Back-off pulling image) on n1"


def test_a_pull_that_goes_on_is_no_failure_whatever_the_one_before_it_was() -> None:
    judge = Judge()
    judge.at(0, PULLING_POD)
    judge.events = [event(1, "Warning", "Failed", "no such host"), event(34, "Normal", "Pulling", "Pulling image i")]
    told = "Pending (Pulling: Pulling image i) on n1"
    assert judge.at(RETRY_SECONDS, PULLING_POD) == (JobState.PENDING, told)
    judge.events.append(event(35, "Warning", "Failed", "no such host"))
    assert judge.at(RETRY_SECONDS, PULLING_POD)[0] is JobState.FAILED


def test_an_image_that_no_node_would_pull_is_not_awaited() -> None:
    assert Judge().at(0, refused("InvalidImageName", "bad"))[0] is JobState.FAILED


CREATING = {"waiting": {"reason": "ContainerCreating"}}


@pytest.mark.parametrize(
    ("message", "later"),
    [('secret "s" not found', JobState.FAILED), ("the volume is still attached elsewhere", JobState.PENDING)],
)
def test_a_volume_is_awaited_unless_there_is_none(message: str, later: JobState) -> None:
    judge = Judge()
    judge.events = [event(1, "Normal", "Scheduled", "assigned"), event(2, "Warning", "FailedMount", message)]
    told = f"Pending (FailedMount: {message}) on n1"
    assert judge.at(0, pod("Pending", CREATING)) == (JobState.PENDING, told)
    assert judge.at(RETRY_SECONDS, pod("Pending", CREATING)) == (later, told)


def test_a_fault_that_has_passed_is_told_no_more() -> None:
    judge = Judge()
    judge.events = [event(1, "Warning", "FailedMount", 'secret "s" not found'), event(2, "Normal", "Pulling", "i")]
    for seconds in (0, RETRY_SECONDS):
        assert judge.at(seconds, pod("Pending", CREATING)) == (JobState.PENDING, "Pending (Pulling: i) on n1")


@pytest.mark.parametrize(
    ("message", "later"),
    [("0/3 nodes are available", JobState.PENDING), ('persistentvolumeclaim "c" not found', JobState.FAILED)],
)
def test_a_pod_without_a_node_is_queued_unless_a_claim_is_not_there(message: str, later: JobState) -> None:
    judge, waits = Judge(), pod("Pending", conditions=[{**UNSCHEDULABLE, "message": message}])
    del waits["spec"]["nodeName"]
    judge.events = [event(1, "Warning", "FailedScheduling", message)]
    for seconds, state in ((0, JobState.PENDING), (RETRY_SECONDS, later)):
        assert judge.at(seconds, waits) == (state, f"Pending (Unschedulable: {message})")
