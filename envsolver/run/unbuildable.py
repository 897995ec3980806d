"""Which requirements of a derived group lead to a package whose build failed, and which notebooks ask for them.

The others do without it, and run in an environment without it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from envsolver.core.environments import Group
from envsolver.core.errors import BuildError
from envsolver.core.notebooks import Requirement
from envsolver.resolver.groups import derive_group
from envsolver.resolver.requirement_text import local_path
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution, solve_all

LOCAL_MARK = "@ file:"
"""What uv's words about a local project hold."""

_FAILED = re.compile(r"Failed to (?:download and )?build `([A-Za-z0-9._-]+)==")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unbuildable:
    """What cannot be built of a group."""

    requirements: tuple[Requirement, ...]
    """Those that need it."""
    notebooks: frozenset[str]
    """Those that ask for these; none where a set of the project brought them."""

    @property
    def texts(self) -> frozenset[str]:
        """The requirements' texts."""
        return frozenset(r.text for r in self.requirements)

    @property
    def name(self) -> str:
        """What the others do without, as the end of a sentence."""
        named = [r.text for r in self.requirements if local_path(r.text) is None or "[" in r.text]
        return " and ".join(named) if named else "the local project"


def find_unbuildable(
    error: BuildError, group: Group, members: Collection[str], *, project: Project, resolution: Resolution, python: str
) -> Unbuildable | None:
    """Return what of a derived group a failed build comes from; None when all notebooks ask for it.

    Each requirement is solved alone, side by side, to see whether it needs the package.

    Parameters
    ----------
    members
        The notebooks of the group that still wait for it.
    python
        The Python version asked for.
    """
    if LOCAL_MARK in error.message:
        led = tuple(r for r in group.requirements if local_path(r.text) is not None)
    elif failed := _FAILED.search(error.message):
        name = canonicalize_name(failed[1])
        alone = {
            r.text: derive_group(r.text, [r], root=project.root, constraints=group.constraints, options=group.options)
            for r in group.requirements
        }
        locks, _ = solve_all(project, alone, {python: resolution.interpreters[python]})
        needs = {t.group for t, lock in locks.items() if any(package.name == name for package in lock.packages)}
        led = tuple(r for r in group.requirements if r.text in needs)
    else:
        return None
    found = Unbuildable(
        requirements=led,
        notebooks=frozenset(n for n in members if resolution.asked.get(n, frozenset()) & {r.text for r in led}),
    )
    # What no notebook asks for came with a set of the project that the group stands on.
    return found if led and found.notebooks < set(members) else None
