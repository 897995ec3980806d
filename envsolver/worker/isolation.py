"""How a notebook is kept from the project: found by trial, once for each project that a worker process serves.

- ``namespace``: the kernel sees the project at its own path under an overlay, and its processes are a world of their
  own (`environments.in_environment.namespaces`). Nothing that it does through its own tree reaches the project, and
  none of its processes outlives it, by construction.
- ``copies``: a likeness of the project in a private directory (`mirror`). What reaches the project all the same is
  found out afterwards and fails the notebook. On Linux a process stands between worker and kernel to whom falls what
  the kernel starts and leaves, so that this ends with it as well.

``ENVSOLVER_ISOLATION`` names one of them, to have that one tried or to do without the other.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, TypeAlias

from envsolver.core.paths import STATE
from envsolver.environments.in_environment import NAMESPACES, OPENED_FILES, PROGRAM_KEEPER
from envsolver.worker.private_directories import temporary

Isolation: TypeAlias = Literal["namespace", "copies"]

CHOICE = "ENVSOLVER_ISOLATION"
"""Variable that names the isolation to use."""

FAILED = "namespace-failed"
"""Name of the file, in a job's private directory, that says why the kernel could not enter its namespaces."""

OPENED = "opened.json"
"""Name of the file, in a job's private directory, that says which files of the project were opened."""

READ = "read.jsonl"
"""Name of the file, in a job's private directory, in which its kernel tells what it reads."""

WARNED_LOG = "warned"
"""Name of the file, in a job's private directory, in which its kernel tells what it is warned of."""

_TRIAL = "import sys; open(sys.argv[1], 'x').close(); open('/proc/self/stat').close()"
_TRIAL_SECONDS = 20.0


@functools.cache
def choose_isolation(root: Path) -> tuple[Isolation, str]:
    """Return how notebooks of a project are kept from it on this machine, and why not better; empty for the best.

    Parameters
    ----------
    root
        The project's root.
    """
    if os.environ.get(CHOICE) == "copies":
        return "copies", f"{CHOICE} says so"
    reason = _unfit(root) or _tried(root)
    return ("copies", reason) if reason else ("namespace", "")


def plan_namespace(root: Path, private: Path, *, watched: bool = False) -> dict[str, object]:
    """Make the directories of an overlay in a job's private directory; return the plan for `namespaces`.

    Parameters
    ----------
    watched
        Whether the files of the project that are opened are to be seen.

    Raises
    ------
    OSError
        They cannot be made.
    """
    upper, work = private / "up", private / "wk"
    for directory in (upper, work):
        directory.mkdir()
    state = root / STATE
    return {
        "root": str(root),
        "upper": str(upper),
        "work": str(work),
        # Its logs and reports are no part of the project, and grow with each run.
        "hidden": [str(state)] if state.is_dir() and not state.is_symlink() else [],
        "failed": str(private / FAILED),
        "opened": str(private / OPENED) if watched else "",
        "start": str(private / READ),
        "watcher": str(OPENED_FILES),
        "programs": str(PROGRAM_KEEPER) if platform.machine() == "x86_64" else "",
    }


def _unfit(root: Path) -> str:
    """Say why an overlay cannot show the project as it is, or nothing."""
    if not sys.platform.startswith("linux"):
        return "namespaces are Linux's"
    status = root.stat()
    foreign = (status.st_uid, status.st_gid) != (os.getuid(), os.getgid())
    reasons = {
        "the project is the whole file system": root == Path(root.anchor),
        "the temporary directory is inside the project": temporary().is_relative_to(root),
        "something is mounted inside the project": _holds_mounts(root),
        "the project belongs to another user or group, whose files an overlay could not copy": foreign and os.getuid(),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _holds_mounts(root: Path) -> bool:
    """Return whether an overlay would leave out what is mounted below a directory; true when that is not known."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        places = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    except (OSError, UnicodeDecodeError, IndexError):
        return True
    return any(place.startswith(f"{root}/") for place in places)


def _tried(root: Path) -> str:
    """Try the namespace with a program that writes into the project; say how it failed, or nothing."""
    with tempfile.TemporaryDirectory(prefix="envsolver-", dir=temporary()) as directory:
        private = Path(directory).resolve()
        plan = plan_namespace(root, private)
        (private / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        name = f".{private.name}"
        python = [sys.executable, "-I", "-S"]
        command = [*python, str(NAMESPACES), str(private / "plan.json"), *python, "-c", _TRIAL, str(root / name)]
        try:
            done = subprocess.run(command, cwd=root, capture_output=True, timeout=_TRIAL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode != 0:
            return _reason(private, done)
        if (root / name).exists() or not (private / "up" / name).exists():
            return "what is written is not held by the overlay"
    return ""


def _reason(private: Path, done: subprocess.CompletedProcess[bytes]) -> str:
    try:
        return (private / FAILED).read_text(encoding="utf-8")
    except OSError:
        return done.stderr.decode(errors="replace").strip()[-300:] or f"the trial ended with code {done.returncode}"
