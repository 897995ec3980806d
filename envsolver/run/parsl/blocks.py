"""Parsl's providers as a run uses them: asked as often as the site allows, and bounded all together.

Parsl decides when an executor gets another block or loses an idle one (its strategy `htex_auto_scale`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any

from parsl.jobs.states import JobState, JobStatus
from parsl.providers.base import ExecutionProvider

RETRY_SECONDS = 5.0
"""How long after a block that never worked was asked for there is no other; twice as long after the next one."""

LONGEST_RETRY_SECONDS = 30.0
"""How long at most while the scheduler does not answer."""

CLOSE_SECONDS = 20.0
"""How long giving back all blocks may take at the end of the run; those that are left find no controller, and end."""

UNHEARD = "the scheduler has not answered: "
"""How the message of a block begins for which the scheduler could not be asked."""


class SilentError(Exception):
    """The scheduler did not answer, which may pass; `words` is what its command said."""

    def __init__(self, words: str) -> None:
        super().__init__(UNHEARD + words)
        self.words = words


class Contact:
    """Whether a scheduler answers, and since when it does not.

    Attributes
    ----------
    words
        What its command said instead; empty when it has answered.
    since
        Since when it has not answered, on the monotonic clock.
    asked
        When it was last asked for a block.
    """

    def __init__(self) -> None:
        self.words = ""
        self.since = math.inf
        self.asked = 0.0
        self._times = 0

    def heard(self, silence: str) -> None:
        """Note that the scheduler has answered, or what its command said instead."""
        self.words = silence
        self.since = min(self.since, time.monotonic()) if silence else math.inf
        self._times = self._times + 1 if silence else 0

    def wait_seconds(self) -> float:
        """Return how long to wait before it is asked again, longer each time."""
        return min(RETRY_SECONDS * 2.0**self._times, LONGEST_RETRY_SECONDS)


class BlockBudget:
    """The blocks that all environments of a profile may have at once.

    Parameters
    ----------
    most
        How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._providers: list[Blocks] = []
        self._closed = False
        self.lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether the run is over, so that no block may be asked for any more."""
        return self._closed

    def add(self, provider: Blocks) -> None:
        """Count a provider's blocks as well."""
        self._providers.append(provider)

    def limit(self, provider: Blocks) -> int:
        """Return how many blocks a provider may have now."""
        others = sum(len(each.active()) for each in self._providers if each is not provider)
        own = len(provider.active())
        return max(own, self._most - others)

    def is_short(self) -> bool:
        """Return whether an environment has work and no block that runs: idle ones of others may be in its way."""
        return any(each.wanted and not each.running() for each in self._providers)

    def close(self) -> list[str]:
        """Cancel all blocks, and let none be asked for; return what is left, and why, a text for each provider.

        Waits for a block that is being asked for just now, but for no scheduler longer than `CLOSE_SECONDS`.
        """
        until = time.monotonic() + CLOSE_SECONDS
        free = self.lock.acquire(timeout=CLOSE_SECONDS)
        self._closed = True
        if free:
            self.lock.release()
        closing = [threading.Thread(target=each.close, name="give-back", daemon=True) for each in self._providers]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(max(0.0, until - time.monotonic()))
        return [words for each in self._providers if (words := each.left())]


