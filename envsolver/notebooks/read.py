"""Read one notebook: imports, PEP 723 block, install lines, metadata."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import compress
from pathlib import Path
from typing import Any

from envsolver.core.cell_rules import cells_run, may_raise
from envsolver.core.digests import digest, file_digest
from envsolver.core.errors import UnusableNotebookError
from envsolver.core.notebooks import UNDECLARED, Import, Notebook, Origin
from envsolver.core.parsing import ODD_INPUT, phrase_of
from envsolver.core.settings import NotebookSettings
from envsolver.notebooks.cell_analysis import analyse_cell
from envsolver.notebooks.distributions import is_namespace
from envsolver.notebooks.findings import CellFindings, ImportStatement, NotebookState
from envsolver.notebooks.installs import InstallReader
from envsolver.notebooks.local_modules import FileMention, LocalModules, ending_in, states_dependencies, states_extras
from envsolver.notebooks.misplaced_modules import is_stray
from envsolver.notebooks.nbfile import Cell, NotebookFile, read_notebook_file
from envsolver.notebooks.pep723 import read_script
from envsolver.notebooks.saved_times import recorded_seconds
from envsolver.notebooks.walk import shown_name

_STANDARD = frozenset(sys.stdlib_module_names) | {"__main__"}
_ALSO = {
    "bokeh.sampledata": "bokeh_sampledata",
    "tqdm.notebook": "ipywidgets",
    "tqdm.tqdm_notebook": "ipywidgets",
    "tqdm.tnrange": "ipywidgets",
}
"""What a module, or a name in one, does nothing but fail without, though its distribution does not ask for it."""


class PackageImports:
    """What the files of the project's own package import, each looked at once for all notebooks that are read."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.local = LocalModules(self.root, self.root, (), ())
        # Where no extra is named, nothing else of what they import is asked for.
        self.telling = states_extras(self.root) or not states_dependencies(self.root)
        self.found: dict[tuple[Path, ...], tuple[Import, ...]] = {}

    def of(self, mentions: Iterable[ImportStatement]) -> tuple[Import, ...]:
        """Return what those files of the package import that some imports of it read."""
        mentions = tuple(mentions)
        if not (self.telling or any(self.local.names_in_own(mentions, module) for module in UNDECLARED)):
            return ()
        files = self.local.own_files(mentions)
        if files not in self.found:
            kept: dict[str, Import] = {}
            _take(kept, self.local.imports_of_own(files), self.root, optional=False)
            self.found[files] = tuple(kept.values())
        return self.found[files]


def read_notebooks(root: Path, settings: Mapping[str, NotebookSettings]) -> dict[str, Notebook]:
    """Read several notebooks of a project, each with what the configuration says about it, by path."""
    package = PackageImports(root)
    return {path: read_notebook(root, path, each, package) for path, each in settings.items()}


def read_notebook(
    root: Path, path: str, settings: NotebookSettings | None = None, package: PackageImports | None = None
) -> Notebook:
    """Read one notebook; what is wrong with its file stands in `fault`, and is never raised.

    Parameters
    ----------
    root
        The project's root.
    path
        Relative to the root, with forward slashes.
    settings
        What the configuration says about it; cells that it leaves out ask for nothing.
    package
        What the project's own package imports, where several notebooks are read.
    """
    try:
        file = read_notebook_file(root / path)
        return _Reading(root.resolve(), path, file, settings or NotebookSettings(), package).notebook()
    except UnusableNotebookError as error:
        return Notebook(path=path, fault=str(error))
    except ODD_INPUT as error:
        return Notebook(path=path, fault=f"cannot be understood: {phrase_of(error)}")


