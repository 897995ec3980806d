"""Find notebooks: those that the configuration names, and those that the command line names."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from envsolver.core.errors import ConfigurationError, NothingToRunError
from envsolver.core.globs import glob_escape, glob_matches, is_glob, matches_any
from envsolver.core.settings import Config
from envsolver.notebooks.read import read_notebook
from envsolver.notebooks.walk import links_out, shown_name, walk_notebooks

__all__ = ["find_notebooks", "left_out_links", "read_notebook", "select_notebooks"]


def find_notebooks(config: Config) -> tuple[str, ...]:
    """Find the notebooks that the configuration names, sorted, relative to the root, each once.

    Never found are checkpoints, and what lies in hidden directories, virtualenvs, ``node_modules``, ``_build``,
    ``build``, directories tagged as caches and folders of runs (unless a glob names the directory itself), or outside
    of the project.
    """
    found = walk_notebooks(config.root, config.notebooks)
    return tuple(path for path in found if not matches_any(path, config.exclude))


def left_out_links(config: Config, patterns: Sequence[str], cwd: Path) -> tuple[str, ...]:
    """Return a line for each link to notebooks that leads out of the project, or nowhere, and so is left out.

    Parameters
    ----------
    patterns, cwd
        What the command line names, as for `select_notebooks`.
    """
    starts = [
        os.path.relpath(os.path.normpath(start / p), config.root) for p in patterns for start in (cwd, config.root)
    ]
    globs = (".",) if not patterns else tuple(dict.fromkeys(Path(start).as_posix() for start in starts))
    inside = [glob for glob in globs if not glob.startswith("..")]
    found = [
        path
        for path in links_out(config.root, config.notebooks)
        if any(glob == "." or path.startswith(f"{glob}/") or glob_matches(path, glob) for glob in inside)
    ]
    return tuple(
        f"left out: {shown_name(path)} is a link that leads {_whither(config.root / path)}"
        for path in found
        if not matches_any(path, config.exclude)
    )


def _whither(link: Path) -> str:
    target = shown_name(os.path.realpath(link))  # a `Path` would not resolve a link to itself
    return f"out of the project, to {target}" if link.exists() else f"nowhere: there is no {target}"


def select_notebooks(config: Config, patterns: Sequence[str], cwd: Path) -> tuple[str, ...]:
    """Return the notebooks that the command line names, sorted; without patterns, all of them.

    Parameters
    ----------
    patterns
        Paths of notebooks, directories or globs, relative to `cwd`; what is not found there is looked for from the
        root. A notebook or directory named outright is taken even when the configuration's globs do not name it.
    cwd
        The directory that the command was started in.

    Raises
    ------
    NothingToRunError
        A pattern matches nothing; near matches are named.
    ConfigurationError
        A path lies outside of the project, or is no notebook.
    """
    known = find_notebooks(config)
    if not patterns:
        if not known:
            globs = ", ".join(config.notebooks)
            text = "\n".join([f"No notebook matches {globs} in {config.root}.", *left_out_links(config, (), cwd)])
            raise NothingToRunError(text, tip="Name notebooks, or set `notebooks`.")
        return known
    selection = _Selection(config, known, cwd)
    for pattern in patterns:
        selection.add(pattern)
    return selection.result()


class _Selection:
    """Collects what the patterns of a command line select, and what is wrong with them."""

    def __init__(self, config: Config, known: tuple[str, ...], cwd: Path) -> None:
        self.config = config
        self.known = known
        self.root = config.root.resolve()
        self.starts = tuple(dict.fromkeys([cwd.resolve(), self.root]))
        self.chosen: set[str] = set()
        self.unmatched: list[str] = []
        self.faults: list[str] = []

    def add(self, pattern: str) -> None:
        """Take one pattern in."""
        places = [Path(os.path.normpath(start / pattern)) for start in self.starts]
        inside = [place for place in places if self._relative(place) is not None]
        if not inside:
            self.faults.append(f'"{pattern}" lies outside of the project {self.root}')
            return
        for place in inside:
            if os.path.lexists(place):
                self._existing(pattern, place)
                return
        if not (is_glob(pattern) and any(self._glob(place) for place in inside)):
            self._nothing(pattern)

    def result(self) -> tuple[str, ...]:
        """Return the selection, or raise what is wrong with it."""
        if self.faults:
            raise ConfigurationError(self.faults)
        if self.unmatched:
            raise NothingToRunError("\n".join(self.unmatched), tip="`envsolver list` shows all notebooks.")
        return tuple(sorted(self.chosen))

    def _existing(self, pattern: str, place: Path) -> None:
        """Take in a notebook or a directory that is named outright."""
        relative = self._relative(place) or "."
        if place.is_dir():
            prefix = "" if relative == "." else f"{relative}/"
            inside = [path for path in self.known if path.startswith(prefix)]
            found = inside or [
                path
                for path in walk_notebooks(self.root, (f"{glob_escape(prefix)}**",))
                if not matches_any(path, self.config.exclude)
            ]
            if found:
                self.chosen.update(found)
            else:
                self.unmatched.append(f'No notebook is in "{pattern}".')
        elif place.suffix != ".ipynb":
            self.faults.append(f'"{pattern}" is not a notebook: its name does not end in .ipynb')
        else:
            self.chosen.add(relative)

    def _relative(self, place: Path) -> str | None:
        """Return a place relative to the root, or None when it is outside or leads there."""
        if not place.resolve().is_relative_to(self.root):
            return None
        if place.is_relative_to(self.root):
            return shown_name(place.relative_to(self.root).as_posix())
        return shown_name(place.resolve().relative_to(self.root).as_posix())

    def _glob(self, place: Path) -> bool:
        """Add what a glob matches; return whether that is anything."""
        glob = self._relative(place) or "."
        found = [path for path in self.known if glob_matches(path, glob)]
        found = found or [
            path for path in walk_notebooks(self.root, (glob,)) if not matches_any(path, self.config.exclude)
        ]
        self.chosen.update(found)
        return bool(found)

    def _nothing(self, pattern: str) -> None:
        """Say that a pattern matches nothing, and what is near."""
        names = {path.rsplit("/", 1)[-1]: path for path in self.known}
        near = difflib.get_close_matches(pattern, self.known, n=3) or [
            names[name] for name in difflib.get_close_matches(pattern.rsplit("/", 1)[-1], names, n=3)
        ]
        hint = f" Near: {', '.join(near)}." if near else ""
        self.unmatched.append(f'No notebook matches "{pattern}".{hint}')
