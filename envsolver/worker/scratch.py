"""The private scratch directory that a job runs in, so that a notebook never touches the source tree.

It holds the likeness of the project that `mirror` describes. A file of the project's own that is linked there, and
changed while the notebook ran, is told by `changed_sources`. The directory of a notebook that passed may serve the
next of the same run; see `scratch_cache`.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from envsolver.worker.mirror import IS_LINK, LEFT_OUT, Mirror, fingerprint_of
from envsolver.worker.private_directories import job_directory, remove
from envsolver.worker.scratch_cache import ScratchCache, Stamp

CACHED_BYTES = 32 * 1024 * 1024
"""Above so much a copy is not kept, since each worker keeps one."""

_LISTED = 200
_WALKED = 20_000

_cache = ScratchCache()


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
    mirror
        What was put there.
    key
        What it is the likeness of.
    """

    base: Path
    root: Path
    folder: Path
    mirror: Mirror
    key: Stamp = ()

    def changed_sources(self) -> tuple[str, ...]:
        """Return the project's own files that changed since the directory was made, sorted; at most 200."""
        found = []
        for path, (source, *before) in self.mirror.sources.items():
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
        size = sum(thing.fingerprint[0] for thing in self.mirror.placed.values() if thing.fingerprint != IS_LINK)
        if size <= CACHED_BYTES:
            with contextlib.suppress(OSError):
                _cache.keep(self.key, self.base / "w", self.mirror.placed)
        self.remove()

    def remove(self) -> None:
        """Delete the directory. Never raises."""
        _remove_with_parent(self.base)

    def _changed(self, path: str) -> bool:
        try:
            status = os.lstat(f"{self.root}/{path}")  # there are many, and a `Path` costs more than the call
        except OSError:
            return False
        return self.mirror.seen.get(path) != fingerprint_of(status)


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
    base = job_directory(run_id)
    try:
        (base / "tmp").mkdir()
        parts = PurePosixPath(notebook).parts[:-1]
        # It keeps the project's name: notebooks look for their root by it.
        home = base / "w" / (root.name or "root")
        known = _cache.take((run_id, root), base / "w", home.name)
        mirror = Mirror(root, home, str(PurePosixPath(*parts)), known)
        mirror.build()
    except BaseException:
        _remove_with_parent(base)
        raise
    return Scratch(base=base, root=home, folder=home.joinpath(*parts), mirror=mirror, key=(run_id, root))


def _remove_with_parent(base: Path) -> None:
    """Delete a job's directory, and the run's when it was the last."""
    remove(base)
    with contextlib.suppress(OSError):  # other jobs of the run are still there, or it is gone
        base.parent.rmdir()