class _Reading:
    """Brings together what the cells of one notebook say."""

    def __init__(
        self, root: Path, path: str, file: NotebookFile, settings: NotebookSettings, package: PackageImports | None
    ) -> None:
        self.root = root
        self.package = package
        self.path = path
        self.file = file
        self.folder = (root / path).parent
        self.surroundings = NotebookState(cwd=str(self.folder))
        self.settings = settings
        self.run_notebooks: set[Path] = set()
        self.code = [cell for cell in file.cells if cell.kind == "code"]

    def notebook(self) -> Notebook:
        """Return the notebook."""
        execution = _table(self.file.metadata, "execution")
        notebook = Notebook(
            path=self.path,
            language=self.file.language,
            code_cells=len(self.code),
            group=_text(_table(self.file.metadata, "envsolver").get("group")),
            cell_timeout=_seconds(execution.get("timeout")),
            allow_errors=execution.get("allow_errors") is True,
            code_digest=_digest(self.code),
            cells_digest=_digest(self.code),
            recorded_seconds=self._recorded(),
        )
        return self._with_code(notebook) if self.file.language == "python" else notebook

    def _recorded(self) -> float | None:
        """Return what the notebook took when it was last saved, as far as its cells or its metadata say."""
        times = [cell.seconds for cell in _run_cells(self.code, self.settings) if cell.seconds is not None]
        return sum(times) if times else recorded_seconds(self.file.metadata)

    def _with_code(self, notebook: Notebook) -> Notebook:
        """Add what the code of a Python notebook says."""
        findings = list(self._of_cells(self.path, list(_run_cells(self.code, self.settings))))
        imports, own_imports, followed = self._imports(findings)
        reader = InstallReader(self.root)
        for origin, found in findings:
            for command in found.commands:
                reader.read(command, replace(origin, line=command.line))
        texts = (cell for cell in self.file.cells if cell.kind in {"code", "raw"})
        script, script_fault = read_script((Origin(path=self.path, cell=cell.number), cell.source) for cell in texts)
        return replace(
            notebook,
            code_digest=_digest(self.code, followed, self.root),
            imports=imports,
            own_imports=own_imports,
            installs=tuple(reader.result.installs),
            guarded_installs=tuple(reader.result.guarded),
            refused=tuple(reader.result.refused),
            script=script,
            script_fault=script_fault,
        )

    def _of_cells(self, path: str, cells: list[Cell]) -> Iterator[tuple[Origin, CellFindings]]:
        """Analyse each cell that runs, those of notebooks that a cell runs after that cell."""
        # Paths are put together in one cell and used in another.
        thorough = any("sys.path" in cell.source or "chdir" in cell.source for cell in cells)
        for cell in cells:
            fails = may_raise(cell.source, cell.tags)
            found = analyse_cell(cell.source, self.surroundings, thorough=thorough, may_fail=fails)
            yield Origin(path=path, cell=cell.number), found
            for place in map(Path, found.ran):
                yield from self._of_run_notebook(place)

    def _of_run_notebook(self, place: Path) -> Iterator[tuple[Origin, CellFindings]]:
        """Analyse the cells of a notebook that a cell runs with ``%run``, once."""
        if place.suffix != ".ipynb" or place in self.run_notebooks or not place.is_relative_to(self.root):
            return
        self.run_notebooks.add(place)
        # One that cannot be read fails the cell when it runs.
        with contextlib.suppress(UnusableNotebookError):
            cells = [cell for cell in read_notebook_file(place).cells if cell.kind == "code"]
            shown = shown_name(place.relative_to(self.root).as_posix())
            yield from self._of_cells(shown, list(_run_cells(cells, NotebookSettings())))

    def _imports(
        self, findings: list[tuple[Origin, CellFindings]]
    ) -> tuple[tuple[Import, ...], tuple[Import, ...], set[Path]]:
        """Return the imports that an environment must answer, those in the own package, and the files followed."""
        written = [name for _, found in findings for name in found.written]
        meant = ending_in(self.surroundings.search_tails, self.root, self.folder)
        local = LocalModules(self.root, self.folder, [*self.surroundings.search_path, *meant], written)
        kept: dict[str, Import] = {}
        for origin, found in findings:
            for mention in found.mentions:
                self._keep(kept, local, mention, replace(origin, line=mention.line))
            for name in found.ran:
                script = Path(name if name.endswith(".py") else f"{name}.py")
                self._follow(kept, local, (script,) if script.is_file() else (), optional=False)
        mentions = [mention for _, found in findings for mention in found.mentions if not mention.level]
        package = self.package or PackageImports(self.root)
        return tuple(kept.values()), package.of(mentions), local.followed | self.run_notebooks

    def _keep(self, kept: dict[str, Import], local: LocalModules, mention: ImportStatement, origin: Origin) -> None:
        """Take one import in, unless it is the standard library's or local."""
        if mention.level or mention.module.split(".")[0] in _STANDARD:
            return
        files = local.find(mention.module, mention.names)
        own = local.is_own_package(mention.module)
        if files is None:
            if own or not self._is_stray(mention):
                _add(kept, mention, origin, optional=mention.optional)
            return
        if own:
            # It is found beside the notebook, and it may as well be installed.
            _add(kept, mention, origin, optional=True)
        self._follow(kept, local, files, optional=mention.optional)

    def _is_stray(self, mention: ImportStatement) -> bool:
        return is_stray(self.root, mention.module, mention.names)

    def _follow(self, kept: dict[str, Import], local: LocalModules, files: tuple[Path, ...], *, optional: bool) -> None:
        """Take in what local files import: the environment must answer that too."""
        _take(kept, local.imports_of(files), self.root, optional=optional)


