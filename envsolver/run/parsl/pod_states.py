"""What a cluster says of a pod, in its words, and whether one that has not started still may.

A pod has a node long before it runs, while its volumes are mounted and its image is pulled, and none of that ends by
itself: its node tries for ever. Only events tell of volumes, and of the registry's words.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from parsl.jobs.states import JobState

NEVER_STARTS = frozenset({"ErrImageNeverPull", "InvalidImageName"})
"""Reasons for which a container waits that its node does not try again, or in vain."""

BACKING_OFF = frozenset({"CrashLoopBackOff", "ImagePullBackOff"})
"""Reasons that tell only that the node waits before it tries again; what it has seen before is why."""

RETRIED = BACKING_OFF | {
    "CreateContainerConfigError", "CreateContainerError", "ErrImagePull", "ImageInspectError", "PostStartHookError",
    "PreCreateHookError", "RegistryUnavailable", "RunContainerError", "SignatureValidationFailed",
}  # fmt: skip
"""Reasons for which a container waits that may pass, as a registry may answer later (kubelet's `types.go`)."""

RETRY_SECONDS = 35.0
"""How long what may pass is awaited: a node pulls again after 10 s, and after 20 s more."""

_NOT_THERE = re.compile(r'"[^"]+" not found')
"""How Kubernetes says that there is no Secret, ConfigMap or volume claim of a name."""

Event = Mapping[str, Any]


class PodState(NamedTuple):
    """What a pod is as a block, what the cluster says of it, and whether it has a node."""

    state: JobState
    words: str
    placed: bool


class PodStates:
    """Judges the pods of an environment.

    Parameters
    ----------
    events
        Returns what the cluster has told of a pod; nothing where it does not say.
    clock
        Seconds, by which what may pass is awaited.
    """

    def __init__(
        self, events: Callable[[Mapping[str, Any]], Sequence[Event]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._events = events
        self._clock = clock
        self._refused: dict[str, str] = {}  # what the registry said, by pods whose nodes wait before they ask again
        self._hindered: float | None = None  # since when pods cannot start, and none has
        self._started: set[str] = set()

    def judge(self, pod: Mapping[str, Any]) -> PodState:
        """Return a pod's state: failed as well for one that cannot start, and has not for a while."""
        state, words = state_of(pod)
        name, placed = pod["metadata"]["name"], bool(pod.get("spec", {}).get("nodeName"))
        if state is JobState.RUNNING and name not in self._started:
            self._started.add(name)
            self._hindered = None
        if state is not JobState.PENDING:
            return PodState(state, words, placed)
        why = self._why(pod, self._events(pod) if placed else [])
        if why is not None and self._in_vain(*why):
            state = JobState.FAILED
        return PodState(state, words if why is None else _words(pod, "Pending", [": ".join(why)]), placed)

    def _why(self, pod: Mapping[str, Any], events: Sequence[Event]) -> tuple[str, str] | None:
        """Return why a pod has not started: a reason and its message; None where nothing more is known."""
        waiting, told = next(iter(_waiting(pod)), None), _last(events, _tells)
        if waiting is None or (told is not None and told["reason"] == "Pulling"):  # just now, again
            missing = [each for each in _told(pod.get("status", {})) if _NOT_THERE.search(_message(each))]
            found = next(iter(missing), told)
            return None if found is None else (str(found.get("reason", "")), _message(found))
        name, reason, words = pod["metadata"]["name"], str(waiting["reason"]), _message(waiting)
        if reason not in BACKING_OFF:
            self._refused[name] = words
            return reason, words
        refused = self._refused.get(name) or _message(_last(events, _warns) or {})
        return ("ErrImagePull" if reason == "ImagePullBackOff" and refused else reason), refused or words

    def _in_vain(self, reason: str, message: str) -> bool:
        if reason in NEVER_STARTS:
            return True
        if reason not in RETRIED and not _NOT_THERE.search(message):
            return False  # as a disk that is still in use elsewhere: that may take minutes
        self._hindered = self._clock() if self._hindered is None else self._hindered
        return self._clock() - self._hindered >= RETRY_SECONDS


def state_of(pod: Mapping[str, Any]) -> tuple[JobState, str]:
    """Return the state of a block whose pod this is, and what the cluster says of it."""
    status = pod.get("status", {})
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        state = JobState.COMPLETED
    elif phase == "Failed":
        state = JobState.TIMEOUT if status.get("reason") == "DeadlineExceeded" else JobState.FAILED
    else:
        state = {"Pending": JobState.PENDING, "Running": JobState.RUNNING}.get(phase, JobState.UNKNOWN)
    return state, _words(pod, phase, [*_whys(status), *map(_why, _waiting(pod))])


def _words(pod: Mapping[str, Any], phase: str, whys: list[str]) -> str:
    node = pod.get("spec", {}).get("nodeName")
    deleted = ["is being deleted"] if pod["metadata"].get("deletionTimestamp") else []
    why = "; ".join(dict.fromkeys(filter(None, [*whys, *deleted])))
    return (
        f"Kubernetes: pod {pod['metadata']['name']} {phase}{f' ({why})' if why else ''}{f' on {node}' if node else ''}"
    )


def _whys(status: Mapping[str, Any]) -> list[str]:
    """Return the reasons for what became of a pod: its own, those of what disturbed it, and of its containers."""
    ended = [each for each in _states(status, "terminated") if each.get("exitCode")]
    codes = [f"{_why(each)}, exit code {each['exitCode']}" for each in ended]
    return [_why(status), *map(_why, _told(status)), *codes]


def _told(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the conditions that say why a pod has no node, or loses it."""
    kinds = {("DisruptionTarget", "True"), ("PodScheduled", "False")}
    return [each for each in status.get("conditions", ()) if (each.get("type"), each.get("status")) in kinds]


def _waiting(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the states of containers that cannot start."""
    waiting = _states(pod.get("status", {}), "waiting")
    return [each for each in waiting if each.get("reason") in NEVER_STARTS | RETRIED]


def _states(status: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    statuses = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return [each["state"][kind] for each in statuses if kind in each.get("state", {})]


def _last(events: Sequence[Event], chosen: Callable[[Event], bool]) -> Event | None:
    """Return the last of some events; of those of one second that which the cluster names last."""
    return next(iter(sorted(filter(chosen, events), key=_moment)[-1:]), None)


def _tells(event: Event) -> bool:
    """Return whether an event tells what a node is about, other than that it has the pod or waits."""
    return _warns(event) or event.get("reason") in {"Pulling", "Pulled"}


def _warns(event: Event) -> bool:
    """Return whether an event tells of a fault: of a second one for each (`Error: ErrImagePull`) there is no need."""
    told = event.get("type") == "Warning" and event.get("reason") not in {"BackOff", "FailedScheduling"}
    return told and not str(event.get("message", "")).startswith("Error: ")


def _moment(event: Event) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp", ""))


def _why(said: Mapping[str, Any]) -> str:
    """Return a reason and its message."""
    return ": ".join(filter(None, [said.get("reason"), _message(said)]))


def _message(said: Mapping[str, Any]) -> str:
    """Return a message, of several lines the last ones."""
    lines = [line.strip() for line in str(said.get("message") or "").splitlines() if line.strip()]
    return " / ".join(lines[-5:])
