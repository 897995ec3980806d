"""One project as the commands see it: its configuration, its caches, its groups, its notebooks.

`survey` is the first half of every command: it reads the notebooks, solves the groups side by side and says
which notebook belongs where. Nothing is built and nothing runs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path

from envsolver.config import find_root, load_config, settings_for
from envsolver.discovery import find_notebooks, read_notebook, select_notebooks
from envsolver.environments.uv import Uv
from envsolver.environments.venv import Store, cache_directory
from envsolver.errors import ConfigurationError, EnvsolverError
from envsolver.history import History
from envsolver.models import Assignment, Group, Interpreter, Lock, Notebook, Origin, Requirement
from envsolver.reading.distributions import distributions_for
from envsolver.settings import Config
from envsolver.solver.assignment import assign, is_named, supplies
from envsolver.solver.demands import Demand, demand_of, own_project
from envsolver.solver.derive import Derived, derive
from envsolver.solver.lockfiles import read_lock
from envsolver.solver.locks import Terms, solve_group
from envsolver.solver.matrix import choose_pythons
from envsolver.solver.oracle import UvOracle
from envsolver.solver.requirements import read_group
from envsolver.solver.specifiers import python_allowed

STATE = ".envsolver"
"""The project's own directory for history and runs, ignored by git."""

WITH_JUPYTER = ("ipywidgets", "nbformat")
"""What `pip install jupyter` brings beside the kernel, and notebooks use without saying: for progress bars; for `%run`
of a notebook and Plotly's figures."""

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
    left_out
        Versions of ``all`` that this machine lacks, each with the reason.
    locks
        By group and Python version; a group that could not be solved has none.
    faults
        Why a group could not be solved, by group and Python version.
    assignments
        One a notebook, in the notebooks' order.
    conflicts
        Why derived groups are kept apart, a sentence each.
    """

    notebooks: Mapping[str, Notebook]
    groups: Mapping[str, Group]
    interpreters: Mapping[str, Interpreter]
    locks: Mapping[tuple[str, str], Lock]
    faults: Mapping[tuple[str, str], EnvsolverError]
    assignments: tuple[Assignment, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    conflicts: tuple[str, ...] = ()


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
    def solutions(self) -> Path:
        """Directory of remembered solutions."""
        return self.cache / "solutions"

    @property
    def terms(self) -> Terms:
        """What every solve of this run is bound by."""
        return Terms(exclude_newer=self.config.exclude_newer, resolution=self.resolution)

    @property
    def history(self) -> History:
        """What earlier runs took."""
        return History(self.state / "history.sqlite")

    def pythons(self, asked: Sequence[str] = ()) -> tuple[dict[str, Interpreter], tuple[tuple[str, str], ...]]:
        """Choose the Pythons of a run: those asked for, ``all`` of the matrix, or the default.

        Returns
        -------
        tuple
            The interpreters by what they are called in results, and each version of ``all`` that this machine
            lacks with the reason.

        Raises
        ------
        ConfigurationError
            One that was named is missing.
        """
        matrix = choose_pythons(asked, self.config.python, self.uv)
        named = {i.version if os.sep in i.request else i.request: i for i in matrix.interpreters}
        return named, matrix.left_out

    def lock(self, group: Group, interpreter: Interpreter) -> Lock:
        """Give a group's lock: its lock file's, else the remembered solution, else uv's.

        Raises
        ------
        ConfigurationError
            The lock file is stale.
        UnsolvableError, BuildError
            As `solve_group` does.
        """
        if self.resolution is None and not self.upgrade:
            committed = read_lock(self.config, group, interpreter)
            if committed is not None:
                return committed
        return solve_group(
            group,
            interpreter,
            uv=self.uv,
            cache=self.solutions,
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

    Without any configuration there are none: a project that never heard of envsolver may keep other things than
    notebooks' requirements in files of that name.

    Raises
    ------
    ConfigurationError
        With the faults of all files together.
    """
    groups: dict[str, Group] = {}
    faults: list[str] = []
    for name in config.groups if config.source else ():
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
        Versions asked for; the first that is there decides the assignments.

    Raises
    ------
    NothingToRunError
        No notebook matches.
    ConfigurationError
        A requirement file, a lock file or an interpreter is not usable.
    """
    config = project.config
    paths = select_notebooks(config, patterns, cwd)
    notebooks = {path: read_notebook(config.root, path, settings_for(config, path)) for path in paths}
    groups = read_groups(config)
    interpreters, left_out = project.pythons(pythons)
    locks, faults = solve_all(project, groups, interpreters)
    first = next(iter(interpreters))
    solved = {name: locks[name, first] for name in groups if (name, first) in locks}
    assignments = {a.notebook: a for a in _assignments(project, notebooks.values(), groups, solved)}
    loose = [notebooks[path] for path in paths if _is_loose(config, notebooks[path], assignments[path])]
    conflicts: tuple[str, ...] = ()
    if loose:
        derived = _derive_as_before(project, paths, interpreters[first], solved, groups)
        if derived is None:
            derived = _derive(project, loose, interpreters[first], solved, groups)
        conflicts = tuple(conflict.sentence for conflict in derived.conflicts)
        assignments.update((a.notebook, a) for a in derived.assignments)
        made = {group.name: group for group in derived.groups}
        groups = {**groups, **made}
        more_locks, more_faults = solve_all(project, made, interpreters)
        locks, faults = {**locks, **more_locks}, {**faults, **more_faults}
    return Survey(
        notebooks=notebooks,
        groups=groups,
        interpreters=interpreters,
        left_out=left_out,
        locks=locks,
        faults=faults,
        assignments=tuple(assignments[path] for path in paths),
        conflicts=conflicts,
    )


def _assignments(
    project: Project, notebooks: Iterable[Notebook], groups: Mapping[str, Group], solved: Mapping[str, Lock]
) -> Iterator[Assignment]:
    supplied = supplies(project.root, groups, solved)
    for notebook in notebooks:
        yield assign(
            notebook,
            config=project.config,
            settings=settings_for(project.config, notebook.path),
            supplied=supplied,
            distributions=partial(_distributions, project.config),
        )


def _is_loose(config: Config, notebook: Notebook, assignment: Assignment) -> bool:
    """Whether a notebook's environment follows from the notebook itself: nothing was configured, or it says so."""
    if assignment.verdict in {"failed", "skipped"} or is_named(config, notebook, settings_for(config, notebook.path)):
        return False
    return not (config.groups and config.source) or notebook.script is not None