def _take(kept: dict[str, Import], mentions: Iterable[FileMention], root: Path, *, optional: bool) -> None:
    """Take in imports that stand in files of the project."""
    for found in mentions:
        if found.mention.module.split(".")[0] not in _STANDARD and found.path.is_relative_to(root):
            shown = shown_name(found.path.relative_to(root).as_posix())
            origin = Origin(path=shown, line=found.mention.line)
            _add(kept, found.mention, origin, optional=optional or found.mention.optional)


def _run_cells(cells: list[Cell], settings: NotebookSettings) -> Iterator[Cell]:
    """Yield the code cells that will be executed."""
    written = ((cell.source, cell.tags) for cell in cells)
    run = cells_run(written, skip_cells=settings.skip_cells or (), stop_at=settings.stop_at)
    return compress(cells, run)


def _add(kept: dict[str, Import], mention: ImportStatement, origin: Origin, *, optional: bool) -> None:
    """Keep an import once: its first mention, or the first one that the notebook cannot do without."""
    for module in _modules(mention):
        top = module.split(".")[0]
        if top == "google" and optional and module.startswith("google.colab"):
            continue
        key = module if is_namespace(top) else top
        if key not in kept or (kept[key].optional and not optional):
            kept[key] = Import(module=module, origin=origin, optional=optional)


def _modules(mention: ImportStatement) -> Iterator[str]:
    """Yield the modules of one import; in a namespace, what is taken out of it is a module too."""
    if mention.names and is_namespace(mention.module):
        yield from (f"{mention.module}.{name}" for name in mention.names if name != "*")
    else:
        yield mention.module
    asked = [f"{mention.module}.", *(f"{mention.module}.{name}." for name in mention.names)]
    yield from dict.fromkeys(also for part, also in _ALSO.items() if any(each.startswith(f"{part}.") for each in asked))


def _table(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object of the metadata, or an empty one."""
    value = metadata.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """Return a text that says something, or None."""
    return value.strip() or None if isinstance(value, str) else None


def _seconds(value: object) -> float | None:
    """Return a positive number of seconds; -1 and null mean no limit of the notebook's own."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
        return None
    return float(value)


def _digest(cells: list[Cell], files: Iterable[Path] = (), root: Path | None = None) -> str:
    """Return the SHA-256 of code cells' sources and tags, and of the local files that they import or run."""
    code = [digest([cell.source, *cell.tags]) for cell in cells]
    local = [digest([os.path.relpath(path, root), _file_digest(path)]) for path in sorted(files)]
    return digest([*code, "", *local])


def _file_digest(path: Path) -> str:
    try:
        status = path.stat()
        return _file_digest_cached(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return ""


@lru_cache(maxsize=4096)
def _file_digest_cached(path: Path, _modified: int, _size: int) -> str:
    """Read a file once; many notebooks share one helper."""
    return file_digest(path)
