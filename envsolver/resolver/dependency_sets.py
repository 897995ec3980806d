"""Groups whose requirements are sets of the project's own: dependency groups (PEP 735), and extras of whatever file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.dependency_groups import DependencyGroupResolver
from packaging.utils import canonicalize_name

from envsolver.core.digests import digest
from envsolver.core.environments import DependencySets, Group
from envsolver.core.errors import ConfigurationError
from envsolver.core.folders import METADATA_FILES
from envsolver.core.notebooks import Origin, Requirement
from envsolver.core.parsing import MalformedError, read_text, table_of
from envsolver.core.projects import pyproject
from envsolver.core.settings import GroupSettings
from envsolver.resolver.own_project import own_project
from envsolver.resolver.requirement_text import build_backend, project_digest
from envsolver.resolver.workspace import Holder, holders

UV_LOCK = "uv.lock"
FILE = "pyproject.toml"
EVERYTHING = "everything"
"""The group of all that a project's lock holds, for notebooks that no set with a telling name serves."""

_TELLING = frozenset(
    {"doc", "docs", "documentation", "notebook", "notebooks", "nb", "example", "examples"}
    | {"tutorial", "tutorials", "demo", "demos", "jupyter"}
)
"""Words in the names of those dependency groups and extras that are there for notebooks."""


def sets_of(settings: GroupSettings) -> DependencySets | None:
    """Return which sets of the project a group's settings name; None for a group with a file."""
    lock = settings.lock if isinstance(settings.lock, str) else ""
    if not (settings.dependency_groups or settings.extras or lock):
        return None
    return DependencySets(groups=settings.dependency_groups, extras=settings.extras, lock=lock)


def declared_group(root: Path, name: str, sets: DependencySets, requires_python: str | None = None) -> Group:
    """Return the group that some of a project's own sets make, with the project itself, as uv would install them.

    Raises
    ------
    ConfigurationError
        The project has no such set, or what stands there cannot be read; lists every fault.
    """
    every = holders(root)
    top, *members = every
    faults = [*_unknown(name, "dependency group", sets.groups, _names(each.groups for each in every))]
    optional = _names(table_of(each.table, "project", "optional-dependencies") for each in every)
    if optional:  # what a build adds is known to uv alone
        faults += _unknown(name, "extra", sets.extras, optional)
    requirements: list[Requirement] = []
    if not faults:
        of_members = {extra for each in members for extra in each.extras_of(sets.extras)}
        own = (extra for extra in sets.extras if top.extras_of((extra,)) or extra not in of_members)
        requirements += _project(root, top.table, tuple(own))
        requirements += (_member(root, each, extras) for each in members if (extras := each.extras_of(sets.extras)))
        requirements += (found for each in every for found in _grouped(root, each, sets.groups, faults))
    if faults:
        raise ConfigurationError(faults)
    bounds = [requires_python, *(_python_of(top.table, each) for each in sets.groups)]
    used = [each for each in members if each.extras_of(sets.extras) or each.groups_of(sets.groups)]
    digests = (project_digest(each.root) for each in (top, *used))
    return Group(
        name=name,
        file="",
        requirements=tuple({r.text: r for r in requirements}.values()),
        requires_python=",".join(filter(None, bounds)) or None,
        digest=digest([repr(sets), *sorted(r.text for r in requirements), *digests]),
        sets=replace(sets, members=sets.members or bool(used), extras_file=top.extras_file),
    )


def _grouped(root: Path, holder: Holder, names: tuple[str, ...], faults: list[str]) -> Iterable[Requirement]:
    """Yield what those of some dependency groups ask for that a project holds; what cannot be read is a fault."""
    file = (holder.root / FILE).relative_to(root).as_posix()
    for name in holder.groups_of(names):
        try:
            for requirement in DependencyGroupResolver(dict(holder.groups)).resolve(name):
                yield _placed(root, str(requirement), file)
        except Exception as error:  # noqa: BLE001  groups of exceptions too, of which packaging says only the text
            causes = getattr(error, "exceptions", (error,))
            faults += [f"{file}: dependency group {name}: {cause}" for cause in causes]


def _member(root: Path, member: Holder, extras: tuple[str, ...]) -> Requirement:
    """Return what stands for a member of a workspace with some of its extras."""
    place = member.root.relative_to(root).as_posix()
    return Requirement(text=f"-e ./{place}[{','.join(sorted(extras))}]", origin=Origin(path=f"{place}/{FILE}", line=1))


