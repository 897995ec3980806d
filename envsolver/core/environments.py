"""Groups, their locks, and the environments that these are installed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from envsolver.core.notebooks import Requirement
from envsolver.core.verdicts import Verdict


class Target(NamedTuple):
    """A group on a Python version: what an environment is built for."""

    group: str
    python: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DependencySets:
    """Which of the dependency sets that a project's own files hold make a group."""

    groups: tuple[str, ...] = ()
    """Dependency groups (PEP 735)."""
    extras: tuple[str, ...] = ()
    lock: str = ""
    """``uv.lock`` when the versions come from there."""
    members: bool = False
    """Whether all members of the project's workspace belong to it."""
    extras_file: str = field(default="pyproject.toml", repr=False)
    """Which of the project's files has the extras."""

    def __str__(self) -> str:
        """Return what a person would look for, and where, such as ``[dependency-groups] docs in pyproject.toml``."""
        tables = {"setup.cfg": "[options.extras_require]", "setup.py": "extras_require"}
        table = tables.get(self.extras_file, "[project.optional-dependencies]")
        groups = f"[dependency-groups] {', '.join(self.groups)}" if self.groups else ""
        extras = f"{table} {', '.join(self.extras)}" if self.extras else ""
        if groups and extras and self.extras_file in tables:
            groups += " in pyproject.toml"
        file = self.extras_file if extras else "pyproject.toml"
        return f"{' and '.join(filter(None, (groups, extras))) or '[project] dependencies'} in {file}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A named dependency set, read from its file and everything that the file includes."""

    name: str
    file: str
    """The group's requirements file, relative to the project's root; empty for a group that has none of its own."""
    requirements: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    """Every line that asks for or bounds a package, nested ``-r`` and ``-c`` files included."""
    requires_python: str | None = None
    """Versions of Python that the group supports, as a specifier set; None for all."""
    digest: str = ""
    """SHA-256 over all text that a solve depends on; the same on every machine."""
    options: tuple[str, ...] = ()
    """Lines of its files that are options of uv, such as ``--pre``."""
    sets: DependencySets | None = None
    """The project's own dependency sets that make it; None where others do."""
    prefix: str = ""
    """The environment that somebody else builds for it, as an absolute path; empty for one of ours."""

    @property
    def place(self) -> str:
        """Where a person adds a requirement; empty for a derived group."""
        return self.file or self.prefix or ("" if self.sets is None else str(self.sets))


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Which group a notebook belongs to, and why."""

    notebook: str
    group: str | None
    """Name of the group; None when none fits."""
    why: str
    """One phrase for people, such as ``imports torch`` or ``set in pyproject.toml``."""
    verdict: Verdict | None = None
    reason: str = ""
    """Set when the notebook will not run: `environment`, `failed` or `skipped`, and the sentence why."""
    held_back: tuple[str, ...] = ()
    """Whose requirements hold it back at older versions, a sentence each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python that environments can be built on."""

    request: str
    """What was asked for, such as ``3.11``."""
    executable: str
    """Absolute path of the base interpreter, shims and virtualenvs seen through."""
    version: str
    """Full version, such as ``3.11.7``."""
    platform: str
    """``sysconfig.get_platform()`` with the implementation, such as ``cpython-linux-x86_64``."""

    @property
    def minor(self) -> str:
        """The version's first two parts, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A distribution pinned by a lock; `name` is normalised (PEP 503)."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A group resolved for one interpreter."""

    group: str
    interpreter: Interpreter
    text: str
    """The requirements text that uv wrote, with hashes."""
    packages: tuple[Package, ...]
    """What it pins, sorted by name."""
    prefix: str = ""
    """The environment that it describes, when somebody else has built it; empty for one that is ours to build."""

    @property
    def editable(self) -> bool:
        """Whether it installs a folder as it is, whose path the environment then holds."""
        return any(line.startswith("-e ") for line in self.text.splitlines())


class EnvironmentUse(NamedTuple):
    """An environment as one group uses it: groups of the same lock share what is built."""

    key: str
    group: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A lock installed in a cached virtualenv."""

    key: str
    """Hexadecimal digest of the content: the lock's text, the interpreter, uv's settings."""
    group: str
    python: str
    prefix: Path
    """The virtualenv's directory, which is its kernel's ``sys.prefix``."""
    packages: tuple[Package, ...] = ()
    built: bool = False
    """True when this run built it, False when the cache had it."""
    seconds: float = 0.0
    """What solving and building it took."""

    @property
    def use(self) -> EnvironmentUse:
        """What tells it from the others of a run."""
        return EnvironmentUse(self.key, self.group)
