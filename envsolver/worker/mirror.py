"""The likeness of a project in which a notebook runs: what is copied, what is linked, what is left out.

The rule, in order:

1. Directories become real directories, so that new files never land in the project, down to `DIRECTORIES` of them.
2. The notebook's own folder, with its sub-directories, is copied, shallow files first, until `COPIED_FILES` files or
   `COPIED_BYTES` bytes. A file above `LARGEST_COPY` is linked.
3. Elsewhere, files up to `SMALL_FILE` are copied until `SMALL_FILES` or `SMALL_BYTES` of them, so that one which a
   notebook writes again, such as a figure in a neighbouring folder, is its own.
4. Every other file is a link to the project's. So are the directories in `LINKED`, hidden directories outside the
   notebook's folder, and what is beyond the bounds. What is linked can be written, so `changed` finds out what was.
5. What is in `LEFT_OUT`, and virtualenvs, is not there at all.

Symbolic links are kept as links, and never followed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from envsolver.core.paths import STATE

LEFT_OUT = frozenset(
    {
        *(STATE, ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox"),
        *(".venv", "venv", "node_modules", "__pycache__"),
    }
)
"""Names of directories that a notebook does not see."""

LINKED = frozenset({".git", ".hg", ".svn"})
"""Names of directories that are linked as a whole."""

LARGEST_COPY = 64 * 1024 * 1024
COPIED_BYTES = 256 * 1024 * 1024
COPIED_FILES = 2000
SMALL_FILE = 1024 * 1024
SMALL_FILES = 500
SMALL_BYTES = 16 * 1024 * 1024
DIRECTORIES = 300
ENTRIES = 2000
"""Bound for links made; a directory that comes after is linked as a whole."""

Fingerprint = tuple[int, int]
"""Size and time of change, nanoseconds: they change when a file is written."""

State: TypeAlias = tuple[int, int, int]
"""Size, time of change of the content, and of anything about it, of a file of the project."""

WATCHED = 200_000
"""How many files of the project are watched for changes."""

IS_LINK = (-1, -1)
"""The fingerprint of a link."""

_PIECE = 1024 * 1024


class Mirror:
    """Builds the project's likeness. Paths inside are text, for speed: there are many.

    Parameters
    ----------
    root
        The project's root.
    target
        What stands for it.
    folder
        The notebook's folder, relative to the root.

    Attributes
    ----------
    seen
        Fingerprint of each file that was put there, by path relative to the root.
    sources
        The project's own files behind the likeness, with their state before, by path relative to the root.
    """

    def __init__(self, root: Path, target: Path, folder: str) -> None:
        self.source = str(root)
        self.target = str(target)
        self.seen: dict[str, Fingerprint] = {}
        self.sources: dict[str, State] = {}
        self.linked: list[str] = []
        self.folder = folder
        self.on_the_way = {folder, *map(str, PurePosixPath(folder).parents)}
        self.files = COPIED_FILES
        self.bytes = COPIED_BYTES
        self.directories = DIRECTORIES
        self.entries = ENTRIES

    def build(self) -> None:
        """Make the notebook's folder first, so that the bounds are spent on it, then the rest."""
        Path(self.target, self.folder).mkdir(parents=True)
        self._fill(deque([self.folder]), copy=True)
        self.files = min(self.files, SMALL_FILES)
        self.bytes = min(self.bytes, SMALL_BYTES)
        self._fill(deque(map(str, reversed(PurePosixPath(self.folder).parents))), copy=False)

    def changed(self) -> tuple[str, ...]:
        """Return which of the project's own files and folders changed since, sorted, by path relative to the root."""
        now: dict[str, State] = {}
        for path in self.sources:
            if path not in self.linked:
                _watch(self.source, path, now, whole=False)
        for path in self.linked:
            _watch(self.source, path, now, whole=True)
        return tuple(sorted(path for path in {*self.sources, *now} if self.sources.get(path) != now.get(path)))

    def _fill(self, queue: deque[str], *, copy: bool) -> None:
        while queue:
            directory = queue.popleft()
            prefix = "" if directory == "." else f"{directory}/"
            try:
                entries = sorted(os.scandir(f"{self.source}/{directory}"), key=lambda entry: entry.name)
            except OSError:  # unreadable: it stays empty
                continue
            for entry in entries:
                path = prefix + entry.name
                if path not in self.on_the_way and self._place(entry, path, copy=copy):
                    queue.append(path)

    def _place(self, entry: os.DirEntry[str], path: str, *, copy: bool) -> bool:
        """Make one entry's likeness; True when it is a directory to be filled."""
        try:
            if entry.is_symlink():
                self._keep_link(path)
            elif entry.is_dir():
                return self._directory(entry, path, copy=copy)
            elif entry.is_file():
                self._file(entry, path, copy=copy)
        except OSError:  # vanished meanwhile, or a file system's limit: a notebook that needs it will say so
            return False
        return False

    def _directory(self, entry: os.DirEntry[str], path: str, *, copy: bool) -> bool:
        if entry.name in LEFT_OUT:
            return False
        if Path(entry.path, "pyvenv.cfg").exists():
            return False
        whole = entry.name in LINKED or (not copy and entry.name.startswith("."))
        if whole or self.directories <= 0 or self.entries <= 0:
            self._link(entry.path, path)
            self.linked.append(path)
            _watch(self.source, path, self.sources, whole=True)
            return False
        self.directories -= 1
        Path(self.target, path).mkdir()
        return True

    def _file(self, entry: os.DirEntry[str], path: str, *, copy: bool) -> None:
        status = entry.stat()
        size = status.st_size
        self.sources[path] = state_of(status)
        copied = size <= (LARGEST_COPY if copy else SMALL_FILE) and size <= self.bytes and self.files > 0
        if copied:
            try:
                self.seen[path] = _copy(entry.path, f"{self.target}/{path}", status)
            except PermissionError:
                Path(self.target, path).unlink(missing_ok=True)
                copied = False
        if not copied:
            self._link(entry.path, path)
            return
        self.files -= 1
        self.bytes -= size

    def _keep_link(self, path: str) -> None:
        source = Path(self.source, path)
        to = source.readlink()
        # A link inside the project stays relative, so it leads to the likeness; any other must be absolute.
        absolute = Path(os.path.normpath(source.parent / to))
        keep = not to.is_absolute() and absolute.is_relative_to(self.source)
        self._link(str(to if keep else absolute), path)

    def _link(self, to: str, path: str) -> None:
        self.entries -= 1
        os.symlink(to, f"{self.target}/{path}")  # noqa: PTH211  # there are many, and a `Path` costs more than the call
        self.seen[path] = IS_LINK


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """Return the fingerprint of a file or a link."""
    if stat.S_ISLNK(status.st_mode):
        return IS_LINK
    return status.st_size, status.st_mtime_ns


