"""The private scratch directory that a job runs in, so that a notebook never touches the source tree.

The rule, in order:

1. Directories become real directories, so that new files never land in the project, down to `DIRECTORIES` of them.
2. The notebook's own folder, with its sub-directories, is copied, shallow files first, until `COPIED_FILES` files or
   `COPIED_BYTES` bytes. A file above `LARGEST_COPY` is linked.
3. Elsewhere, files up to `SMALL_FILE` are copied until `SMALL_FILES` or `SMALL_BYTES` of them, so that one which a
   notebook writes again, such as a figure in a neighbouring folder, is its own.
4. Every other file is a link to the project's. So are the directories in `LINKED` and virtualenvs, hidden
   directories outside the notebook's folder, and what is beyond the bounds. Such a file that changed while the
   notebook ran is told by `changed_sources`.
5. What is in `LEFT_OUT` is not there at all.
6. The directory of a notebook that passed may serve the next of the same run; see `spares`.

Symbolic links are kept as links, and never followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from envsolver.worker.scratch_cache import HERE, CachedEntry, ReusableEntries, ScratchCache, Stamp, mark_of

LEFT_OUT = frozenset(
    {".envsolver", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox", "__pycache__"}
)
"""Names of directories that a notebook does not see."""

LINKED = frozenset({".git", ".hg", ".svn", ".venv", "node_modules", "venv"})
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

_LISTED = 200
_WALKED = 20_000
_LONGEST_TEMPORARY = 40  # bytes; a socket's path must stay below 104 on macOS, and up to 50 follow
_ATTEMPTS = 5
_PIECE = 1024 * 1024
_IS_LINK = (-1, -1)
_SPARE_BYTES = 32 * 1024 * 1024  # above which a copy is not kept, since each worker keeps one

_spares = ScratchCache()


@dataclass(kw_only=True, slots=True)
class Scratch:
    """A job's private directory.

    Attributes
    ----------
    base
        The private directory itself: real path, mode 0700, short enough for sockets.
    root
        Stands for the project's root.
    folder
        Stands for the notebook's folder: the kernel's working directory.
    seen
        Size and time of change of each file that was put there, by path relative to `root`.
    """

    base: Path
    root: Path
    folder: Path
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    sources: dict[str, tuple[Path, int, int]] = field(default_factory=dict)
    """The project's files that are linked, with their size and time of change, by path relative to `root`."""
    key: Stamp = ()
    """What it is the likeness of."""
    placed: dict[str, CachedEntry] = field(default_factory=dict)
    """All that was put there, by path relative to `root`."""

    def changed_sources(self) -> tuple[str, ...]:
        """Return the project's own files that changed since the directory was made, sorted; at most 200."""
        found = []
        for path, (source, *before) in self.sources.items():
            try:
                status = source.stat()
            except OSError:
                found.append(path)
                continue
            if [status.st_size, status.st_mtime_ns] != before:
                found.append(path)
        return tuple(sorted(found)[:_LISTED])

    def left_behind(self) -> tuple[str, ...]:
        """Return the new or changed files, relative to the project's root, sorted; at most 200."""
        found: list[str] = []
        walked = 0
        start = len(str(self.root)) + 1
        for directory, names, files in os.walk(self.root):
            names[:] = sorted(name for name in names if name not in LEFT_OUT)
            walked += len(files) + len(names)
            if walked > _WALKED or len(found) >= _LISTED:
                break
            inside = f"{directory}/"[start:]
            found += [inside + name for name in files if self._changed(inside + name)]
        return tuple(sorted(found)[:_LISTED])

    def keep(self) -> None:
        """Delete the directory, but keep the likeness for the next notebook of this run.

        Whoever asks for this must remove the run's directory in the end. Never raises.
        """
        size = sum(thing.fingerprint[0] for thing in self.placed.values() if thing.fingerprint != _IS_LINK)
        if size <= _SPARE_BYTES:
            with contextlib.suppress(OSError):
                _spares.keep(self.key, self.base / "w", self.placed)
        self.remove()

    def remove(self) -> None:
        """Delete the directory. Never raises."""
        remove(self.base)
        with contextlib.suppress(OSError):  # other jobs of the run are still there, or it is gone
            self.base.parent.rmdir()

    def _changed(self, path: str) -> bool:
        try:
            status = os.lstat(f"{self.root}/{path}")  # there are many, and a `Path` costs more than the call
        except OSError:
            return False
        return self.seen.get(path) != (_IS_LINK if stat.S_ISLNK(status.st_mode) else _fingerprint(status))


def run_directory(run_id: str) -> Path:
    """Return where the private directories of a run's jobs stand on this machine; it may not exist.

    The controller hands it to the guardian, which removes it when the controller vanishes.
    """
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:10]
    return _temporary() / f"envsolver-{os.getuid()}-{digest}"


