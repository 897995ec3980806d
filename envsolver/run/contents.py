"""What the places that notebooks look at are like now; the digest of a file is remembered by what `stat` says of it.

A file whose size, times, time of change of its inode, and inode are what they were is not read again. That time cannot
be put back by a program, so that a file that was changed and had its size and times restored is read. What changed
within the last `SETTLED_NS` is read each time, since a second change could fall into the same tick of the clock.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from envsolver.core.digests import digest
from envsolver.core.fingerprints import ABSENT, LISTED_NAMES, Look, LookKind, Reading
from envsolver.core.paths import STATE

Stamp: TypeAlias = str
"""Size, times and inode of a file, as text."""

SETTLED_NS = 2_000_000_000

LARGEST_OUTSIDE = 64 * 1024 * 1024
"""A notebook that read a larger file outside of the project, bytes, is not cached."""

UNSEEN = frozenset({
    STATE, ".git", ".hg", ".svn", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache",
    ".tox", ".venv", "venv", "node_modules", "__pycache__",
})  # fmt: skip
"""Directories that do not count where a notebook's reading could not be seen; they change without anybody's doing."""

_ENDINGS = (".dist-info", ".egg-info", ".egg", ".egg-link")
_MODULES = frozenset({"py", "pyc", "so", "pyd"})
_PIECE = 1024 * 1024


class Contents:
    """What places are like, for one look at the project.

    Parameters
    ----------
    root
        The project's root, absolute.
    known
        Digests of files with the stamps that they were made at, by path.

    Attributes
    ----------
    fresh
        What is to be remembered in addition.
    """

    def __init__(self, root: Path, known: Mapping[str, tuple[Stamp, str]]) -> None:
        self._root = root
        self._known = dict(known)
        self.fresh: dict[str, tuple[Stamp, str]] = {}
        self._states: dict[Look, str] = {}
        self._replaced: dict[Path, int] = {}
        self._kinds: dict[LookKind, Callable[[Look], str]] = {
            "file": self._file,
            "ask": self._asked,
            "list": lambda look: self._names(look.path, lambda _: True),
            "metadata": lambda look: self._names(look.path, lambda name: name.rstrip("/").endswith(_ENDINGS)),
            "modules": self._modules,
            "link": self._link,
            "tree": lambda look: self._tree(look.path),
        }

    def state(self, look: Look) -> str:
        """Return what a place is like now: the same as long as nothing changed that the look could tell."""
        if look not in self._states:
            try:
                self._states[look] = self._kinds[look.kind](look)
            except (FileNotFoundError, NotADirectoryError):
                self._states[look] = ABSENT
            except (OSError, ValueError) as error:
                self._states[look] = f"error: {error}"
        return self._states[look]

    def forget(self) -> None:
        """Look anew from now on."""
        self._states.clear()
        self._replaced.clear()

    def distrust(self, reading: Reading, notebook: str) -> str:
        """Say why the places may not be now as they were when a notebook looked at them, or nothing.

        Parameters
        ----------
        notebook
            Its path, relative to the project's root.
        """
        now = time.time_ns()
        if now < reading.began:
            return "the clock was set back while the notebook ran"
        for look in (Look("file", notebook), *reading.looks):
            path = self._at(look.path)
            if (changed := self._changed_at(look)) >= reading.began:
                future = changed > now + SETTLED_NS
                return f"{look.path} {'has a time in the future' if future else 'changed while the notebook ran'}"
            if look.kind == "file" and not path.is_relative_to(self._root):
                size = _size(path)
                if size > LARGEST_OUTSIDE:
                    return f"it read {path}, which is outside of the project and above {LARGEST_OUTSIDE >> 20} MiB"
        return ""

    def _at(self, path: str) -> Path:
        return self._root / path

    def _changed_at(self, look: Look) -> int:
        """Return when what a look can tell changed last; where nothing is, when the folder that would hold it did."""
        path = self._at(look.path)
        while path.is_relative_to(self._root) or path == self._at(look.path):
            try:
                status = path.lstat() if look.kind == "link" else path.stat()
            except OSError:
                path = path.parent
                continue
            missing = path != self._at(look.path)
            folder = stat.S_ISDIR(status.st_mode)
            tells = folder is (missing or look.kind in {"list", "metadata", "modules"})
            changed = status.st_ctime_ns if tells and not stat.S_ISCHR(status.st_mode) else 0
            return max(changed, self._replaced_at(path))
        return 0

    def _replaced_at(self, path: Path) -> int:
        """Return when a path, or a folder of the project above it, became a link, or was put in another's place."""
        if path not in self._replaced:
            above = path != self._root and path.parent.is_relative_to(self._root)
            self._replaced[path] = max(_put_there_at(path), self._replaced_at(path.parent) if above else 0)
        return self._replaced[path]

    def _file(self, look: Look) -> str:
        return self._digest(look.path)

    def _digest(self, name: str) -> str:
        path = self._at(name)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return "folder"
        if not stat.S_ISREG(status.st_mode):
            return "device"
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        found = self.fresh.get(name) or self._known.get(name)
        if found is not None and found[0] == stamp:
            return found[1]
        content = content_digest(path)
        after = path.stat()
        same = stamp == f"{after.st_size} {after.st_mtime_ns} {after.st_ctime_ns} {after.st_ino}"
        if not same:
            return f"changing {time.time_ns()}"  # it is like nothing that was, and nothing that will be
        newest = max(status.st_ctime_ns, status.st_mtime_ns)
        if newest + SETTLED_NS < time.time_ns():
            self.fresh[name] = (stamp, content)
        return content

    def _asked(self, look: Look) -> str:
        status = self._at(look.path).stat()
        if stat.S_ISREG(status.st_mode):
            return f"file of {status.st_size} bytes"
        return "folder" if stat.S_ISDIR(status.st_mode) else "device"

    def _names(self, name: str, wanted: Callable[[str], bool]) -> str:
        with os.scandir(self._at(name)) as entries:
            names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
        if name in {"", "."}:
            names = [entry for entry in names if entry != f"{STATE}/"]
        names = [entry for entry in names if entry != "__pycache__/" and wanted(entry)]
        return "\n".join(names) if len(names) <= LISTED_NAMES else f"sha256:{digest(names)}"

    def _modules(self, look: Look) -> str:
        wanted = set(look.names.split("/"))
        with os.scandir(self._at(look.path)) as entries:
            return "\n".join(sorted(entry.name for entry in entries if _may_be_module(entry, wanted)))

    def _link(self, look: Look) -> str:
        path = self._at(look.path)
        return os.fspath(path.readlink()) if path.is_symlink() else self._asked(look)

    def _tree(self, folder: str) -> str:
        start = "" if folder == "." else f"{folder}/"
        return digest([part for name in self._everything(start) for part in (name, self._digest_or_error(name))])

    def _digest_or_error(self, name: str) -> str:
        try:
            return self._digest(name)
        except OSError as error:
            return f"error: {error.strerror}"

    def _everything(self, folder: str) -> Iterator[str]:
        """Name all files of the project, in order; folders end with a slash, and links are not followed."""
        for name, is_folder in sorted(
            (entry.name, entry.is_dir(follow_symlinks=False)) for entry in self._scan(folder)
        ):
            path = f"{folder}{name}"
            if not is_folder:
                yield path
            elif name not in UNSEEN and not (self._root / path / "pyvenv.cfg").exists():
                yield from self._everything(f"{path}/")

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                return list(entries)
        except OSError:
            return []


def _may_be_module(entry: os.DirEntry[str], names: Collection[str]) -> bool:
    stem, _, ending = entry.name.partition(".")
    return stem in names and (entry.is_dir() if not ending else ending.rpartition(".")[2] in _MODULES)


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            made.update(piece)
    return made.hexdigest()


def _put_there_at(path: Path) -> int:
    """Return when a link was made, or a folder got its place, 0 for anything else; new files in it are another time."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    moved = stat.S_ISDIR(status.st_mode) and status.st_ctime_ns != status.st_mtime_ns
    return status.st_ctime_ns if moved or stat.S_ISLNK(status.st_mode) else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