def _names(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for table in tables for name, value in table.items()}


def offered_sets(root: Path) -> dict[str, DependencySets]:
    """Return the sets of a project that notebooks are tried in where nothing is configured, by name.

    Those come first whose names tell that they are for notebooks, then, with a lock, all that the project has.
    """
    table, every = pyproject(root), holders(root)
    groups, extras = _names(each.groups for each in every), _names(each.extras for each in every)
    lock = UV_LOCK if lock_file(root) is not None else ""
    found: dict[str, DependencySets] = {}
    for name in (name for name in dict.fromkeys([*groups, *extras]) if _tells(name)):
        key = str(canonicalize_name(name))
        before = found.get(key, DependencySets(lock=lock))
        found[key] = DependencySets(
            groups=(*before.groups, *([name] if name in groups else [])),
            extras=(*before.extras, *([name] if name in extras else [])),
            lock=lock,
        )
    uv = table_of(table, "tool", "uv")
    if lock:
        at_odds = _at_odds(uv.get("conflicts"))
        everything = DependencySets(
            groups=tuple(name for name in groups if ("group", name) not in at_odds),
            extras=tuple(name for name in extras if ("extra", name) not in at_odds),
            lock=lock,
            members="workspace" in uv,
        )
        found.setdefault(EVERYTHING, everything)
    return found


def _at_odds(conflicts: object) -> set[tuple[str, str]]:
    """Return the kinds and names of the sets that a project declares as excluding others; all of them are left out."""
    lists = conflicts if isinstance(conflicts, list) else []
    entries = [entry for each in lists if isinstance(each, list) for entry in each if isinstance(entry, dict)]
    return {(kind, str(entry[kind])) for entry in entries for kind in ("group", "extra") if kind in entry}


def lock_file(root: Path) -> Path | None:
    """Return the lock that uv keeps for a project, beside it or at the top of its workspace; None without one."""
    if (root / UV_LOCK).is_file():
        return root / UV_LOCK
    tops = (folder for folder in root.parents if "workspace" in table_of(pyproject(folder), "tool", "uv"))
    return next((folder / UV_LOCK for folder in tops if (folder / UV_LOCK).is_file()), None)


def _unknown(group: str, kind: str, names: Iterable[str], known: Mapping[str, Any]) -> list[str]:
    have = {canonicalize_name(name) for name in known}
    listed = ", ".join(sorted(known)) or "none"
    missing = [name for name in names if canonicalize_name(name) not in have]
    return [f"group {group}: {FILE} has no {kind} {name}; it has: {listed}" for name in missing]


def _project(root: Path, table: Mapping[str, Any], extras: tuple[str, ...]) -> Iterable[Requirement]:
    """Yield what stands for the project itself: its dependencies where uv would not install it."""
    own = own_project(root)
    if own is None:
        return
    file = next((file for file in METADATA_FILES if (root / file).is_file()), FILE)
    packaged = table_of(table, "tool", "uv").get("package", bool(build_backend(root) or (root / "setup.py").is_file()))
    if packaged or own.metadata is None:
        text = own.text + (f"[{','.join(sorted(extras))}]" if extras else "")
        yield Requirement(text=text, origin=Origin(path=file, line=1))
        return
    optional = {canonicalize_name(extra): texts for extra, texts in own.metadata.extras.items()}
    for text in (*own.metadata.dependencies, *(t for e in extras for t in optional.get(canonicalize_name(e), ()))):
        yield _placed(root, text)


def _placed(root: Path, text: str, file: str = FILE) -> Requirement:
    """Return a requirement with the line of a `pyproject.toml` that holds it, or else its name, first."""
    name = re.escape(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0])
    try:
        lines = read_text(root / file).splitlines()
    except (OSError, MalformedError):
        lines = []
    whole = re.compile(rf"""["']{re.escape(text)}["']""")
    begun = re.compile(rf"""["']{name}(?![A-Za-z0-9._-])""", re.IGNORECASE)
    places = (number for form in (whole, begun) for number, each in enumerate(lines, start=1) if form.search(each))
    line = next(places, 1)
    return Requirement(text=text, origin=Origin(path=file, line=line))


def _python_of(table: Mapping[str, Any], group: str) -> str | None:
    said = table_of(table, "tool", "uv", "dependency-groups", group).get("requires-python")
    return said if isinstance(said, str) else None


def _tells(name: str) -> bool:
    return not _TELLING.isdisjoint(canonicalize_name(name).split("-"))
