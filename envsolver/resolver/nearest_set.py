"""Which of a project's own dependency sets a derived group stands on: the one that has most of what it asks for.

A set also lists what notebooks need and do not import, such as engines, backends and data packages. A notebook that
imports one package more than the set has would else do without all of these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from envsolver.core.environments import Group, Interpreter, Lock
from envsolver.resolver.derive import has
from envsolver.resolver.requirement_text import requirement_name
from envsolver.resolver.specifiers import applies


def nearest_set(
    group: Group, sets: Mapping[str, tuple[Lock, Collection[str]]], *, interpreter: Interpreter, root: Path
) -> str | None:
    """Return the name of the set that has most of what a derived group asks for.

    None is returned when no set names anything of it: what a set has without naming it may be there by chance.

    Parameters
    ----------
    sets
        By name, the lock of a set, and which distributions it names itself, but for those that are there without it.
        A set with another version than is asked for is left out.
    """
    asked = [r for r in (*group.requirements, *group.constraints) if applies(r.text, interpreter)]
    found: list[tuple[int, int, str]] = []
    for name, (lock, named) in sets.items():
        versions = {package.name: package.version for package in lock.packages}
        held = {known: r for r in asked if (known := requirement_name(root, r.text)) in versions}
        if not held.keys().isdisjoint(named) and all(has(versions, r, root) for r in held.values()):
            found.append((-len(held), len(versions), name))
    return min(found)[2] if found else None
