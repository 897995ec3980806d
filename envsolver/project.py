"""One project as the commands see it: its configuration, its caches, its groups, its notebooks.

`survey` is the first half of every command: it reads the notebooks, solves the groups side by side and says
which notebook belongs where. Nothing is built and nothing runs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path

from envsolver.config import find_root, load_config, settings_for
from envsolver.discovery import read_notebook, select_notebooks
from envsolver.distributions import distributions_for
from envsolver.errors import ConfigurationError, EnvsolverError
from envsolver.history import History
from envsolver.locks import solve_group
from envsolver.models import Assignment, Group, Interpreter, Lock, Notebook
from envsolver.requirements import read_group
from envsolver.resolver import assign, supplies
from envsolver.settings import Config
from envsolver.uv import Uv
from envsolver.venv import Store, cache_directory

STATE = ".envsolver"
"""The project's own directory for history and runs, ignored by git."""

SOLVERS = 4
"""How many solves wait for the registry side by side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a project holds.

    Attributes
    ----------
    notebooks
        Those selected, by path.
    groups
        All groups by name.
    interpreters
        By the Python version asked for.
    locks
        By group and Python version; a group that could not be solved has none.
    faults
        Why a group could not be solved, by group and Python version.
    assignments
        One a notebook, in the notebooks' order.
    """

    notebooks: Mapping[str, Notebook]
    groups: Mapping[str, Group]
    interpreters: Mapping[str, Interpreter]
    locks: Mapping[tuple[str, str], Lock]
    faults: Mapping[tuple[str, str], EnvsolverError]
    assignments: tuple[Assignment, ...]


@dataclass(frozen=True)
class Project:
    """A project's root and configuration, and the doors to its caches."""

    config: Config
    resolution: str | None = None
    upgrade: bool = False
    cache: Path = field(default_factory=cache_directory)

    @property
    def root(self) -> Path:
        """The project's root directory."""
        return self.config.root

    @property
    def state(self) -> Path:
        """Directory for history and runs."""
        return self.root / STATE

    @cached_property
    def uv(self) -> Uv:
        """The one caller of uv."""
        return Uv(self.root, cache=self.cache)

    @cached_property
    def store(self) -> Store:
        """The cache of environments."""
        return Store(self.cache, self.uv)

    @property
    def history(self) -> History:
        """What earlier runs took."""
        return History(self.state / "history.sqlite")

    def pythons(self, asked: Sequence[str] = ()) -> tuple[str, ...]:
        """Choose Python versions: those asked for, `all` of the matrix, or the default."""
        if not asked:
            return self.config.python[:1]
        chosen: list[str] = []
        for version in asked:
            chosen.extend(self.config.python if version == "all" else (version,))
        return tuple(dict.fromkeys(chosen))

    def lock(self, group: Group, interpreter: Interpreter) -> Lock:
        """Solve a group for an interpreter, or recall the solution.

        Raises
        ------
        UnsolvableError, BuildError
            As `solve_group` does.
        """
        return solve_group(
            group,
            interpreter,
            uv=self.uv,
            cache=self.cache / "solutions",
            exclude_newer=self.config.exclude_newer,
            resolution=self.resolution,
            upgrade=self.upgrade,
        )


def open_project(start: Path, **options: object) -> Project:
    """Find the project that a directory belongs to and read its configuration.

    Raises
    ------
    ConfigurationError
        With every fault of the configuration.
    """
    return Project(config=load_config(find_root(start.absolute())), **options)  # type: ignore[arg-type]  # named by cli


def prepare_state(directory: Path) -> Path:
    """Make the project's own directory, and have git ignore it."""
    directory.mkdir(parents=True, exist_ok=True)
    ignore = directory / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return directory


def read_groups(config: Config) -> dict[str, Group]:
    """Read all groups' requirement files.

    Raises
    ------
    ConfigurationError
        With the faults of all files together.
    """
    groups: dict[str, Group] = {}
    faults: list[str] = []
    for name in config.groups:
        try:
            groups[name] = read_group(config, name)
        except ConfigurationError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigurationError(tuple(dict.fromkeys(faults)))
    return groups


def survey(project: Project, *, patterns: Sequence[str] = (), cwd: Path, pythons: Sequence[str] = ()) -> Survey:
    """Read the selected notebooks, solve all groups, and assign each notebook to one.

    Parameters
    ----------
    patterns
        Notebook paths, directories and globs, relative to `cwd`; empty for all that the configuration names.
    pythons
        Versions as `Project.pythons` gives them; the first decides the assignments.

    Raises
    ------
    NothingToRunError
        No notebook matches.
    ConfigurationError
        A requirement file or an interpreter is not usable.
    """
    config = project.config
    paths = select_notebooks(config, patterns, cwd)
    notebooks = {path: read_notebook(config.root, path) for path in paths}
    groups = read_groups(config)
    versions = tuple(pythons) or project.pythons()
    interpreters = {version: project.uv.find_interpreter(version) for version in versions}
    locks, faults = solve_all(project, groups, interpreters)
    supplied = supplies(
        config.root, groups, {name: locks[name, versions[0]] for name in groups if (name, versions[0]) in locks}
    )
    distributions = partial(_distributions, config)
    assignments = tuple(
        assign(
            notebook,
            config=config,
            settings=settings_for(config, path),
            supplied=supplied,
            distributions=distributions,
        )
        for path, notebook in notebooks.items()
    )
    return Survey(
        notebooks=notebooks,
        groups=groups,
        interpreters=interpreters,
        locks=locks,
        faults=faults,
        assignments=assignments,
    )


def solve_all(
    project: Project, groups: Mapping[str, Group], interpreters: Mapping[str, Interpreter]
) -> tuple[dict[tuple[str, str], Lock], dict[tuple[str, str], EnvsolverError]]:
    """Solve every group for every interpreter, side by side.

    Returns
    -------
    tuple
        The locks, and the errors of those that could not be solved, by group and Python version.
    """
    locks: dict[tuple[str, str], Lock] = {}
    faults: dict[tuple[str, str], EnvsolverError] = {}
    with ThreadPoolExecutor(max_workers=max(SOLVERS, os.cpu_count() or 1)) as pool:
        asked = {
            (name, version): pool.submit(project.lock, group, interpreter)
            for name, group in groups.items()
            for version, interpreter in interpreters.items()
        }
        for site, answer in asked.items():
            try:
                locks[site] = answer.result()
            except EnvsolverError as error:
                faults[site] = error
    return locks, faults


def _distributions(config: Config, module: str) -> tuple[str, ...]:
    return distributions_for(module, config.modules)


def new_run_directory(runs: Path) -> Path:
    """Make a folder named after the time, unique even when two runs start in the same second, and `latest`."""
    runs.mkdir(parents=True, exist_ok=True)
    stem = datetime.now(timezone.utc).astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    number = 1
    while True:
        directory = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            directory.mkdir()
            break
        except FileExistsError:
            number += 1
    link = runs / f".latest-{directory.name}"
    with contextlib.suppress(OSError):  # a file system without links has no `latest`
        link.symlink_to(directory.name)
        link.replace(runs / "latest")
    return directory


def newest_run(state: Path) -> Path | None:
    """Give the newest run's folder, or None when there was no run."""
    with contextlib.suppress(OSError):
        return (state / "runs" / "latest").resolve(strict=True)
    return None
