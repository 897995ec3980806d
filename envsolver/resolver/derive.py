"""Groups for notebooks that no configuration places: the fewest environments that serve them, with names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.environments import Assignment, Group, Interpreter, Lock
from envsolver.core.notebooks import Requirement
from envsolver.core.projects import project_name
from envsolver.resolver.conflicts import Conflict
from envsolver.resolver.demands import NotebookRequirements, merged
from envsolver.resolver.explanations import sentence
from envsolver.resolver.groups import derive_group
from envsolver.resolver.held_back import HeldBack, find_holds
from envsolver.resolver.locks import NOT_BUILT
from envsolver.resolver.oracle import Finding, Oracle
from envsolver.resolver.partition import Partition, partition
from envsolver.resolver.remedies import remedy, remedy_of_fault
from envsolver.resolver.requirement_text import BOUND, address_of, is_option, parse, requirement_name
from envsolver.resolver.specifiers import applies, python_allowed

ONLY = "notebooks"
"""Name of the group when one environment serves all."""

_OPERATORS = {"==": "", "===": "", "<=": "le", "<": "lt", ">=": "ge", ">": "gt", "~=": "compat", "!=": "not"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """What was found for notebooks that no configuration places."""

    groups: tuple[Group, ...]
    """The new groups; they have no file."""
    assignments: tuple[Assignment, ...]
    """One for each demand, in the demands' order."""
    conflicts: tuple[Conflict, ...] = ()
    """Why the groups are apart: one sentence for each conflict that was met."""
    holds: Mapping[str, tuple[HeldBack, ...]] = field(default_factory=dict)
    """Whose requirements hold others back at older versions, by the group's name."""
    asked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What each notebook asks for, as texts, by its path."""


def derive(
    demands: Sequence[NotebookRequirements],
    *,
    interpreter: Interpreter,
    oracle: Oracle,
    root: Path,
    locks: Mapping[str, Lock] | None = None,
    taken: Iterable[str] = (),
) -> Derived:
    """Put notebooks into the configured groups that serve them, and the others into the fewest new ones.

    Parameters
    ----------
    locks
        The configured groups that were solved, by name.
    taken
        Names that no new group may have.

    Raises
    ------
    BuildError
        From the oracle: the network is out of reach.
    """
    answers = [(demand, _settled(demand, interpreter, locks or {}, root)) for demand in demands]
    settled = {demand.notebook: known for demand, known in answers if known is not None}
    waiting = [demand for demand, known in answers if known is None]
    found = _partition([demand.items for demand in waiting], oracle)
    names = name_parts([part.items for part in found.parts], list(found.conflicts), root, taken=taken)
    members = [[d for d in waiting if d.items in part.sets] for part in found.parts]
    groups = [_group(name, demands, root) for name, demands in zip(names, members, strict=True)]
    shared = zip(names, members, found.parts, strict=True)
    holds = {name: find_holds(demands, part.finding.packages, oracle) for name, demands, part in shared}
    homes = {wanted: name for name, part in zip(names, found.parts, strict=True) for wanted in part.sets}
    settled.update((demand.notebook, _assigned(demand, homes, found, root, interpreter)) for demand in waiting)
    return Derived(
        groups=tuple(groups),
        assignments=tuple(settled[demand.notebook] for demand in demands),
        conflicts=_conflicts(waiting, found, root),
        holds=holds,
        asked={demand.notebook: demand.items for demand in demands},
    )


def _partition(sets: Iterable[frozenset[str]], oracle: Oracle) -> Partition:
    """Put requirement sets into environments; what names other sources of packages shares none with what does not."""
    by_options: dict[frozenset[str], list[frozenset[str]]] = {}
    for items in sets:
        by_options.setdefault(frozenset(filter(is_option, items)), []).append(items)
    found = [partition(alike, oracle) for _, alike in sorted(by_options.items(), key=lambda item: sorted(item[0]))]
    return Partition(
        parts=tuple(part for each in found for part in each.parts),
        rejected={items: why for each in found for items, why in each.rejected.items()},
        conflicts={items: why for each in found for items, why in each.conflicts.items()},
    )


def name_parts(
    parts: Sequence[frozenset[str]], conflicts: Sequence[frozenset[str]], root: Path, *, taken: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return a name for each part, after what sets it apart: usable as a file's name, unique, and stable.

    Parameters
    ----------
    parts
        The requirements of each environment.
    conflicts
        Why they are apart; a requirement that meets others there is the best name.
    """
    used = set(taken)
    names = []
    for index, part in enumerate(parts):
        others = [*parts[:index], *parts[index + 1 :]]
        name = ONLY if not others else _apart(part, others, conflicts, root)
        unique, number = name, 2
        while unique in used:
            unique, number = f"{name}-{number}", number + 1
        used.add(unique)
        names.append(unique)
    return tuple(names)


def serves(lock: Lock, demand: NotebookRequirements, interpreter: Interpreter, root: Path) -> bool:
    """Return whether an environment of a lock has all that a notebook asks for, in versions that it accepts."""
    versions = {package.name: package.version for package in lock.packages}
    return all(has(versions, r, root) for r in demand.requirements if applies(r.text, interpreter))