def state_of(status: os.stat_result) -> State:
    """Return the state of a file of the project."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _watch(root: str, path: str, states: dict[str, State], *, whole: bool) -> None:
    """Add the state of a file, or of all that a directory holds, to `states`; of the first `WATCHED` at most."""
    waiting = [path]
    while waiting and len(states) < WATCHED:
        path = waiting.pop()
        try:
            status = os.lstat(f"{root}/{path}")
            states[path] = state_of(status)
            if whole and stat.S_ISDIR(status.st_mode):
                waiting += [f"{path}/{name}" for name in os.listdir(f"{root}/{path}")]  # noqa: PTH208  # names are wanted
        except OSError:  # it vanished, or it may not be read
            continue


def _copy(source: str, target: str, status: os.stat_result) -> Fingerprint:
    """Copy a file with its times and mode, writable by its owner; return the copy's fingerprint.

    A job copies hundreds of small files; `shutil.copy2` takes three times as long for each, mostly for attributes that
    they do not have.
    """
    mode = stat.S_IMODE(status.st_mode) & 0o777 | stat.S_IWUSR
    size, piece_size = 0, min(status.st_size, _PIECE) + 1
    with (
        _opened(source, os.O_RDONLY, 0) as there,
        _opened(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode) as here,
    ):
        while piece := os.read(there, piece_size):
            size += len(piece)
            while piece:
                piece = piece[os.write(here, piece) :]
        os.utime(here, ns=(status.st_atime_ns, status.st_mtime_ns))
    return size, status.st_mtime_ns


@contextlib.contextmanager
def _opened(path: str, flags: int, mode: int) -> Iterator[int]:
    number = os.open(path, flags | os.O_CLOEXEC, mode)
    try:
        yield number
    finally:
        os.close(number)
