"""Test files for notebooks: write those that are missing, and check that every notebook really has one.

A test file belongs to the notebook that it names, whatever the file is called. So files keep their names when
notebooks come and go, and an edited one is never touched.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from envsolver.config.load import settings_for
from envsolver.config.tables import as_python
from envsolver.core.errors import ConfigurationError, NothingToRunError, UnusableNotebookError
from envsolver.core.jobs import Edits
from envsolver.core.paths import TEST_FILES
from envsolver.core.quantities import plural
from envsolver.core.settings import Config, NotebookSettings, merged
from envsolver.notebooks.select import find_notebooks, read_notebook, select_notebooks
from envsolver.testing.files import SETTINGS, TestFile, read_test_files

PREFIX = "tb_"

_NAME = re.compile(r"(?:.*/)?(tb_\w+)(?:\.py)?")
_FULL = 100
_TEMPLATE = '''\
"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class {name}(NotebookTestCase):
    notebook = {notebook}
'''


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What `generate` did."""

    written: tuple[str, ...]
    """The new test files, relative to the root."""
    kept: tuple[tuple[str, str], ...]
    """Notebooks that had a test file, and its path."""
    excluded: tuple[tuple[str, str], ...]
    """Notebooks that get none, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """Which notebooks have a test, and which tests are worth nothing."""

    notebooks: tuple[str, ...]
    """All that the configuration names."""
    files: tuple[str, ...]
    """The test files."""
    covered: tuple[str, ...]
    """Notebooks that a test runs."""
    excluded: tuple[tuple[str, str], ...]
    """Notebooks that are not run, with reasons."""
    missing: tuple[str, ...]
    """Notebooks without a test."""
    orphaned: tuple[tuple[str, str], ...]
    """Test files whose notebook is gone, with its path."""
    idle: tuple[tuple[str, str], ...]
    """Test files that run nothing, and why."""

    @property
    def percent(self) -> int:
        """Covered notebooks in per cent of all, rounded; 100 only when there is nothing left."""
        if len(self.covered) == len(self.notebooks):
            return _FULL
        return min(_FULL - 1, round(_FULL * len(self.covered) / len(self.notebooks)))

    @property
    def good(self) -> bool:
        """Whether every notebook is tested or excluded with a reason, and every test file runs one."""
        return not (self.missing or self.orphaned or self.idle)


def file_names(notebooks: Sequence[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Name the test files of notebooks: valid Python identifiers, unique also where case does not count.

    A name is the notebook's own, if no other notebook has the same; else with its folder; else with a digest of its
    path. It depends neither on the order nor on whether the notebooks are named one by one.

    Parameters
    ----------
    notebooks
        All notebooks of the project.
    taken
        Names that exist already, and stay.
    """
    forms = {path: tuple(_forms(path)) for path in notebooks}
    uses = Counter(form for each in forms.values() for form in set(each))
    used = {name.lower() for name in taken}
    names: dict[str, str] = {}
    for path in sorted(notebooks):
        free = [form for form in forms[path] if uses[form] == 1 and form not in used]
        numbered = (f"{forms[path][-1]}_{number}" for number in count(2))
        names[path] = free[0] if free else next(name for name in numbered if name not in used)
    return names


def generate(config: Config, notebooks: Sequence[str], *, directory: str = TEST_FILES) -> Generated:
    """Write a test file for each notebook that has none and is not excluded.

    Parameters
    ----------
    notebooks
        Paths relative to the root.

    Raises
    ------
    ConfigurationError
        A test file is not valid Python, so that it is not known which notebook it belongs to.
    """
    files = read_test_files(config.root, directory)
    faults = [f"{file.path}: {file.fault}" for file in files if file.fault]
    if faults:
        raise ConfigurationError(faults, tip="Mend or remove it first.")
    having = {each.notebook: file.path for file in files for each in file.classes if each.notebook}
    reasons = _reasons(config, notebooks)
    names = file_names(sorted({*find_notebooks(config), *notebooks}), [file.name for file in files])
    return Generated(
        written=tuple(
            _write(config.root, directory, names[path], path)
            for path in notebooks
            if path not in having and path not in reasons
        ),
        kept=tuple((path, having[path]) for path in notebooks if path in having),
        excluded=tuple((path, reasons[path]) for path in notebooks if path in reasons and path not in having),
    )


