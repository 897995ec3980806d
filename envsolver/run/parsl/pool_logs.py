"""What Parsl's pools of workers leave in their logs when something in them goes wrong, and what that means."""

from __future__ import annotations

import contextlib
import re
import time
from itertools import islice
from pathlib import Path

SETTLED_SECONDS = 10.0
"""How long a worker's last word must be that it failed; Parsl replaces one that ended in two."""

_FILES = 64
_TAIL = 8192
_STARTED = re.compile(r"worker INFO: Worker \d+ started")
_FAILED = "Exceptional ending for"
_EXHAUSTED = ("can't start new thread", "Resource temporarily unavailable", "BlockingIOError")


def last_words(text: str) -> str:
    """Return the last line in a text that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def stuck(directory: Path) -> str:
    """Return the error that a part of a pool ended with for good; empty when all is well.

    Parameters
    ----------
    directory
        Where the executor's pools keep their logs.
    """
    for log in islice(directory.glob("block-*/*/*.log"), _FILES):
        with contextlib.suppress(OSError):
            if time.time() - log.stat().st_mtime < SETTLED_SECONDS:
                continue
            text = log.read_bytes()[-_TAIL:].decode(errors="replace")
            if _FAILED in _STARTED.split(text)[-1]:
                return last_words(text)
    return ""


def explained(cause: str) -> str:
    """Return a cause with the limit that explains it, where one does."""
    if not any(words in cause for words in _EXHAUSTED):
        return cause
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return f"{cause} (`ulimit -u`, the processes and threads that this user may have, is {limit}; raise it)"
