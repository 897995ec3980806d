"""Private directories on this machine: of short and plain paths, closed to others, and removable whatever is inside."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

_LONGEST_TEMPORARY = 40  # bytes; a socket's path must stay below 104 on macOS, and up to 50 follow
_SHORT = ("/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm")  # noqa: S108  what is made is private
_QUOTED = re.compile(r"""[\s'"`$&;|<>()*?\[\]{}!~\\]""")  # Parsl's scripts do not quote their paths
_ATTEMPTS = 5


def run_directory(run_id: str) -> Path:
    """Return where the private directories of a run's jobs stand on this machine; it may not exist.

    The controller hands it to the guardian, which removes it when the controller vanishes.
    """
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:10]
    return temporary() / f"envsolver-{os.getuid()}-{digest}"


def make_private(directory: Path) -> bool:
    """Make a directory that only its owner may enter; False when there is one of that name that others may."""
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def job_directory(run_id: str) -> Path:
    """Make a private directory for one job of a run, and return its real path.

    Raises
    ------
    OSError
        When there is no place for it.
    """
    parent = run_directory(run_id)
    for _ in range(_ATTEMPTS):
        if not make_private(parent):
            # Another process took the name: a directory with a random name serves as well.
            return Path(tempfile.mkdtemp(prefix="envsolver-", dir=parent.parent))
        try:
            return Path(tempfile.mkdtemp(prefix="j", dir=parent))
        except FileNotFoundError:  # another job of the run removed the empty parent just now
            continue
    return Path(tempfile.mkdtemp(prefix="envsolver-", dir=parent.parent))


def remove(directory: Path) -> None:
    """Delete a directory tree, read-only directories included. Never raises."""
    shutil.rmtree(directory, ignore_errors=True)
    if not directory.is_dir() or directory.is_symlink():
        return
    for path, names, _ in os.walk(directory):
        for inside in (Path(path, name) for name in names):
            with contextlib.suppress(OSError):
                if not inside.is_symlink():
                    inside.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def temporary() -> Path:
    """Return the directory for temporary files, or one whose path is plain and leaves room for a socket's name."""
    own = Path(tempfile.gettempdir()).resolve()
    places = [own, *(Path(text).resolve() for text in _SHORT if text)]
    # On macOS every user has a long directory; a socket's path has no room for it.
    fit = (place for place in places if len(os.fsencode(place)) <= _LONGEST_TEMPORARY)
    short = [place for place in fit if not _QUOTED.search(str(place))]
    return next((place for place in short if os.access(place, os.W_OK | os.X_OK)), short[0])
