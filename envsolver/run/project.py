"""One project as the commands see it: its configuration, its caches, its groups and their locks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from envsolver.config.load import find_root, load_config
from envsolver.core.environments import Group, Interpreter, Lock, Target
from envsolver.core.errors import ConfigurationError, EnvsolverError
from envsolver.core.settings import Config
from envsolver.environments.store import Store, cache_directory
from envsolver.environments.uv import Uv
from envsolver.resolver.groups import read_group
from envsolver.resolver.lockfiles import read_lock
from envsolver.resolver.locks import SolveOptions, solve_group
from envsolver.resolver.pythons import choose_pythons
from envsolver.resolver.specifiers import python_allowed
from envsolver.run.history import History

STATE = ".envsolver"
"""The project's own directory for history and runs, ignored by git."""

SOLVERS = 4
"""How many solves wait for the registry side by side."""


@dataclass(frozen=True)
class Project:
    """A project's root and configuration, and the doors to its caches."""

    config: Config
    resolution: str | None = None
    upgrade: bool = False
    build: bool = False
    """Whether a package may be built, and so run, to learn what it depends on."""
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
        return Uv(self.root, cache=self.cache, pass_env=self.config.pass_env)

    @cached_property
    def store(self) -> Store:
        """The cache of environments."""
        return Store(self.cache, self.uv)

    @property
    def solutions(self) -> Path:
        """Directory of remembered solutions."""
        return self.cache / "solutions"

    @property
    def terms(self) -> SolveOptions:
        """What every solve of this run is bound by."""
        return SolveOptions(exclude_newer=self.config.exclude_newer, resolution=self.resolution, build=self.build)

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
            terms=self.terms,
            upgrade=self.upgrade,
        )


def open_project(start: Path, **options: object) -> Project:
    """Find the project that a directory belongs to and read its configuration.

    Raises
    ------
    ConfigurationError
        With every fault of the configuration.
    """
    return Project(config=load_config(find_root(start.absolute()), cache_directory()), **options)  # type: ignore[arg-type]  # named by cli


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


def solve_all(
    project: Project, groups: Mapping[str, Group], interpreters: Mapping[str, Interpreter]
) -> tuple[dict[Target, Lock], dict[Target, EnvsolverError]]:
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
    locks: dict[Target, Lock] = {}
    faults: dict[Target, EnvsolverError] = {}
    with ThreadPoolExecutor(max_workers=max(SOLVERS, os.cpu_count() or 1)) as pool:
        asked = {
            Target(name, version): pool.submit(project.lock, group, interpreter)
            for name, group in groups.items()
            for version, interpreter in interpreters.items()
            # Nothing of a group runs on a Python that it does not support, so nothing is asked for it.
            if python_allowed(group.requires_python, interpreter)
        }
        stale: list[ConfigurationError] = []
        for target, answer in asked.items():
            try:
                locks[target] = answer.result()
            except ConfigurationError as error:
                stale.append(error)
            except EnvsolverError as error:
                faults[target] = error
    if stale:
        told = dict.fromkeys(fault for error in stale for fault in error.faults)
        raise ConfigurationError(tuple(told), tip=stale[0].tip if len(told) == 1 else "Refresh them: `envsolver lock`.")
    return locks, faults


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