def create(root: Path, notebook: str, run_id: str) -> Scratch:
    """Make the scratch directory of a job.

    Parameters
    ----------
    root
        The project's root.
    notebook
        Path of the notebook relative to `root`, with forward slashes.
    run_id
        The run that it belongs to.

    Raises
    ------
    OSError
        When there is no place for it.
    """
    base = _private_directory(run_id)
    parts = PurePosixPath(notebook).parts[:-1]
    # It keeps the project's name: notebooks look for their root by it.
    home = base / "w" / (root.name or "root")
    folder = str(PurePosixPath(*parts))
    scratch = Scratch(base=base, root=home, folder=home.joinpath(*parts), key=(run_id, root))
    try:
        (base / "tmp").mkdir()
        known = _spares.take(scratch.key, base / "w", home.name)
        _Mirror(root, scratch, folder, known).build()
    except BaseException:
        scratch.remove()
        raise
    return scratch


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


class _Mirror:
    """Builds the project's likeness in a scratch directory. Paths inside are text, for speed: there are many."""

    def __init__(self, root: Path, scratch: Scratch, folder: str, known: ReusableEntries) -> None:
        self.source = str(root)
        self.target = str(scratch.root)
        self.seen = scratch.seen
        self.sources = scratch.sources
        self.placed = scratch.placed
        self.known = known
        self.folder = folder
        self.on_the_way = {folder, *map(str, PurePosixPath(folder).parents)}
        self.files = COPIED_FILES
        self.bytes = COPIED_BYTES
        self.directories = DIRECTORIES
        self.entries = ENTRIES

    def build(self) -> None:
        """Make the notebook's folder first, so that the bounds are spent on it, then the rest."""
        for path in sorted(self.on_the_way, key=lambda path: (path != HERE, len(path))):
            # What the last notebook had here may have been a link to the project's own directory.
            if self.known.take(path, ()) is None:
                Path(self.target, path).mkdir(parents=path == HERE)
            self._note(path, (), (0, 0))
        self._fill(deque([self.folder]), copy=True)
        self.files = min(self.files, SMALL_FILES)
        self.bytes = min(self.bytes, SMALL_BYTES)
        self._fill(deque(map(str, reversed(PurePosixPath(self.folder).parents))), copy=False)
        self.known.finish()

    def _note(self, path: str, source: Stamp, fingerprint: tuple[int, int]) -> None:
        target = mark_of(os.lstat(f"{self.target}/{path}"))
        self.placed[path] = CachedEntry(source, target, fingerprint)

    def _is_there(self, path: str, source: Stamp) -> CachedEntry | None:
        """Return what is at a path already, if it was made from the same source; note it."""
        known = self.known.take(path, source)
        if known is not None:
            self.placed[path] = known
        return known

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
        whole = entry.name in LINKED or (not copy and entry.name.startswith("."))
        full = self.directories <= 0 or self.entries <= 0
        if whole or full or Path(entry.path, "pyvenv.cfg").exists():
            self._link(entry.path, path)
            return False
        self.directories -= 1
        if self._is_there(path, ()) is None:
            Path(self.target, path).mkdir()
            self._note(path, (), (0, 0))
        return True

    def _file(self, entry: os.DirEntry[str], path: str, *, copy: bool) -> None:
        status = entry.stat()
        size = status.st_size
        if size > (LARGEST_COPY if copy else SMALL_FILE) or size > self.bytes or self.files <= 0:
            self._link(entry.path, path)
            self.sources[path] = (Path(entry.path), size, status.st_mtime_ns)
            return
        target = f"{self.target}/{path}"
        origin = ("copy", status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)
        there = self._is_there(path, origin)
        if there is not None:
            self.seen[path] = there.fingerprint
        else:
            try:
                self.seen[path] = _copy(entry.path, target, status)
            except PermissionError:
                Path(target).unlink(missing_ok=True)
                self._link(entry.path, path)
                return
            self._note(path, origin, self.seen[path])
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
        origin = ("link", to)
        if self._is_there(path, origin) is None:
            os.symlink(to, f"{self.target}/{path}")  # noqa: PTH211  # as above
            self._note(path, origin, _IS_LINK)
        self.seen[path] = _IS_LINK


def _copy(source: str, target: str, status: os.stat_result) -> tuple[int, int]:
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


def _fingerprint(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _temporary() -> Path:
    place = Path(tempfile.gettempdir()).resolve()
    # macOS gives every user a long directory; a socket's path has no room for it.
    short = len(os.fsencode(place)) <= _LONGEST_TEMPORARY
    return place if short else Path("/tmp").resolve()  # noqa: S108  # what is made there is private


def make_private(directory: Path) -> bool:
    """Make a directory that only its owner may enter; False when there is one of that name that others may."""
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _private_directory(run_id: str) -> Path:
    parent = run_directory(run_id)
    for _ in range(_ATTEMPTS):
        if not make_private(parent):
            # Someone else took the name: a directory that nobody can foresee serves as well.
            return Path(tempfile.mkdtemp(prefix="envsolver-", dir=parent.parent))
        try:
            return Path(tempfile.mkdtemp(prefix="j", dir=parent))
        except FileNotFoundError:  # another job of the run removed the empty parent just now
            continue
    return Path(tempfile.mkdtemp(prefix="envsolver-", dir=parent.parent))
