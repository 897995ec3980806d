"""Find and read notebooks: imports, PEP 723 block, install lines, metadata."""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from envsolver.cells import CellFindings, Mention, Surroundings, analyse_cell
from envsolver.distributions import is_namespace
from envsolver.errors import ConfigurationError, NothingToRunError
from envsolver.globs import glob_matches, is_glob, matches_any
from envsolver.installs import InstallReader
from envsolver.local_modules import LocalModules
from envsolver.models import Import, Notebook, Origin
from envsolver.notebook_file import Cell, NotebookFile, UnusableNotebookError, read_notebook_file
from envsolver.scripts import read_script
from envsolver.settings import Config
from envsolver.walk import walk_notebooks

# Left out of newer Pythons, but never to be installed under these names.
_REMOVED = frozenset({
    "aifc", "asynchat", "asyncore", "audioop", "binhex", "cgi", "cgitb", "chunk", "crypt", "distutils", "formatter",
    "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "parser", "pipes", "smtpd", "smtplib",
    "sndhdr", "spwd", "sunau", "symbol", "telnetlib", "uu", "xdrlib", "tomllib", "annotationlib", "compression",
    "macpath", "dummy_threading", "_bootlocale", "concurrent",
})  # fmt: skip
_STANDARD = frozenset(sys.stdlib_module_names) | _REMOVED | {"__main__", "__future__"}


