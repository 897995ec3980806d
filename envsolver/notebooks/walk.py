"""Walk a project's directories for notebooks, without those that hold nothing of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from envsolver.core.folders import is_run, is_skipped, marks_environment
from envsolver.core.globs import glob_base, glob_depth, matches_any

_SHOWN_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
_SUFFIX = ".ipynb"
_CHECKPOINTS = ".ipynb_checkpoints"


def walk_notebooks(root: Path, globs: Sequence[str]) -> tuple[str, ...]:
    """Return the notebooks below `root` that match any of the globs, sorted, each once.

    A notebook that is reached by several names, through symbolic links, counts once, by its real name if that matches.
    """
    return _found(root, tuple(globs))[0]


def links_out(root: Path, globs: Sequence[str]) -> tuple[str, ...]:
    """Return the links below `root` that lead out of it, or nowhere, to a notebook or to a folder of notebooks.

    What is behind them is no part of the project, so it is not among its notebooks.
    """
    return _found(root, tuple(globs))[1]


def _found(root: Path, patterns: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the notebooks, and the links that lead out of the project."""
    absolute = root.resolve()
    found: set[str] = set()
    outside: set[str] = set()
    for base, depth in sorted(_starts(patterns).items()):
        start = absolute / base
        if _CHECKPOINTS in base.split("/"):
            continue
        if not _within(start, absolute):
            outside.update([base] if start.exists() else [])
            continue
        named = map(shown_name, _walk(str(start), base, depth, str(absolute), outside))
        found.update(path for path in named if matches_any(path, patterns))
    links = (path for path in outside if not path.endswith(_SUFFIX) or matches_any(path, patterns))
    return tuple(_once(absolute, sorted(found))), tuple(sorted(links))


def shown_name(path: str) -> str:
    r"""Return a path as text that can be written anywhere; bytes that are not UTF-8 are shown as ``\xe9``."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def actual_name(path: str) -> bytes:
    """Return the bytes of the path that `shown_name` shows."""
    return _SHOWN_BYTE.sub(lambda found: bytes([int(found[1], 16)]), os.fsencode(path))


def _starts(patterns: tuple[str, ...]) -> dict[str, int | None]:
    """Return the directories to walk, and how deep below the root each may matter; None for no end."""
    starts: dict[str, int | None] = {}
    for pattern in patterns:
        base, depth = glob_base(pattern), glob_depth(pattern)
        known = starts.get(base, 0)
        starts[base] = None if depth is None or known is None else max(known, depth)
    return starts


def _walk(directory: str, relative: str, depth: int | None, root: str, outside: set[str]) -> Iterator[str]:
    """Yield the paths of the notebooks in a directory and below, relative to the root; `outside` gets links out."""
    waiting = [(directory, relative)]
    entered: set[Path] = set()
    while waiting:
        place, prefix = waiting.pop()
        try:
            with os.scandir(place) as listing:
                entries = list(listing)
        except OSError:
            continue  # A directory that cannot be read holds nothing that could be run.
        if place != directory and _is_made(place, [entry.name for entry in entries]):
            continue
        for entry in entries:
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            notebook = entry.name.endswith(_SUFFIX)
            if notebook and _leads_nowhere(entry):
                outside.add(path)
            deeper = depth is None or path.count("/") + 1 < depth
            if not (_is_notebook(entry) if notebook else deeper and _is_folder(entry)):
                continue
            if not _stays(entry, root):
                outside.add(path)
            elif notebook:
                yield path
            elif _enters(entry, entered):
                waiting.append((entry.path, path))


def _is_made(place: str, names: list[str]) -> bool:
    """Return whether a directory is a virtualenv, a cache, or the folder of a run with its executed copies."""
    return marks_environment(names) or is_run(place, names)


def _is_notebook(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of a notebook's name is a file, if need be behind a link."""
    try:
        return not entry.name.startswith(".") and entry.is_file()
    except OSError:
        return False


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of a notebook's name is a link behind which there is nothing."""
    return entry.is_symlink() and not entry.name.startswith(".") and not os.path.exists(entry.path)  # noqa: PTH110


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a directory, or a link to one, that may hold something of the project's own."""
    try:
        return not is_skipped(entry.name) and entry.is_dir()
    except OSError:
        return False


def _stays(entry: os.DirEntry[str], root: str) -> bool:
    """Return whether an entry is the project's own, and no link that leads out of it."""
    return not entry.is_symlink() or _within(Path(entry.path), Path(root))


def _enters(entry: os.DirEntry[str], entered: set[Path]) -> bool:
    """Return whether to walk into a directory of the project; a link's target once, and only if it does not hold it."""
    if not entry.is_symlink():
        return True
    place = Path(entry.path)
    target = place.resolve()
    if target in entered or place.parent.resolve().is_relative_to(target):
        return False
    entered.add(target)
    return True


def _within(path: Path, root: Path) -> bool:
    """Return whether a path, links followed, lies in the project."""
    return path.resolve().is_relative_to(root)


def _once(root: Path, paths: list[str]) -> list[str]:
    """Keep one path for each file, the real one before links to it."""
    chosen: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(root / path)
        if real not in chosen or real == str(root / path):
            chosen[real] = path
    return sorted(chosen.values())
