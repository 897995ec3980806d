"""A lock on a file, which the programs started under it hold too, and which a stopped run does not wait for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_POLL_SECONDS = 0.05


class BusyError(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True, give_up: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Take the lock of a file, which is created if need be; return its descriptor.

    When this process is killed, the lock stays until every program that was handed the descriptor has ended too. So
    a program that outlives a killed run still keeps others away from what it writes.

    Parameters
    ----------
    wait
        Whether to wait until it is free.
    give_up
        Called while waiting; it raises when that is pointless.

    Raises
    ------
    BusyError
        Another process holds it, and `wait` is False.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not _taken(descriptor):
            if not wait:
                raise BusyError(str(path))
            give_up()
            time.sleep(_POLL_SECONDS)
        try:
            yield descriptor
        finally:
            # Not left to closing it: a process that was forked meanwhile has the descriptor too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
