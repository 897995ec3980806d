"""A project's folders: which hold nothing of its own, and which modules lie in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from envsolver.core.paths import EXECUTED, RESULTS

METADATA_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
"""Files that decide what a project is called, what it depends on and which commands it has."""

# `build` and `_build` hold copies that setuptools, Sphinx and Jupyter Book made.
_NOT_SOURCES = frozenset({"node_modules", "__pycache__", "site-packages", "_build", "build"})
# A virtualenv, a conda environment, and a cache (see the Cache Directory Tagging Specification).
_MARKS = frozenset({"pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"})
_MOST_FOLDERS = 5000
_OPENING_BYTES = 64


def marks_environment(names: Iterable[str]) -> bool:
    """Return whether a directory that holds these names is a virtualenv or a cache."""
    return not _MARKS.isdisjoint(names)


def is_run(directory: str, names: Iterable[str]) -> bool:
    """Return whether a directory that holds these names is the folder of a run, or of several that were joined."""
    if not {RESULTS, EXECUTED} <= set(names):
        return False
    try:
        with Path(directory, RESULTS).open("rb") as file:
            return file.read(_OPENING_BYTES).lstrip(b"{ \r\n").startswith(b'"schema"')
    except OSError:
        return False


def is_skipped(name: str) -> bool:
    """Return whether a directory of this name holds nothing of the project's own."""
    return name.startswith(".") or name in _NOT_SOURCES


def stray_modules(root: Path) -> Mapping[str, tuple[Path, ...]]:
    """Return the files and packages that would be modules if their folder were searched, by name.

    Those of the root, of packages, and of projects within the project are left out.
    """
    return _stray_modules(root, root.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _stray_modules(root: Path, _modified: int) -> Mapping[str, tuple[Path, ...]]:
    found: dict[str, list[Path]] = {}
    for folder, names in _folders(root):
        for name in names:
            path = folder / name
            if name.endswith(".py"):
                found.setdefault(name.removesuffix(".py"), []).append(path)
            elif (path / "__init__.py").is_file():
                found.setdefault(name, []).append(path)
    return {top: tuple(paths) for top, paths in found.items()}


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the project's folders, but for the root, packages and projects within the project, with what they hold."""
    waiting, seen = [root], 0
    while waiting and seen < _MOST_FOLDERS:
        folder = waiting.pop()
        seen += 1
        try:
            with os.scandir(folder) as listing:
                entries = {entry.name: entry.is_dir(follow_symlinks=False) for entry in listing}
        except OSError:
            continue
        inner = folder != root and (not entries.keys().isdisjoint(METADATA_FILES) or marks_environment(entries))
        if inner or "__init__.py" in entries:
            continue
        if folder not in {root, root / "src"}:
            yield folder, list(entries)
        waiting += [folder / name for name, is_folder in entries.items() if is_folder and not is_skipped(name)]
