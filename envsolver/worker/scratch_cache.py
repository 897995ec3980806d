"""Keeps the private directory of a notebook that passed for the next one, as far as nobody touched what was put there.

Whatever is done to a file, its inode or its time of change differs afterwards, and no program can set that time. What
is as it was stays; the rest is deleted, and put there again. So a notebook finds what it would find in a new directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

Stamp = tuple[object, ...]
"""What tells that something is as it was; equal only if it is."""

HERE = "."


@dataclass(frozen=True, slots=True)
class CachedEntry:
    """One thing in a private directory.

    Attributes
    ----------
    source
        What it was made from; empty for a directory.
    target
        The stamp that it had then; see `stamp_of`.
    fingerprint
        Size and time of change, nanoseconds.
    """

    source: Stamp
    target: Stamp
    fingerprint: tuple[int, int]


@dataclass(slots=True)
class ReusableEntries:
    """What is already in a private directory, by path in the likeness of the project.

    Attributes
    ----------
    left
        What is as it was and nobody has asked for yet.
    """

    home: str = ""
    left: dict[str, CachedEntry] = field(default_factory=dict)

    def take(self, path: str, source: Stamp) -> CachedEntry | None:
        """Return what is at `path` if it was made from `source`; else nothing is there afterwards."""
        known = self.left.pop(path, None)
        if known is None or known.source == source:
            return known
        if known.source == ():
            inside = f"{path}/"
            self.left = {other: thing for other, thing in self.left.items() if not other.startswith(inside)}
        self._drop(path)
        return None

    def finish(self) -> None:
        """Delete what was not asked for, since the project has it no more."""
        for path in sorted(self.left, key=len, reverse=True):
            self._drop(path)
        self.left.clear()

    def _drop(self, path: str) -> None:
        place = Path(self.home, path)
        # Nothing may ever be deleted through a link, which could lead to the project itself.
        if place.parent.resolve() == place.parent:
            with contextlib.suppress(FileNotFoundError):  # it stood in a directory that was dropped
                _delete(str(place))


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file, a link or a directory, whose time of change tells only of what is inside."""
    if stat.S_ISDIR(status.st_mode):
        return (status.st_ino, status.st_mode)
    return (status.st_ino, status.st_ctime_ns)


class ScratchCache:
    """The directory kept last, of this process."""

    def __init__(self) -> None:
        self._kept: dict[Stamp, tuple[Path, dict[str, CachedEntry]]] = {}

    def keep(self, key: Stamp, directory: Path, placed: dict[str, CachedEntry]) -> None:
        """Take a directory away, for the next that asks with the same key; what was kept before is deleted.

        Parameters
        ----------
        key
            What it stands for.
        directory
            It holds one directory, the likeness of a project.
        placed
            What was put there, by path in the likeness.

        Raises
        ------
        OSError
            When it cannot be moved.
        """
        before = [kept for other in list(self._kept) if (kept := self._kept.pop(other, None)) is not None]
        for place, _ in before:
            shutil.rmtree(place.parent, ignore_errors=True)
        place = Path(tempfile.mkdtemp(prefix="s", dir=directory.parent.parent)) / directory.name
        directory.rename(place)
        self._kept[key] = (place, placed)

    def take(self, key: Stamp, directory: Path, name: str) -> ReusableEntries:
        """Move what was kept for `key` to `directory`, and delete what is not as it was put there.

        Parameters
        ----------
        name
            Of the likeness in it.

        Returns
        -------
        ReusableEntries
            What is there now; nothing when nothing was kept, or it cannot be had.
        """
        place, placed = self._kept.pop(key, (None, {}))
        if place is None:
            return ReusableEntries()
        home = f"{directory}/{name}"
        try:
            place.rename(directory)
            place.parent.rmdir()
            return ReusableEntries(home=home, left=_untouched(str(directory), name, placed))
        except OSError:  # such as a directory that nobody may enter any more
            with contextlib.suppress(FileNotFoundError):  # or something cleared the temporary directories away
                _delete(str(directory))
            return ReusableEntries()


def _untouched(directory: str, name: str, placed: dict[str, CachedEntry]) -> dict[str, CachedEntry]:
    """Delete all that is not as it was put there; return the rest."""
    left: dict[str, CachedEntry] = {}
    queue = [(directory, "")]
    while queue:
        place, prefix = queue.pop()
        with os.scandir(place) as entries:
            found = list(entries)
        for entry in found:
            path = prefix + entry.name if place != directory else HERE
            known = placed.get(path) if place != directory or entry.name == name else None
            status = entry.stat(follow_symlinks=False)
            if known is None or known.target != stamp_of(status):
                _delete(entry.path)
                continue
            left[path] = known
            if stat.S_ISDIR(status.st_mode):
                queue.append((entry.path, "" if path == HERE else f"{path}/"))
    return left


def _delete(path: str) -> None:
    if Path(path).is_dir() and not Path(path).is_symlink():
        shutil.rmtree(path)
    else:
        Path(path).unlink()