def check(config: Config, *, directory: str = TEST_FILES) -> Coverage:
    """Compare the notebooks that the configuration names with the test files.

    Raises
    ------
    NothingToRunError
        The configuration names no notebook.
    """
    notebooks = select_notebooks(config, (), config.root)
    files = read_test_files(config.root, directory)
    configured = _reasons(config, notebooks)
    judged = [(file, *_judge(config, file)) for file in files]
    tested = {path for _, live, _, _ in judged for path in live if path in notebooks and path not in configured}
    # What an author skips in the test file is an exclusion too, and so are its words.
    classes = [(file, each) for file in files for each in file.classes]
    skips = {each.notebook or "": f"{each.skip} ({file.path})" for file, each in classes if each.skip}
    reasons = {**skips, **configured}
    return Coverage(
        notebooks=notebooks,
        files=tuple(file.path for file in files),
        covered=tuple(path for path in notebooks if path in tested),
        excluded=tuple((path, reasons[path]) for path in notebooks if path in reasons and path not in tested),
        missing=tuple(path for path in notebooks if path not in tested and path not in reasons),
        orphaned=tuple((file.path, path) for file, _, gone, _ in judged for path in gone),
        idle=tuple((file.path, fault) for file, _, _, faults in judged for fault in faults),
    )


def coverage_lines(coverage: Coverage) -> Iterator[str]:
    """Yield a coverage as lines of text, the counts last."""
    parts: tuple[tuple[str, Sequence[tuple[str, str]]], ...] = (
        ("Excluded:", coverage.excluded),
        ("Missing, `envsolver generate` writes them:", [(path, "") for path in coverage.missing]),
        ("Orphaned, their notebook is gone:", coverage.orphaned),
        ("Running nothing:", coverage.idle),
    )
    for title, rows in parts:
        if rows:
            width = max(len(first) for first, _ in rows)
            yield title
            yield from (f"  {first:{width}}  {second}".rstrip() for first, second in rows)
            yield ""
    notebooks, files = len(coverage.notebooks), len(coverage.files)
    yield f"{plural(notebooks, 'notebook')}, {plural(files, 'test file')}, {coverage.percent}%"


def resolve_names(
    config: Config, names: Sequence[str], *, cwd: Path, directory: str = TEST_FILES
) -> tuple[tuple[str, ...], Config]:
    """Turn names of test files into their notebooks; other names stay as they are.

    Parameters
    ----------
    names
        What the command line names, such as ``tb_quickstart``, ``tests/booktests/tb_quickstart.py`` or a notebook.
    cwd
        What names that are paths are relative to.

    Returns
    -------
    tuple
        The names, notebooks of test files as absolute paths; and the configuration in which these notebooks have
        the settings in their test files.

    Raises
    ------
    NothingToRunError
        There is no such test file; the error suggests near names.
    ConfigurationError
        A test file names no notebook, or sets what is not valid.
    """
    found: list[str] = []
    for name in names:
        match = _NAME.fullmatch(name)
        if not match or (not name.endswith(".py") and any((place / name).exists() for place in (cwd, config.root))):
            found.append(name)
            continue
        file = _file_named(config, match.group(1), directory)
        found += dict.fromkeys(str(config.root / each.notebook) for each in file.classes if each.notebook)
        config = _with_file_settings(config, file)
    return tuple(found), config


def with_settings(config: Config, notebook: str, given: Mapping[str, object], *, owner: str) -> Config:
    """Return the configuration in which a notebook has more settings; they win, and tables are merged.

    Parameters
    ----------
    given
        By the names of `NotebookSettings`.
    owner
        Where they come from, for errors.

    Raises
    ------
    ConfigurationError
        With every setting that has a wrong type or value.
    """
    if not given:
        return config
    from envsolver.config.validation import type_faults

    table = {name.replace("_", "-"): _as_toml(value) for name, value in given.items() if name in SETTINGS}
    read, faults = type_faults({"notebook": {notebook: table}}, in_own_file=True)
    if faults:
        raise ConfigurationError([f"{owner}: {fault.key[-1].replace('-', '_')}: {fault.text}" for fault in faults])
    entries = (config.notebook.get(notebook, NotebookSettings()), read.notebook[notebook])
    return replace(config, notebook={**config.notebook, notebook: merged(entries)})


def _as_toml(value: object) -> object:
    """Return a setting as the configuration's file would hold it: any list is a tuple, any mapping a table."""
    if isinstance(value, Mapping):
        return {key: _as_toml(item) for key, item in value.items()}
    return as_python(list(value)) if isinstance(value, (list, tuple)) else value


