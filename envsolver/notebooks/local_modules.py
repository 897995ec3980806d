"""Distinguish a notebook's local modules from installed ones, and find what local modules import in turn."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from envsolver.core.projects import project_name
from envsolver.notebooks.cell_analysis import analyse_cell
from envsolver.notebooks.findings import ImportStatement, NotebookState

_MOST_FILES = 200
"""Local files read for one notebook; beyond that their imports say little more."""

_MOST_OWN_FILES = 2000
"""Files of the project's own package read for one notebook, each of which is analysed once for all notebooks."""

_Find = Callable[[str, tuple[str, ...]], tuple[Path, ...] | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMention:
    """An import that stands in a local module."""

    path: Path
    mention: ImportStatement


class LocalModules:
    """The modules that a notebook finds without an environment.

    Parameters
    ----------
    root
        The project's root, absolute.
    folder
        The notebook's folder, absolute.
    search_path
        Directories that the notebook puts on ``sys.path``, absolute.
    written
        Files that the notebook writes itself, as named there.
    """

    def __init__(self, root: Path, folder: Path, search_path: Iterable[str], written: Iterable[str]) -> None:
        self.root = root
        self.directories = tuple(dict.fromkeys([folder, *(Path(entry) for entry in search_path)]))
        # A module in a folder further up is not found when the notebook runs, but it is what the notebook means,
        # and never a package of that name in a registry. The root's own package is another matter.
        above = [directory for directory in folder.parents if directory.is_relative_to(root) and directory != root]
        self.packages = (root / "src", root) if project_name(root) else ()  # where the project's own package may be
        self.above = tuple(above) if self.packages else (*above, root)
        self.elsewhere: set[str] = set()
        self.found: dict[tuple[str, tuple[str, ...]], tuple[Path, ...] | None] = {}
        self.own: dict[tuple[str, tuple[str, ...]], tuple[Path, ...] | None] = {}
        self.written = frozenset(_written_module(name) for name in written)
        self.followed: set[Path] = set()  # the files whose imports were looked at

    def find(self, module: str, names: tuple[str, ...] = ()) -> tuple[Path, ...] | None:
        """Return the files of a local module that importing it reads, or None when it is not local."""
        key = module, names
        if key not in self.found:
            self.found[key] = self._find(module, names)
        return self.found[key]

    def _find(self, module: str, names: tuple[str, ...]) -> tuple[Path, ...] | None:
        top = module.partition(".")[0]
        if top in self.written:
            return ()
        if top in self.elsewhere:
            return None
        if not any(top in _modules_in(directory) for directory in (*self.directories, *self.above)):
            self.elsewhere.add(top)
            return None
        for directory in (*self.directories, *self.above):
            if (files := _files(directory, module, names)) is not None:
                return files
        return None

    def is_own_package(self, module: str) -> bool:
        """Return whether a module is the package that the project itself distributes."""
        return self._own_files(module.partition(".")[0]) is not None

    def _own_files(self, module: str, names: tuple[str, ...] = ()) -> tuple[Path, ...] | None:
        """Return the files of the project's own package that importing a module reads; None for another's module."""
        key = module, names
        if key not in self.own:
            found = (_files(place, module, names) for place in self.packages)
            self.own[key] = next((files for files in found if files is not None), None)
        return self.own[key]

    def own_files(self, mentions: Iterable[ImportStatement]) -> tuple[Path, ...]:
        """Return the files of the project's own package that some imports of it read, each once."""
        files = (self._own_files(mention.module, mention.names) or () for mention in mentions)
        return tuple(dict.fromkeys(chain.from_iterable(files)))

    def imports_of_own(self, files: Iterable[Path]) -> Iterator[FileMention]:
        """Yield what files of the project's own package import, and what the own files that they import do."""
        return self._follow(files, self._own_files, most=_MOST_OWN_FILES)

    def names_in_own(self, mentions: Iterable[ImportStatement], module: str) -> bool:
        """Return whether files of those packages of the project that some imports name mention a module."""
        tops = {mention.module.partition(".")[0] for mention in mentions}
        return any(_names(file.parent, module) for top in tops for file in self._own_files(top) or ())

    def imports_of(self, files: Iterable[Path]) -> Iterator[FileMention]:
        """Yield what local files import when they are imported, and what the local files that they import do."""
        return self._follow(files, self.find, most=_MOST_FILES)

    def _follow(self, files: Iterable[Path], find: _Find, *, most: int) -> Iterator[FileMention]:
        """Yield what files import that `find` does not know, and follow what it knows; each file once."""
        waiting = deque(files)
        seen: set[Path] = set()
        while waiting and len(seen) < most:
            path = waiting.popleft()
            if path in seen:
                continue
            seen.add(path)
            self.followed.add(path)
            for mention in _mentions(path):
                below = _relative(path, mention) if mention.level else find(mention.module, mention.names)
                if below is None:
                    yield FileMention(path=path, mention=mention)
                else:
                    waiting.extend(below)


def ending_in(tails: Iterable[str], root: Path, folder: Path) -> Iterator[str]:
    """Yield the project's directories that a path with an unknown beginning may mean, from a notebook's folder up."""
    places = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
    for tail in dict.fromkeys(tails):
        yield from (os.path.normpath(place / tail) for place in places if (place / tail).is_dir())


def states_extras(root: Path) -> bool:
    """Return whether a project's files name extras."""
    return _states(root, pyproject=r"optional-dependencies", setup=r"extras_require")


def states_dependencies(root: Path) -> bool:
    """Return whether a project's files say that its package depends on others, or how that is to be found out."""
    return _states(root, pyproject=r"(?<![\w-])dependencies(?!\w)", setup=r"install_requires|pbr|pyscaffold")


def _states(root: Path, *, pyproject: str, setup: str) -> bool:
    """Return whether a project's file has a word in it, by regular expressions."""
    for name, word in (("pyproject.toml", pyproject), ("setup.cfg", setup), ("setup.py", setup)):
        with contextlib.suppress(OSError):
            if re.search(word, (root / name).read_text(encoding="utf-8", errors="replace")):
                return True
    return False


def _written_module(name: str) -> str:
    """Return the top-level module that a written file makes importable."""
    parts = name.strip("'\"").removeprefix("./").split("/")
    return parts[0].removesuffix(".py")


def _files(directory: Path, module: str, names: tuple[str, ...]) -> tuple[Path, ...] | None:
    """Return the files that importing a module from a directory reads, or None when it is not there.

    A folder without an ``__init__.py`` counts only when what is asked of it is there, since an installed
    package of that name comes first.
    """
    top, *rest = module.split(".")
    forms = _modules_in(directory).get(top, frozenset())
    single, package = directory / f"{top}.py", directory / top
    if single.name in forms:
        return (single,)
    if top not in forms:
        return () if any(form.endswith((".so", ".pyd")) for form in forms) else None
    files = [package / "__init__.py"] if (package / "__init__.py").is_file() else []
    place = package
    for part in rest:
        place /= part
        files.extend(_module_files(place))
    for name in names:
        files.extend(_module_files(place / name))
    return tuple(dict.fromkeys(files)) or None


def _modules_in(directory: Path) -> Mapping[str, frozenset[str]]:
    """Return a directory's entries by what stands before their first dot: the modules that they may be."""
    try:
        return _modules_in_cached(directory, directory.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=1024)
def _modules_in_cached(directory: Path, _modified: int) -> Mapping[str, frozenset[str]]:
    """List a directory once, since many notebooks share it."""
    forms: dict[str, set[str]] = {}
    for place in directory.iterdir():
        forms.setdefault(place.name.partition(".")[0], set()).add(place.name)
    return {top: frozenset(names) for top, names in forms.items()}


def _relative(path: Path, mention: ImportStatement) -> tuple[Path, ...]:
    """Return the files that a relative import in a local file reads."""
    try:
        return _relative_cached(path, mention, path.parent.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=8192)
def _relative_cached(path: Path, mention: ImportStatement, _modified: int) -> tuple[Path, ...]:
    """Look for a file once, since many notebooks share it."""
    place = path.parent.joinpath(*[".."] * (mention.level - 1))
    files: list[Path] = []
    for part in filter(None, mention.module.split(".")):
        place /= part
        files.extend(_module_files(place))
    for name in mention.names:
        files.extend(_module_files(place / name))
    return tuple(Path(os.path.normpath(file)) for file in files)


def _module_files(place: Path) -> list[Path]:
    """Return the file of a module within a package, whichever form it has."""
    candidates = (place.with_name(place.name + ".py"), place / "__init__.py")
    return [candidate for candidate in candidates if candidate.is_file()]


@lru_cache(maxsize=64)
def _names(package: Path, module: str) -> bool:
    """Return whether a file of a package, or of a folder of single modules, has a name in its text."""
    found = package.rglob("*.py") if (package / "__init__.py").is_file() else package.glob("*.py")
    for file in islice(found, _MOST_OWN_FILES):
        with contextlib.suppress(OSError):
            if module.encode() in file.read_bytes():
                return True
    return False


def _mentions(path: Path) -> tuple[ImportStatement, ...]:
    """Return what a file imports while it is imported itself."""
    try:
        state = path.stat()
        return _mentions_cached(path, state.st_mtime_ns, state.st_size)
    except OSError:
        return ()


@lru_cache(maxsize=4096)
def _mentions_cached(path: Path, _modified: int, _size: int) -> tuple[ImportStatement, ...]:
    """Read a file's imports; many notebooks share one helper."""
    source = path.read_text(encoding="utf-8", errors="replace")
    found = analyse_cell(source, NotebookState(cwd=str(path.parent)))
    return tuple(mention for mention in found.mentions if not mention.deferred)
