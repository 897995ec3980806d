"""One project as the commands see it: its configuration, its caches, its groups and their locks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from envsolver.config.load import find_root, load_config
from envsolver.core.environments import Group, Interpreter, Lock
from envsolver.core.errors import BuildError, UnsolvableError
from envsolver.core.paths import STATE, history_name
from envsolver.core.settings import Config
from envsolver.environments.foreign import foreign_lock
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.store import Store, cache_directory
from envsolver.environments.uv import Uv
from envsolver.resolver.lockfiles import read_lock
from envsolver.resolver.locks import solve_group
from envsolver.resolver.pythons import choose_pythons
from envsolver.resolver.solve_options import SolveOptions
from envsolver.resolver.uv_lock import read_uv_lock
from envsolver.run.history import History
from envsolver.run.passes import Passes

_VERSION = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tomorrow:
    """Which versions are tried over those that a project has chosen."""

    more: tuple[str, ...] = ()
    """Requirements that every group gets beside its own."""
    prerelease: bool = False
    """Whether releases before the final ones count."""
    indexes: tuple[str, ...] = ()
    """Addresses of indexes that are asked before the others."""


@dataclass(frozen=True)
class Project:
    """A project's root and configuration, and the doors to its caches."""

    config: Config
    resolution: str | None = None
    upgrade: bool = False
    build: bool = False
    """Whether a package may be built, and so run, to learn what it depends on."""
    tomorrow: Tomorrow = Tomorrow()
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
        return Uv(self.root, cache=self.cache, pass_env=self.config.pass_env, limit=self.config.build_timeout)

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
        return SolveOptions(
            exclude_newer=self.config.exclude_newer,
            resolution=self.resolution,
            build=self.build,
            more=self.tomorrow.more,
            prerelease=self.tomorrow.prerelease,
            indexes=self.tomorrow.indexes,
        )

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
        return named and self.as_chosen

    @property
    def as_chosen(self) -> bool:
        """Whether versions are those that the project has chosen, by its locks."""
        return self.resolution is None and not self.upgrade and self.tomorrow == Tomorrow()

    def lock(self, group: Group, interpreter: Interpreter) -> Lock:
        """Return a group's lock: the project's, its lock file's, else the remembered solution, else uv's.

        Raises
        ------
        ConfigurationError
            The lock file is stale.
        UnsolvableError, BuildError
            As `solve_group` does.
        """
        if group.prefix:
            return foreign_lock(group.name, Path(group.prefix), interpreter)
        if group.sets is not None and self.takes_uv_lock(group):
            return read_uv_lock(group, group.sets, interpreter, uv=self.uv, cache=self.solutions, terms=self.terms)
        if self.as_chosen:
            committed = read_lock(self.config, group, interpreter)
            if committed is not None:
                return committed
        return solve_group(
            group,
            interpreter,
            uv=self.uv,
            cache=self.solutions,
            terms=replace(self.terms, preferred=self._preferred(group, interpreter)),
            upgrade=self.upgrade,
        )

    def _preferred(self, group: Group, interpreter: Interpreter) -> tuple[str, ...]:
        """Return the pins that requirements of the command line leave as they are: only what they ask for changes."""
        before = replace(self, tomorrow=replace(self.tomorrow, more=()))
        if before == self or not before.as_chosen:
            return ()
        try:
            chosen = before.lock(group, interpreter)
        except (UnsolvableError, BuildError):
            return ()
        return tuple(f"{p.name}=={p.version}" for p in chosen.packages if "/" not in p.version)


def open_project(
    start: Path,
    *,
    strategy: str | None = None,
    resolution: str | None = None,
    upgrade: bool = False,
    build: bool = False,
    tomorrow: Tomorrow | None = None,
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
    tomorrow
        Which versions are tried over those that the project has chosen.

    Raises
    ------
    ConfigurationError
        With every fault of the configuration.
    """
    config = load_config(find_root(start.absolute()), strategy)
    return Project(config=config, resolution=resolution, upgrade=upgrade, build=build, tomorrow=tomorrow or Tomorrow())
