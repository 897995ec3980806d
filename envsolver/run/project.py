"""One project as the commands see it: its configuration, its caches, its groups and their locks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from envsolver.config.load import find_root, load_config
from envsolver.core.environments import Group, Interpreter, Lock
from envsolver.core.paths import STATE, history_name
from envsolver.core.settings import Config
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.store import Store, cache_directory
from envsolver.environments.uv import Uv
from envsolver.resolver.lockfiles import read_lock
from envsolver.resolver.locks import SolveOptions, solve_group
from envsolver.resolver.pythons import choose_pythons
from envsolver.resolver.uv_lock import read_uv_lock
from envsolver.run.history import History
from envsolver.run.passes import Passes

_VERSION = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class Project:
    """A project's root and configuration, and the doors to its caches."""

    config: Config
    resolution: str | None = None
    upgrade: bool = False
    build: bool = False
    """Whether a package may be built, and so run, to learn what it depends on."""
    cache: Path = field(default_factory=cache_directory)

    def __post_init__(self) -> None:
        """Make what threads share before any of them starts."""
        _ = self.store

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
        return History(self.state / history_name(self.config.strategy))

    @property
    def passes(self) -> Passes:
        """The last passes."""
        return Passes(self.state / history_name(self.config.strategy))

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
        matrix = choose_pythons(asked, self.config.python, partial(find_interpreter, self.uv))
        # A path and a set of specifiers are no names for a version.
        named = {i.request if _VERSION.fullmatch(i.request) else i.version: i for i in matrix.interpreters}
        return named, matrix.left_out

    def takes_uv_lock(self, group: Group) -> bool:
        """Return whether a group's versions come from the project's own lock."""
        named = group.sets is not None and bool(group.sets.lock)
        return named and self.resolution is None and not self.upgrade

    def lock(self, group: Group, interpreter: Interpreter) -> Lock:
        """Return a group's lock: the project's, its lock file's, else the remembered solution, else uv's.

        Raises
        ------
        ConfigurationError
            The lock file is stale.
        UnsolvableError, BuildError
            As `solve_group` does.
        """
        if group.sets is not None and self.takes_uv_lock(group):
            return read_uv_lock(group, group.sets, interpreter, uv=self.uv, cache=self.solutions, terms=self.terms)
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


def open_project(
    start: Path,
    *,
    strategy: str | None = None,
    resolution: str | None = None,
    upgrade: bool = False,
    build: bool = False,
) -> Project:
    """Find the project that a directory belongs to and read its configuration.

    Parameters
    ----------
    strategy
        The strategy to apply; None for the configuration's own, if it names one.
    resolution
        Which versions the solver prefers, over uv's settings.
    upgrade
        Look for newer versions, whatever locks and earlier solves say.
    build
        Whether a package may be built, and so run, to learn what it depends on.

    Raises
    ------
    ConfigurationError
        With every fault of the configuration.
    """
    config = load_config(find_root(start.absolute()), strategy)
    return Project(config=config, resolution=resolution, upgrade=upgrade, build=build)