def _derive(
    project: Project,
    notebooks: Sequence[Notebook],
    interpreter: Interpreter,
    solved: Mapping[str, Lock],
    groups: Mapping[str, Group],
) -> Derived:
    """Put notebooks into the groups that serve them, and the others into the fewest new ones that solve."""
    own = own_project(project.root)
    distributions = partial(_distributions, project.config)
    demands = [demand_of(notebook, distributions=distributions, own=own) for notebook in notebooks]
    return derive(
        [_as_in_jupyter(demand, notebook) for demand, notebook in zip(demands, notebooks, strict=True)],
        interpreter=interpreter,
        oracle=UvOracle(project.uv, interpreter, cache=project.solutions, terms=project.terms),
        root=project.root,
        locks=solved,
        taken=groups,
    )


def _derive_as_before(
    project: Project,
    chosen: Sequence[str],
    interpreter: Interpreter,
    solved: Mapping[str, Lock],
    groups: Mapping[str, Group],
) -> Derived | None:
    """Derive the groups of all notebooks, if an earlier run built what the chosen ones need; else give None.

    One notebook asks for less than all of them together, but an environment that is there is worth more than a
    smaller one that must be built.
    """
    if not project.state.is_dir():
        return None
    config = project.config
    everything = {path: read_notebook(config.root, path, settings_for(config, path)) for path in find_notebooks(config)}
    if set(everything) <= set(chosen) or not set(chosen) <= set(everything):
        return None
    assignments = {a.notebook: a for a in _assignments(project, everything.values(), groups, solved)}
    loose = [notebook for path, notebook in everything.items() if _is_loose(config, notebook, assignments[path])]
    derived = _derive(project, loose, interpreter, solved, groups)
    placed = [a for a in derived.assignments if a.notebook in chosen]
    needed = {a.group for a in placed if a.group}
    made = {group.name: group for group in derived.groups if group.name in needed}
    try:
        built = all(project.store.has(project.lock(group, interpreter)) for group in made.values())
    except EnvsolverError:
        return None
    return replace(derived, groups=tuple(made.values()), assignments=tuple(placed)) if built else None


def _as_in_jupyter(demand: Demand, notebook: Notebook) -> Demand:
    """Add what every Jupyter installation brings, unless the notebook states all that it needs."""
    if demand.fault or notebook.script is not None:
        return demand
    brought = [Requirement(text=name, origin=Origin(path="Jupyter itself")) for name in WITH_JUPYTER]
    wanted = {requirement.text: requirement for requirement in (*brought, *demand.requirements)}
    return replace(demand, requirements=tuple(wanted[text] for text in sorted(wanted)))


def solve_all(
    project: Project, groups: Mapping[str, Group], interpreters: Mapping[str, Interpreter]
) -> tuple[dict[tuple[str, str], Lock], dict[tuple[str, str], EnvsolverError]]:
    """Solve every group for every interpreter, side by side.

    Returns
    -------
    tuple
        The locks, and the errors of those that could not be solved, by group and Python version.

    Raises
    ------
    ConfigurationError
        Lock files are stale.
    """
    locks: dict[tuple[str, str], Lock] = {}
    faults: dict[tuple[str, str], EnvsolverError] = {}
    with ThreadPoolExecutor(max_workers=max(SOLVERS, os.cpu_count() or 1)) as pool:
        asked = {
            (name, version): pool.submit(project.lock, group, interpreter)
            for name, group in groups.items()
            for version, interpreter in interpreters.items()
            # Nothing of a group runs on a Python that it does not support, so nothing is asked for it.
            if python_allowed(group.requires_python, interpreter)
        }
        stale: list[ConfigurationError] = []
        for site, answer in asked.items():
            try:
                locks[site] = answer.result()
            except ConfigurationError as error:
                stale.append(error)
            except EnvsolverError as error:
                faults[site] = error
    if stale:
        told = dict.fromkeys(fault for error in stale for fault in error.faults)
        raise ConfigurationError(tuple(told), tip=stale[0].tip if len(told) == 1 else "Refresh them: `envsolver lock`.")
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