class Blocks(ExecutionProvider):
    """A provider around one of Parsl's.

    Parameters
    ----------
    inner
        Talks to the scheduler.
    budget
        Bounds the blocks of all providers of the run.
    poll
        Seconds between two questions to the scheduler.
    """

    init_blocks = min_blocks = 0

    def __init__(self, inner: Any, budget: BlockBudget, poll: float) -> None:
        self._inner = inner
        self._budget = budget
        self.poll = poll
        self._not_before = 0.0
        self._misses = 0
        self._contact = Contact()
        self._fault = ""
        self.asked: dict[Any, float] = {}
        self.wanted = False
        # What Parsl's own keep has other keys with some, and not all note there what they have given back.
        self.resources: dict[Any, dict[str, JobStatus]] = {}
        self.cores_per_node = getattr(inner, "cores_per_node", None)
        self.mem_per_node = getattr(inner, "mem_per_node", None)
        budget.add(self)

    def submit(self, command: str, tasks_per_node: int, job_name: str = "parsl") -> Any:
        """Ask for a block.

        Raises
        ------
        RuntimeError
            The run is over.
        SilentError
            The scheduler did not answer. The next question waits, longer each time.
        """
        with self._budget.lock:
            if self._budget.closed:
                raise RuntimeError("the run is over")
            self._contact.asked = time.monotonic()
            try:
                job = self._inner.submit(command, tasks_per_node, job_name)
            except SilentError as error:
                self._not_before = time.monotonic() + self._contact.wait_seconds()
                self._contact.heard(error.words)
                raise
            self._contact.heard("")
            if job is not None:
                self._keep(job)  # before the end of the run looks which there are
        return job

    def _keep(self, job: Any) -> None:
        self.asked[job] = time.monotonic()
        self.resources[job] = {"status": self._told(job, JobStatus(JobState.PENDING))}
        if self._budget.closed:  # the end of the run has not waited for it
            self.cancel([job])

    def status(self, job_ids: Sequence[Any]) -> list[JobStatus]:
        """Return the state of blocks; the last that is known where the scheduler does not answer."""
        active = [job for job in job_ids if not self.resources[job]["status"].terminal]
        if not active:
            return [self.resources[job]["status"] for job in job_ids]
        try:
            answered = self._inner.status(active)
            self.resources |= {job: {"status": self._told(job, status)} for job, status in zip(active, answered)}  # noqa: B905  one that is unknown may be left out
            self._contact.heard(str(getattr(self._inner, "silence", "")))
        except Exception as error:  # noqa: BLE001  a command that hangs, or is not there; Parsl would look at no block
            self._contact.heard(str(error))
        return [self.resources[job]["status"] for job in job_ids]

    def _told(self, job: Any, answered: JobStatus) -> JobStatus:
        """Return what a provider has noted of a block; what it answers may stand in another order."""
        noted = self._inner.resources.get(job)
        status = noted.get("status") if isinstance(noted, dict) else None
        return status if isinstance(status, JobStatus) else answered

    def silent_seconds(self) -> float:
        """Return for how long the scheduler has not answered; `silence` has what its command said."""
        return max(0.0, time.monotonic() - self._contact.since)

    @property
    def silence(self) -> str:
        """What the scheduler's command said when it did not answer the last question; else empty."""
        return self._contact.words

    def cancel(self, job_ids: Sequence[Any]) -> list[bool]:
        """Give blocks back, and return for each whether that was done; the end of the run tries again."""
        try:
            done: list[bool] = self._inner.cancel(job_ids) if job_ids else []
        except Exception as error:  # noqa: BLE001  a command that is not there; who gives back has more to do
            self._contact.heard(str(error))
            done = [False] * len(job_ids)
        for job, cancelled in zip(job_ids, done, strict=True):
            if cancelled and not self.resources[job]["status"].terminal:
                self.resources[job] = {"status": JobStatus(JobState.CANCELLED)}
        return done

    def fail(self, job: Any, words: str, *, worked: bool = False) -> None:
        """Give a block back that is of no use, with the reason in addition to the scheduler's words.

        Unless it has worked before, it counts as one that never did, although its workers may have come.
        """
        before = self.resources[job]["status"]
        if self.cancel([job]) != [True]:
            return  # it is still there
        message = f"{before.message or before.state.name}; {words}"
        state = JobState.FAILED if worked else JobState.MISSING
        told = JobStatus(state, message, stdout_path=before.stdout_path, stderr_path=before.stderr_path)
        self.resources[job] = {"status": told}

    def retire(self) -> None:
        """Give all blocks back, and have no others: nothing is expected from their executor any more."""
        self._not_before, self.wanted = math.inf, False
        self._give_back()

    def _give_back(self) -> None:
        self.cancel(self.active())

    def close(self) -> None:
        """Give all blocks back, and have the provider remove what else it has made; `left` tells what remains."""
        self._fault = "the scheduler has not answered in time"
        self._give_back()
        try:
            if hasattr(self._inner, "clean_up"):
                self._inner.clean_up()
            self._fault = ""
        except Exception as error:  # noqa: BLE001  whatever it is, the run's end tells it
            self._fault = str(error)

    def left(self) -> str:
        """Return which blocks `close` could not give back, and why; empty when nothing is left."""
        blocks = ", ".join(map(str, self.active()))
        why = self._fault or (str(getattr(self._inner, "silence", "")) or self.silence or "refused" if blocks else "")
        return " ".join(filter(None, [f"blocks {blocks}:" if blocks else "", why]))

    def active(self) -> list[Any]:
        """Return the blocks that wait or run, as the scheduler calls them."""
        return [job for job, kept in list(self.resources.items()) if not kept["status"].terminal]

    def running(self) -> bool:
        """Return whether one of its blocks runs."""
        return any(kept["status"].state is JobState.RUNNING for kept in list(self.resources.values()))

    def placed(self, job: Any) -> bool:
        """Return whether a block has its nodes, although what is to run there may not have begun."""
        noted = self._inner.resources.get(job)
        return self.resources[job]["status"].state is JobState.RUNNING or (
            isinstance(noted, dict) and bool(noted.get("placed"))
        )

    def others_wait(self) -> bool:
        """Return whether an environment of the run has work and waits for a block."""
        return self._budget.is_short()

    def missed(self, misses: int) -> None:
        """Note how many blocks never worked, and wait longer after each."""
        if misses > self._misses:
            self._not_before = self._contact.asked + RETRY_SECONDS * 2 ** (misses - 1)
        self._misses = misses

    @property
    def max_blocks(self) -> int:  # type: ignore[override]  # Parsl only reads it
        """How many blocks it may have now."""
        return len(self.active()) if time.monotonic() < self._not_before else self._budget.limit(self)

    @property
    def nodes_per_block(self) -> int:  # type: ignore[override]  # Parsl only reads it
        """How many nodes a block has."""
        return int(getattr(self._inner, "nodes_per_block", 1))

    @property
    def parallelism(self) -> float:  # type: ignore[override]  # Parsl only reads it
        """Which part of the places that the waiting jobs could use is asked for."""
        return float(getattr(self._inner, "parallelism", 1.0))

    @property
    def script_dir(self) -> str | None:
        """Folder of the scripts that are submitted."""
        return getattr(self._inner, "script_dir", None)

    @script_dir.setter
    def script_dir(self, folder: str | None) -> None:
        self._inner.script_dir = folder

    @property
    def label(self) -> str:
        """What the scheduler is called."""
        return str(self._inner.label)

    @property
    def status_polling_interval(self) -> int:
        """Seconds between two questions to the scheduler."""
        return max(1, round(self.poll))
