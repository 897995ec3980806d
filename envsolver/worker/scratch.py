"""The private directory that a job runs in, and its view of the project, so that a notebook never touches that.

With the isolation ``namespace`` the view is an overlay at the project's own path (`isolation`), with ``copies`` a
likeness of the project in the private directory (`mirror`).
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from envsolver.worker.isolation import FAILED, Isolation, plan_namespace
from envsolver.worker.mirror import LEFT_OUT, Mirror, fingerprint_of
from envsolver.worker.private_directories import job_directory, remove
from envsolver.worker.side_files import read_side_file

LISTED = 200
"""How many files that a notebook left behind are named."""

_NO_CONTENT = frozenset({".ipynb_checkpoints", "__pycache__"})
_PIECE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftBehind:
    """What a notebook left behind."""

    paths: tuple[str, ...] = ()
    """New, changed and deleted files relative to the project's root, sorted; the first `LISTED` of them."""
    count: int = 0
    """How many there are."""


class Scratch(ABC):
    """A job's private directory with its view of the project.

    Attributes
    ----------
    base
        The private directory itself: real path, mode 0700, short enough for sockets.
    folder
        The kernel's working directory, which is or stands for the notebook's folder.
    plan
        The file in which `namespaces` reads what to do; None where the kernel has no keeper.
    keepers
        How many processes stand between the worker and the kernel.
    """

    isolation: Isolation
    plan: Path | None = None
    keepers: int = 0

    def __init__(self, base: Path, folder: Path) -> None:
        self.base = base
        self.folder = folder

    @property
    @abstractmethod
    def home(self) -> Path:
        """What the kernel takes for the project's root."""

    def left_behind(self) -> LeftBehind:
        """Return the files that are new, changed or deleted."""
        found = sorted(self._left())
        return LeftBehind(paths=tuple(found[:LISTED]), count=len(found))

    @abstractmethod
    def changed_sources(self) -> tuple[str, ...]:
        """Return the project's own files that changed since the directory was made, sorted."""

    def remove(self) -> None:
        """Delete the directory, and the run's when it was the last. Never raises."""
        _remove_with_parent(self.base)

    @abstractmethod
    def _left(self) -> Iterator[str]: ...


class OverlayScratch(Scratch):
    """The project at its own path under an overlay, which catches all that is written."""

    isolation = "namespace"
    keepers = 2  # the keeper itself, and the first process of the namespace

    def __init__(self, base: Path, root: Path, folder: PurePosixPath) -> None:
        super().__init__(base, root / folder)
        self._root = root
        self.plan = _written_plan(base, plan_namespace(root, base, watched=True))

    @property
    def home(self) -> Path:
        """The project's root itself."""
        return self._root

    def failure(self) -> str:
        """Return why the kernel could not enter the namespaces; empty when it could."""
        try:
            return read_side_file(self.base / FAILED).decode(errors="replace")
        except OSError:
            return ""

    def changed_sources(self) -> tuple[str, ...]:
        """Return nothing: the overlay lets nothing through."""
        return ()

    def _left(self) -> Iterator[str]:
        upper = self.base / "up"
        for directory, names, files in os.walk(upper):
            names[:] = [name for name in names if name not in _NO_CONTENT]
            inside = Path(directory).relative_to(upper)
            for name in files:
                path = inside / name
                status = (upper / path).lstat()
                if stat.S_ISCHR(status.st_mode):  # how an overlay keeps in mind that a file is gone
                    yield f"{path.as_posix()} (deleted)"
                elif not _same_content(upper / path, self._root / path, status):
                    yield path.as_posix()


class MirrorScratch(Scratch):
    """A likeness of the project inside the private directory."""

    isolation = "copies"

    def __init__(self, base: Path, root: Path, folder: PurePosixPath) -> None:
        # It keeps the project's name: notebooks look for their root by it.
        self.root = base / "w" / (root.name or "root")
        super().__init__(base, self.root / folder)
        self._mirror = Mirror(root, self.root, str(folder))
        self._mirror.build()
        if sys.platform.startswith("linux"):
            self.keepers = 1
            self.plan = _written_plan(base, {"failed": str(base / FAILED)})

    @property
    def home(self) -> Path:
        """The likeness."""
        return self.root

    def changed_sources(self) -> tuple[str, ...]:
        """Return the project's own files that changed since the directory was made, sorted; at most 200."""
        return self._mirror.changed()[:LISTED]

    def _left(self) -> Iterator[str]:
        start = len(str(self.root)) + 1
        for directory, names, files in os.walk(self.root):
            names[:] = [name for name in names if name not in LEFT_OUT]
            inside = f"{directory}/"[start:]
            yield from (inside + name for name in files if self._changed(inside + name))

    def _changed(self, path: str) -> bool:
        try:
            status = os.lstat(f"{self.root}/{path}")  # there are many, and a `Path` costs more than the call
        except OSError:
            return False
        return self._mirror.seen.get(path) != fingerprint_of(status)


def create(root: Path, notebook: str, run_id: str, isolation: Isolation) -> Scratch:
    """Make the private directory of a job.

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
    base = job_directory(run_id)
    folder = PurePosixPath(*PurePosixPath(notebook).parts[:-1])
    try:
        (base / "tmp").mkdir()
        return (OverlayScratch if isolation == "namespace" else MirrorScratch)(base, root, folder)
    except BaseException:
        _remove_with_parent(base)
        raise


def _written_plan(base: Path, plan: dict[str, object]) -> Path:
    """Write what `namespaces` is to do into a job's private directory."""
    place = base / "plan.json"
    place.write_text(json.dumps(plan), encoding="utf-8")
    return place


def _same_content(one: Path, other: Path, status: os.stat_result) -> bool:
    """Return whether a file that an overlay holds is what the project has, as when it was only opened for writing."""
    try:
        before = other.lstat()
        if stat.S_IFMT(before.st_mode) != stat.S_IFMT(status.st_mode) or before.st_size != status.st_size:
            return False
        if stat.S_ISLNK(status.st_mode):
            return one.readlink() == other.readlink()
        with one.open("rb") as mine, other.open("rb") as theirs:
            while piece := mine.read(_PIECE):
                if piece != theirs.read(_PIECE):
                    return False
    except OSError:
        return False
    return True


def _remove_with_parent(base: Path) -> None:
    """Delete a job's directory, and the run's when it was the last."""
    remove(base)
    with contextlib.suppress(OSError):  # other jobs of the run are still there, or it is gone
        base.parent.rmdir()