def has(versions: Mapping[str, str], requirement: Requirement, root: Path) -> bool:
    """Return whether packages, as versions by name, have what a requirement asks for."""
    name = requirement_name(root, requirement.text)
    if name is None or name not in versions:
        return requirement.text.startswith(BOUND)
    parsed = parse(requirement.text.removeprefix(BOUND))
    # A local project's version in a lock is the path that it comes from.
    local = "/" in versions[name]
    return local or parsed is None or parsed.specifier.contains(versions[name], prereleases=True)


def _settled(
    demand: NotebookRequirements, interpreter: Interpreter, locks: Mapping[str, Lock], root: Path
) -> Assignment | None:
    """Return the assignment of a notebook that needs no new group."""
    if demand.fault:
        return _environment(demand.notebook, f"{demand.fault.rstrip('.')}: {remedy_of_fault(demand, root)}")
    if not python_allowed(demand.requires_python, interpreter):
        reason = f"it needs Python {demand.requires_python}, and this is {interpreter.version}"
        return Assignment(notebook=demand.notebook, group=None, why=reason, verdict="skipped", reason=reason)
    fitting = [lock for lock in locks.values() if serves(lock, demand, interpreter, root)]
    if not fitting:
        return None
    best = min(fitting, key=lambda lock: (len(lock.packages), lock.group))
    return Assignment(notebook=demand.notebook, group=best.group, why="the smallest group that has what it asks for")


def _assigned(
    demand: NotebookRequirements,
    homes: Mapping[frozenset[str], str],
    found: Partition,
    root: Path,
    interpreter: Interpreter,
) -> Assignment:
    if demand.items in homes:
        group = homes[demand.items]
        why = "one environment serves all" if group == ONLY else "among the fewest environments that serve all"
        return Assignment(notebook=demand.notebook, group=group, why=why)
    least, finding = found.rejected[demand.items]
    if finding.explanation.startswith(NOT_BUILT):
        return _environment(demand.notebook, finding.explanation.split("\n", 1)[0])
    conflict = _conflict([demand], least, finding, root)
    advice = remedy(demand, conflict.requirements, finding.explanation, root, interpreter.request)
    return _environment(demand.notebook, ": ".join(filter(None, (conflict.sentence, advice))))


def without(group: Group, texts: Collection[str], root: Path) -> Group:
    """Return a derived group without some of its requirements."""
    kept = [requirement for requirement in group.requirements if requirement.text not in texts]
    return derive_group(group.name, kept, root=root, constraints=group.constraints, options=group.options)


def _environment(notebook: str, reason: str) -> Assignment:
    return Assignment(notebook=notebook, group=None, why="cannot be served", verdict="environment", reason=reason)


def _conflicts(demands: list[NotebookRequirements], found: Partition, root: Path) -> tuple[Conflict, ...]:
    # What has no solution within one notebook is that notebook's reason, and keeps no groups apart.
    between = {c: f for c, f in found.conflicts.items() if not any(c <= rejected for rejected in found.rejected)}
    return tuple(_conflict(demands, least, finding, root) for least, finding in between.items())


def _conflict(demands: list[NotebookRequirements], least: frozenset[str], finding: Finding, root: Path) -> Conflict:
    met = tuple(r for r in merged(demands) if r.text in least)
    if finding.added:
        # The least set is one of what the notebooks ask for; what uv does not speak of is there by chance.
        met = (*(r for r in met if r.text in finding.suspects), *finding.added)
    return Conflict(
        requirements=met, sentence=sentence(met, finding.explanation, root), explanation=finding.explanation
    )


def _group(name: str, demands: list[NotebookRequirements], root: Path) -> Group:
    return derive_group(name, merged(demands), root=root)


def _apart(
    part: frozenset[str], others: Sequence[frozenset[str]], conflicts: Iterable[frozenset[str]], root: Path
) -> str:
    elsewhere = frozenset().union(*others)
    meets = Counter(item for conflict in conflicts for item in conflict)
    own = sorted((i for i in part - elsewhere if not is_option(i)), key=lambda item: (-meets[item], item))
    if not own:
        return "group"
    names = {requirement_name(root, item) for item in elsewhere}
    return _slug(own[0], alone=requirement_name(root, own[0]) not in names, root=root)


def _slug(item: str, *, alone: bool, root: Path) -> str:
    """Return a requirement as a file's name, such as ``torch`` or ``numpy-lt2``."""
    parsed = parse(item.removeprefix(BOUND))
    if parsed is None:
        address = address_of(item)
        return (requirement_name(root, item) if address else project_name(root)) or "project"
    bounds = [] if alone else sorted(str(bound) for bound in parsed.specifier)
    said = []
    for bound in bounds:
        found = re.fullmatch(r"([<>=!~]+)(.*)", bound)
        if found:
            said.append(_OPERATORS[found[1]] + re.sub(r"[^A-Za-z0-9.]+", "-", found[2]).strip("-."))
    return "-".join([canonicalize_name(parsed.name), *said])
