"""The time that the scheduling goes by; a simulation brings another one."""

from __future__ import annotations

import time
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Time as it passes."""

    def now(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def next(self, events: SimpleQueue[T], seconds: float) -> T:
        """Return the next event, and wait for it that long at most.

        Raises
        ------
        Empty
            None has come.
        """
        return events.get(timeout=seconds)