def _with_file_settings(config: Config, file: TestFile) -> Config:
    uses = Counter(each.notebook for each in file.classes)
    for each in file.classes:
        # Two classes may test one notebook with different settings; then the configuration's own count.
        if each.notebook and uses[each.notebook] == 1:
            given = {**each.settings, **({"skip": each.skip} if each.skip else {})}
            config = with_settings(config, each.notebook, given, owner=f"{file.path}:{each.line}: {each.name}")
    return config


def _file_named(config: Config, name: str, directory: str) -> TestFile:
    files = {file.name: file for file in read_test_files(config.root, directory)}
    if name not in files:
        near = difflib.get_close_matches(name, files, n=3)
        hint = f" Near: {', '.join(near)}." if near else ""
        raise NothingToRunError(
            f"No test file {directory}/{name}.py.{hint}", tip="`envsolver generate` writes those that are missing."
        )
    file = files[name]
    if file.fault:
        raise ConfigurationError([f"{file.path}: {file.fault}"])
    if not any(each.notebook for each in file.classes):
        raise ConfigurationError([f"{file.path}: no class derives from NotebookTestCase and names a notebook"])
    return file


def _judge(config: Config, file: TestFile) -> tuple[set[str], list[str], list[str]]:
    """Return the notebooks that a test file runs, those that are gone, and why classes of it run nothing."""
    if file.fault:
        return set(), [], [file.fault]
    if not file.classes:
        return set(), [], ["has no class that derives from NotebookTestCase"]
    live: set[str] = set()
    gone: list[str] = []
    faults: list[str] = []
    for each in file.classes:
        if each.notebook and not (config.root / each.notebook).is_file():
            gone.append(each.notebook)
        elif each.fault:
            faults.append(f"{each.name} {each.fault}")
        elif each.notebook and not each.skip:
            if _runs(config, each.notebook, each.settings):
                live.add(each.notebook)
            else:
                faults.append(f"{each.name} runs no code cell of {each.notebook}")
    return live, gone, faults


def _runs(config: Config, notebook: str, given: Mapping[str, object]) -> bool:
    """Return whether a code cell is left to run; what cannot be read is left to the run, which will say why."""
    from envsolver.worker import prepare  # it loads nbformat, which naming a notebook can do without

    try:
        settings = settings_for(with_settings(config, notebook, given, owner=notebook), notebook)
        changes = Edits(
            replace=settings.replace,
            skip_cells=settings.skip_cells or (),
            stop_at=settings.stop_at,
            parameters=settings.parameters,
        )
        prepared = prepare.prepare(prepare.read(config.root / notebook), changes)
    except (ConfigurationError, UnusableNotebookError):
        return True
    cells = prepared.notebook.cells
    own = (i for i, cell in enumerate(cells) if "injected-parameters" not in cell.metadata.get("tags", ()))
    return any(prepared.cells[i].run for i in own)


def _reasons(config: Config, notebooks: Sequence[str]) -> dict[str, str]:
    """Return why notebooks are not run, by path; those that are run are left out."""
    reasons = {path: skip for path in notebooks if (skip := settings_for(config, path).skip)}
    for path in notebooks:
        language = read_notebook(config.root, path).language if path not in reasons else "python"
        if language not in {"python", "ipython"}:
            reasons[path] = f"it is written in {language}; only Python notebooks are run"
    return reasons


def _forms(path: str) -> Iterator[str]:
    """Yield the names that a notebook's test file may have, best first; the last is its own for certain."""
    *folders, file = path.removesuffix(".ipynb").split("/")
    stem = _identifier(file)
    yield PREFIX + stem
    if folders:
        yield PREFIX + _identifier(f"{folders[-1]}_{file}")
    yield f"{PREFIX}{stem}_{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def _identifier(text: str) -> str:
    """Return lower-case ASCII letters, digits and single underscores; accents are dropped, not their letters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_") or "notebook"


def _write(root: Path, directory: str, name: str, notebook: str) -> str:
    """Write a new test file, never over another, and return its path relative to the root."""
    path = root / directory / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    words = name.removeprefix(PREFIX).split("_")
    class_name = "Test" + "".join(word.capitalize() for word in words)
    literal = json.dumps(notebook, ensure_ascii=False) if notebook.isprintable() else repr(notebook)
    with path.open("x", encoding="utf-8") as file:
        file.write(_TEMPLATE.format(name=class_name, notebook=literal))
    return path.relative_to(root).as_posix()
