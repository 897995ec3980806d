"""Find and end the processes of a run or of a job, whatever they did to hide.

Every process that a run starts carries `RUN_MARK` in its initial environment, and every kernel and what it starts
also `JOB_MARK`. A mark survives double forks and new sessions, so nothing that a notebook starts outlives it.

The guardian imports it, so nothing heavy is imported at the top.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

    import psutil

RUN_MARK = "ENVSOLVER_RUN"
"""Environment variable that names the run in every process that the run starts."""

JOB_MARK = "ENVSOLVER_JOB"
"""Environment variable that names the job, unique per attempt, in its kernel and all that it starts."""

PATIENCE = 5.0
"""Seconds after which a process that survives SIGKILL is left to the system."""

_LOOKS = 500  # at a process that is about to start another program
_SETTLED = 3  # of them that find arguments and no environment: it has none
_LISTS = 20  # of all processes for one answer, where others start without end
_LINUX = sys.platform.startswith("linux")


def marked(name: str, value: str) -> list[psutil.Process]:
    """Return the living processes whose initial environment holds ``name=value``.

    Processes that vanish meanwhile, that are zombies, or that belong to others are left out,
    and so is the calling process.
    """
    import psutil

    carries = _carries_linux if _LINUX else _carries
    entry = os.fsencode(f"{name}={value}")
    found: list[int] = []
    looked = {os.getpid()}
    # A process can start another after a list was made and end before it is looked at, so a list must bring no new one.
    for _ in range(_LISTS):
        new = set(psutil.pids()) - looked
        looked |= new
        found += [pid for pid in new if carries(pid, entry)]
        if not new:
            break
    return _existing(found)


def kill_marked(name: str, value: str, grace: float = 0.0) -> int:
    """End every process that carries a mark, and return how many there were.

    Parameters
    ----------
    grace
        Seconds between SIGTERM and SIGKILL; with 0 there is only SIGKILL.
    """
    if grace > 0:
        terminated = marked(name, value)
        _signal(terminated, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while marked(name, value) and time.monotonic() < deadline:
            time.sleep(0.02)
        return max(len(terminated), kill_all(lambda: marked(name, value)))
    return kill_all(lambda: marked(name, value))


def kill_all(find: Callable[[], Iterable[psutil.Process]]) -> int:
    """SIGKILL what `find` finds, until it finds nothing or 5 s have passed; return how many there were.

    `find` is asked again because a process may start another while it is being ended.
    """
    ended: set[psutil.Process] = set()
    deadline = time.monotonic() + PATIENCE
    pause = 0.005
    while found := {process for process in find() if _alive(process)}:
        ended |= found
        _signal(found, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
    return len(ended)


def await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was told to end; SIGKILL it when it has not, such as one that is stopped."""
    from subprocess import TimeoutExpired

    try:
        process.wait(PATIENCE)
    except TimeoutExpired:
        process.kill()
        with contextlib.suppress(TimeoutExpired):
            process.wait(PATIENCE)


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants, the process first; empty when it is gone."""
    pids = [pid]
    for parent in pids:
        pids += _children(parent)
    return _existing(pids)


def session_members(session: int) -> list[psutil.Process]:
    """Return the processes of a session, such as a kernel's, that are alive. Re-parented ones are among them."""
    import psutil

    return _existing(pid for pid in psutil.pids() if _session(pid) == session)


def _carries(pid: int, entry: bytes) -> bool:
    import psutil

    name, _, value = os.fsdecode(entry).partition("=")
    try:
        return psutil.Process(pid).environ().get(name) == value
    except (psutil.Error, OSError):
        return False


def _carries_linux(pid: int, entry: bytes) -> bool:
    # Reading the file is ten times cheaper than building psutil's object and parsing the environment.
    process = Path(f"/proc/{pid}")
    environ = process / "environ"
    try:
        data, settled = environ.read_bytes(), 0
        for _ in range(_LOOKS):
            if data or settled == _SETTLED:
                break
            # While it starts another program it has neither arguments nor an environment, for a moment. Arguments alone
            # may be those of the moment between two programs.
            if (process / "cmdline").read_bytes():
                settled += 1
            elif (process / "exe").exists():
                time.sleep(0.001)
            else:
                break
            data = environ.read_bytes()
    except OSError:
        return False
    return entry in data and entry in data.split(b"\0")


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir()) if _LINUX else []
        texts = [(task / "children").read_text(encoding="ascii") for task in tasks]
    except (FileNotFoundError, ProcessLookupError):
        texts = []
        if not _LINUX or Path(f"/proc/{pid}").exists():
            return _children_portable(pid)
    else:
        if not _LINUX:
            return _children_portable(pid)
    return [int(child) for text in texts for child in text.split()]


def _children_portable(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def _existing(pids: Iterable[int]) -> list[psutil.Process]:
    import psutil

    found = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
        except psutil.Error:
            continue
    return found


def _alive(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    import psutil

    for process in processes:
        try:
            process.send_signal(number)
        except (psutil.Error, OSError):
            continue


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def computes(process: psutil.Process) -> bool:
    """Return whether one of a process's threads runs, or waits for a processor; False when it is gone."""
    import psutil

    try:
        if not _LINUX:
            return bool(process.status() == psutil.STATUS_RUNNING)
        states = [
            (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
            for task in Path(f"/proc/{process.pid}/task").iterdir()
        ]
    except (psutil.Error, OSError):
        return False
    return b"R" in states


def rss(process: psutil.Process) -> int:
    """Return the resident memory of a process, bytes; 0 when it is gone."""
    import psutil

    try:
        return int(process.memory_info().rss)
    except (psutil.Error, OSError):
        return 0


def pss(process: psutil.Process) -> int:
    """Return a process's share of the memory that is resident, bytes: pages that several have are divided among them.

    Where the system does not report that, it is all resident memory.
    """
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return rss(process)
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