def find_notebooks(config: Config) -> tuple[str, ...]:
    """Find the notebooks that the configuration names, sorted, relative to the root, each once.

    Never found are checkpoints, and what lies in hidden directories, virtualenvs, ``node_modules``, ``_build``,
    ``build`` and directories tagged as caches (unless a glob names the directory itself), or outside of the project.
    """
    found = walk_notebooks(config.root, config.notebooks)
    return tuple(path for path in found if not matches_any(path, config.exclude))


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
            raise NothingToRunError(f"No notebook matches {globs} in {config.root}.", tip="Name notebooks, or set `notebooks`.")
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
        for start in self.starts:
            place = Path(os.path.normpath(start / pattern))
            if os.path.lexists(place):
                self._existing(pattern, place)
                return
        if not any(self._glob(pattern, start) for start in self.starts):
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
        relative = self._relative(place)
        if relative is None:
            self.faults.append(f'"{pattern}" lies outside of the project {self.root}')
        elif place.is_dir():
            prefix = "" if relative == "." else f"{relative}/"
            inside = [path for path in self.known if path.startswith(prefix)]
            found = inside or [
                path
                for path in walk_notebooks(self.root, (f"{prefix}**",))
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
            return place.relative_to(self.root).as_posix()
        return place.resolve().relative_to(self.root).as_posix()

    def _glob(self, pattern: str, start: Path) -> bool:
        """Take in what a glob matches; tell whether that is anything."""
        if not is_glob(pattern):
            return False
        absolute = os.path.normpath(start / pattern)
        relative = os.path.relpath(absolute, self.root).replace(os.sep, "/")
        if relative.startswith("../"):
            self.faults.append(f'"{pattern}" lies outside of the project {self.root}')
            return True
        found = [path for path in self.known if glob_matches(path, relative)]
        found = found or [
            path for path in walk_notebooks(self.root, (relative,)) if not matches_any(path, self.config.exclude)
        ]
        self.chosen.update(found)
        return bool(found)

    def _nothing(self, pattern: str) -> None:
        """Say that a pattern matches nothing, and what is near."""
        place = Path(os.path.normpath(self.starts[0] / pattern))
        if not is_glob(pattern) and not place.is_relative_to(self.root):
            self.faults.append(f'"{pattern}" lies outside of the project {self.root}')
            return
        names = {path.rsplit("/", 1)[-1]: path for path in self.known}
        near = difflib.get_close_matches(pattern, self.known, n=3) or [
            names[name] for name in difflib.get_close_matches(pattern.rsplit("/", 1)[-1], names, n=3)
        ]
        hint = f" Near: {', '.join(near)}." if near else ""
        self.unmatched.append(f'No notebook matches "{pattern}".{hint}')


def read_notebook(root: Path, path: str) -> Notebook:
    """Read one notebook; what is wrong with its file is told in `fault`, never raised.

    Parameters
    ----------
    root
        The project's root.
    path
        Relative to the root, with forward slashes.
    """
    try:
        file = read_notebook_file(root / path)
    except UnusableNotebookError as error:
        return Notebook(path=path, fault=str(error))
    with warnings.catch_warnings():
        # Parsing warns of odd strings in a notebook's code, which are its author's matter.
        warnings.simplefilter("ignore")
        return _Reading(root.resolve(), path, file).notebook()


class _Reading:
    """Brings together what the cells of one notebook say."""

    def __init__(self, root: Path, path: str, file: NotebookFile) -> None:
        self.root = root
        self.path = path
        self.file = file
        self.folder = (root / path).parent
        self.surroundings = Surroundings(cwd=str(self.folder))
        self.code = [cell for cell in file.cells if cell.kind == "code"]

    def notebook(self) -> Notebook:
        """Return the notebook."""
        execution = _table(self.file.metadata, "execution")
        common = {
            "path": self.path,
            "language": self.file.language,
            "code_cells": len(self.code),
            "group": _text(_table(self.file.metadata, "envsolver").get("group")),
            "timeout": _seconds(execution.get("timeout")),
            "allow_errors": execution.get("allow_errors") is True,
            "code_digest": _digest(self.code),
        }
        if self.file.language != "python":
            return Notebook(**common)
        findings = self._findings()
        imports = self._imports(findings)
        reader = InstallReader(self.root, self.folder)
        for cell, found in findings:
            for command in found.commands:
                reader.read(command, Origin(path=self.path, cell=cell.number, line=command.line))
        sources = ((Origin(path=self.path, cell=cell.number), cell.source) for cell in self.file.cells if cell.kind != "markdown")
        script, script_fault = read_script(sources)
        return Notebook(
            **common,
            imports=imports,
            installs=tuple(reader.result.installs),
            guarded_installs=tuple(reader.result.guarded),
            refused=tuple(reader.result.refused),
            script=script,
            script_fault=script_fault,
            early_environ=_sets_environ_early(findings, imports),
        )

    def _findings(self) -> list[tuple[Cell, CellFindings]]:
        """Analyse each cell that runs."""
        run = [cell for cell in self.code if "skip-execution" not in cell.tags]
        # Paths are put together in one cell and used in another.
        thorough = any("sys.path" in cell.source or "chdir" in cell.source for cell in run)
        return [(cell, analyse_cell(cell.source, self.surroundings, thorough=thorough)) for cell in run]

    def _imports(self, findings: list[tuple[Cell, CellFindings]]) -> tuple[Import, ...]:
        """Return the imports that an environment must answer."""
        written = [name for _, found in findings for name in found.written]
        local = LocalModules(self.root, self.folder, self.surroundings.search_path, written)
        kept: dict[str, Import] = {}
        for cell, found in findings:
            for mention in found.mentions:
                self._keep(kept, local, mention, Origin(path=self.path, cell=cell.number, line=mention.line))
            for name in found.ran:
                self._follow(kept, local, (Path(os.path.normpath(self.folder / name)),), optional=False)
        return tuple(kept.values())

    def _keep(self, kept: dict[str, Import], local: LocalModules, mention: Mention, origin: Origin) -> None:
        """Take one import in, unless it is the standard library's or local."""
        if mention.module.split(".")[0] in _STANDARD:
            return
        files = local.find(mention.module, mention.names)
        if files is None:
            _add(kept, mention, origin, optional=mention.optional)
            return
        if local.is_own_package(mention.module):
            # It is found beside the notebook, and it may as well be installed.
            _add(kept, mention, origin, optional=True)
        self._follow(kept, local, files, optional=mention.optional)

    def _follow(self, kept: dict[str, Import], local: LocalModules, files: tuple[Path, ...], *, optional: bool) -> None:
        """Take in what local files import: the environment must answer that too."""
        for found in local.imports_of(files):
            if found.mention.module.split(".")[0] not in _STANDARD and found.path.is_relative_to(self.root):
                origin = Origin(path=found.path.relative_to(self.root).as_posix(), line=found.mention.line)
                _add(kept, found.mention, origin, optional=optional or found.mention.optional)


def _add(kept: dict[str, Import], mention: Mention, origin: Origin, *, optional: bool) -> None:
    """Keep an import once: its first mention, or the first one that the notebook cannot do without."""
    for module in _modules(mention):
        top = module.split(".")[0]
        if top == "google" and optional and module.startswith("google.colab"):
            continue
        key = module if is_namespace(top) else top
        if key not in kept or (kept[key].optional and not optional):
            kept[key] = Import(module=module, origin=origin, optional=optional)


def _modules(mention: Mention) -> Iterator[str]:
    """Give the modules of one import; in a namespace, what is taken out of it is a module too."""
    top = mention.module.split(".")[0]
    if is_namespace(top) and mention.names and mention.module.count(".") < 2:  # noqa: PLR2004 - as in google.cloud
        yield from (f"{mention.module}.{name}" for name in mention.names if name != "*")
    else:
        yield mention.module


def _sets_environ_early(findings: list[tuple[Cell, CellFindings]], imports: tuple[Import, ...]) -> bool:
    """Tell whether an environment variable is set before an import."""
    numbers = (
        (cell.number, found.environ_line) for cell, found in findings if found.environ_line is not None
    )
    first = next(iter(sorted(numbers)), None)
    if first is None:
        return False
    return any((imported.origin.cell or 0, imported.origin.line or 0) > first for imported in imports)


def _table(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object of the metadata, or an empty one."""
    value = metadata.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """Return a text that says something, or None."""
    return value.strip() or None if isinstance(value, str) else None


def _seconds(value: object) -> float | None:
    """Return a positive number of seconds; -1 and null mean no limit of the notebook's own."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        return None
    return float(value)


def _digest(cells: list[Cell]) -> str:
    """Return the SHA-256 of code cells' sources and tags."""
    digest = hashlib.sha256()
    for cell in cells:
        for text in (cell.source, *cell.tags):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(f"{len(data)}:".encode() + data)
        digest.update(b"\n")
    return digest.hexdigest()
