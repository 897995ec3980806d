"""Which jobs are out, since when a worker has each, and when it should be back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from envsolver.core.results import Result

Outcome = Future[Result]


@dataclass(kw_only=True, slots=True)
class _Sent:
    """A job that is out.

    Attributes
    ----------
    key, label
        The pool that it is for, and the executor that it went to.
    due
        When it should be back, on the monotonic clock.
    limit
        How many seconds it may take once a worker has it; None while it is not sent.
    """

    key: str
    label: str
    due: float
    limit: float | None = None


class AwaitedJobs:
    """The jobs that are out; several threads change it.

    On a cluster a job may wait for a node for a day, and then has only its own limit. Parsl's interchange does not say
    which jobs it has handed on, but how many, and it hands on those first that came first.

    Parameters
    ----------
    clock
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: dict[Outcome, _Sent] = {}  # in the order in which they were sent
        self._given_up: Counter[str] = Counter()
        self._guard = threading.Lock()

    def expect(self, outcome: Outcome, key: str, label: str, *, seconds: float, limit: float | None = None) -> None:
        """Note when a job should be back: `seconds` from now, and `limit` from when a worker has it."""
        with self._guard:
            self._sent[outcome] = _Sent(key=key, label=label, due=self._clock() + seconds, limit=limit)

    def arrived(self, outcome: Outcome) -> None:
        """Await a job no more."""
        with self._guard:
            self._sent.pop(outcome, None)

    def forget(self, key: str) -> None:
        """Await nothing from a pool any more."""
        with self._guard:
            self._sent = {outcome: sent for outcome, sent in self._sent.items() if sent.key != key}

    def look(self, label: str, ask: Callable[[], Sequence[dict[str, Any]]]) -> Sequence[dict[str, Any]]:
        """Ask an executor's interchange for its managers, and note which jobs their workers have by now."""
        with self._guard:  # before: what comes back meanwhile is not to be taken for one that came after it
            out = [sent for sent in self._sent.values() if sent.label == label and sent.limit is not None]
        managers = ask()
        with self._guard:
            taken = sum(each["tasks"] for each in managers) - self._given_up[label]
            for sent in out[: max(0, taken)]:
                sent.due = min(sent.due, self._clock() + (sent.limit or 0.0))
        return managers

    def give_up_late(self) -> list[tuple[Outcome, str, str]]:
        """Return the jobs that are overdue, with their pools and executors, and await them no more."""
        with self._guard:
            now = self._clock()
            late = [(outcome, sent.key, sent.label) for outcome, sent in self._sent.items() if sent.due < now]
            for outcome, _, label in late:
                del self._sent[outcome]
                self._given_up[label] += 1  # its worker still has it
        return late

    def awaits(self, label: str) -> bool:
        """Return whether a job is out with an executor."""
        with self._guard:
            return any(sent.label == label for sent in self._sent.values())
