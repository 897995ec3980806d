"""The members of a workspace of uv: their dependency groups and extras count beside those of the project at its top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from envsolver.core.parsing import table_of
from envsolver.core.projects import pyproject
from envsolver.resolver.project_metadata import setup_extras


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """A project that holds dependency sets: the top of a workspace, or a member of it."""

    root: Path
    table: Mapping[str, Any]
    """Its `pyproject.toml`."""

    @property
    def groups(self) -> Mapping[str, Any]:
        """Its dependency groups (PEP 735)."""
        return table_of(self.table, "dependency-groups")

    @property
    def extras(self) -> Mapping[str, Any]:
        """Its extras; where `pyproject.toml` leaves them to older files, those of which these tell without a build."""
        project = table_of(self.table, "project")
        dynamic = project.get("dynamic")
        elsewhere = not project or (isinstance(dynamic, list) and "optional-dependencies" in dynamic)
        return setup_extras(self.root) if elsewhere else table_of(project, "optional-dependencies")

    @property
    def extras_file(self) -> str:
        """Which of its files has the extras."""
        stated = table_of(self.table, "project", "optional-dependencies")
        return next((file for file in self.extras.values() if not stated), "pyproject.toml")

    def extras_of(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of some extras that it has."""
        have = {canonicalize_name(extra) for extra in self.extras}
        return tuple(name for name in names if canonicalize_name(name) in have)

    def groups_of(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of some dependency groups that it has."""
        have = {canonicalize_name(group) for group in self.groups}
        return tuple(name for name in names if canonicalize_name(name) in have)


def holders(root: Path) -> tuple[Holder, ...]:
    """Return the project at a root, then the members of the workspace of which it is the top, sorted."""
    table = pyproject(root)
    members = (Holder(root=place, table=pyproject(place)) for place in _members(root, table))
    return (Holder(root=root, table=table), *members)


def _members(root: Path, table: Mapping[str, Any]) -> list[Path]:
    workspace = table_of(table, "tool", "uv", "workspace")
    left_out = set(_matching(root, workspace.get("exclude")))
    found = set(_matching(root, workspace.get("members"))) - left_out - {root}
    return sorted(place for place in found if (place / "pyproject.toml").is_file())


def _matching(root: Path, patterns: object) -> Iterator[Path]:
    for pattern in patterns if isinstance(patterns, list) else []:
        # One that leads out of the project is left to uv, as is one that is no pattern.
        if isinstance(pattern, str) and pattern.strip("./") and not pattern.startswith(("/", "..")):
            yield from root.glob(pattern.removeprefix("./"))
