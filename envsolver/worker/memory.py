"""Watch the memory of a kernel's process tree, and enforce the job's limit."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psutil

from envsolver.worker.processes import JOB_MARK, kill_all, marked, pss, rss, tree

_INTERVAL = 0.2  # seconds
_MARK_INTERVAL = 2.0
_SHARE = 20  # sampling takes at most one part in so many of the time
_OOM_FILES = ("/proc/vmstat", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


class Monitor(threading.Thread):
    """Samples the resident memory of a job's processes about every 0.2 s.

    Parameters
    ----------
    pid
        The kernel.
    mark
        The job's mark, by which re-parented processes are found, every 2 s.
    keepers
        How many processes, the first of them `pid`, stand before the kernel itself; they take no memory of their own.
    limit
        Bytes; above it, the whole tree is killed. None for no limit.

    Attributes
    ----------
    peak
        Largest sum seen, bytes.
    exceeded
        The sum that went over the limit, bytes; None as long as none did.
    seen
        All processes ever seen, so that they can be ended even when they gave up their mark.
    """

    def __init__(self, pid: int, mark: str, limit: int | None, *, keepers: int = 0) -> None:
        super().__init__(name="envsolver-memory", daemon=True)
        self.peak = 0
        self.exceeded: int | None = None
        self.seen: set[psutil.Process] = set()
        self._pid = pid
        self._mark = mark
        self._keepers = keepers
        self._limit = limit
        self._reparented: list[psutil.Process] = []
        self._stop_event = threading.Event()

    def run(self) -> None:
        """Sample until stopped. A thread, since a busy event loop would look too late."""
        next_marks = time.monotonic() + _MARK_INTERVAL
        pause = _INTERVAL / 4
        while not self._stop_event.wait(pause):
            began = time.monotonic()
            if began >= next_marks:
                self._reparented = marked(JOB_MARK, self._mark)
                next_marks = began + max(_MARK_INTERVAL, _SHARE * (time.monotonic() - began))
            self._sample()
            pause = max(_INTERVAL, _SHARE * (time.monotonic() - began))

    def stop(self) -> int:
        """End the sampling, and return the peak, bytes: the largest sum, or the kernel's own high-water mark."""
        self._stop_event.set()
        if self.is_alive():
            self.join(timeout=5)
        return self.peak

    def note_high_water(self) -> None:
        """Take the kernel's own high-water mark into account. Call it while the kernel lives."""
        for kernel in tree(self._pid)[self._keepers : self._keepers + 1]:
            self.peak = max(self.peak, high_water(kernel.pid))

    def _sample(self) -> None:
        members = tree(self._pid)
        self.seen.update(members, self._reparented)
        counted = {*members[self._keepers :], *self._reparented} - {*members[: self._keepers]}
        total = sum(map(rss, counted))
        self.peak = max(self.peak, total)
        if self._limit is None or total <= self._limit or self.exceeded is not None:
            return
        # Pages that several share, as after a fork, count once. Asking for that takes longer, so it comes second.
        total = sum(map(pss, {*members, *counted}))
        if total > self._limit:
            self.exceeded = total
            kill_all(lambda: tree(self._pid))


def high_water(pid: int) -> int:
    """Return the largest resident memory that a process ever had, bytes; 0 where the system does not report it."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def oom_kills() -> int:
    """Return how many processes the system has killed for memory so far, by all counters that can be read."""
    total = 0
    for name in _OOM_FILES:
        try:
            lines = Path(name).read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        total += sum(int(words[1]) for line in lines if (words := line.split())[:1] == ["oom_kill"] and len(words) > 1)
    return total
