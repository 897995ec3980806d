"""Whether each group can be solved, whether two can share an environment, and why not, in plain words.

What shows in the texts is reported without uv. What only shows in the dependencies of dependencies is asked of uv, and
its answer is narrowed to the few requirements that meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from envsolver.core.environments import Group, Interpreter, Lock, Package
from envsolver.core.notebooks import Origin, Requirement
from envsolver.resolver.explanations import sentence
from envsolver.resolver.locks import KERNEL
from envsolver.resolver.oracle import CachingOracle, Finding, Oracle, minimise
from envsolver.resolver.requirement_text import BOUND, requirement_name
from envsolver.resolver.specifiers import contradiction

ANYWHERE = Requirement(text=KERNEL, origin=Origin(path="every environment"))
"""The implicit requirement of every notebook."""

Sizes = Callable[[Lock], Mapping[str, int]]
"""Returns the bytes on disk of each package of a lock that is built; nothing for one that is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Why requirements have no solution."""

    requirements: tuple[Requirement, ...]
    """The few that meet in it, as written and where."""
    sentence: str
    """The shortest explanation."""
    explanation: str = ""
    """uv's own words; empty when the texts alone show it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Whether two groups can share one environment."""

    groups: tuple[str, str]
    """Their names, sorted."""
    python: str
    packages_saved: int = 0
    bytes_saved: int | None = None
    """What sharing would save; the bytes are None unless both environments are built."""
    conflict: Conflict | None = None
    """Why they cannot; None when they can."""

    @property
    def shareable(self) -> bool:
        """Whether one environment serves both."""
        return self.conflict is None


def items_of(group: Group) -> dict[str, Requirement]:
    """Return what a group asks the oracle: each item with the requirement that it stands for."""
    asked = {r.text: r for r in reversed(group.requirements)}
    bounds = {BOUND + r.text: r for r in reversed(group.constraints)}
    return asked | bounds


def explain(groups: Sequence[Group], oracle: Oracle, finding: Finding, root: Path) -> Conflict:
    """Return why groups have no solution together, as the oracle has found; each of several has one by itself."""
    items: dict[str, list[Requirement]] = {}
    for group in groups:
        for item, requirement in items_of(group).items():
            items.setdefault(item, []).append(requirement)
    known = [frozenset(items_of(group)) for group in groups] if len(groups) > 1 else []
    least, found = minimise(frozenset(items), CachingOracle(oracle, solvable=known), finding)
    if found.solved:
        # A package that only some versions of can be built may fail in the whole and not in its parts.
        least, found = frozenset(items), finding
    met = [requirement for item in least for requirement in items[item][:1]]
    met.sort(key=lambda r: (r.origin.path, r.origin.cell or 0, r.origin.line or 0, r.text))
    kernel = KERNEL in found.explanation and all(requirement_name(root, r.text) != KERNEL for r in met)
    speaking = [*met, ANYWHERE] if kernel else met
    return Conflict(
        requirements=tuple(met), sentence=sentence(speaking, found.explanation, root), explanation=found.explanation
    )


def compare(first: tuple[Group, Lock], second: tuple[Group, Lock], oracle: Oracle, root: Path, sizes: Sizes) -> Pair:
    """Return whether two groups, each of which has a lock, can share one environment."""
    (a, a_lock), (b, b_lock) = sorted((first, second), key=lambda given: given[0].name)
    python = a_lock.interpreter.request
    finding = oracle.solve(frozenset(items_of(a)) | frozenset(items_of(b)))
    if not finding.solved:
        conflict = explain((a, b), oracle, finding, root)
        return Pair(groups=(a.name, b.name), python=python, conflict=conflict)
    return Pair(
        groups=(a.name, b.name),
        python=python,
        packages_saved=len(a_lock.packages) + len(b_lock.packages) - len(finding.packages),
        bytes_saved=_bytes_saved(sizes(a_lock), sizes(b_lock), finding.packages),
    )


def plain_conflicts(groups: Sequence[Group], interpreter: Interpreter, root: Path) -> tuple[str, ...]:
    """Say of each two groups whose texts alone exclude each other why, without asking anyone.

    Dependencies of dependencies are not looked at, so groups that are not named may still be in conflict.
    """
    sentences = []
    for a, b in combinations(sorted(groups, key=lambda group: group.name), 2):
        items = items_of(a) | items_of(b)
        met = contradiction((item.removeprefix(BOUND) for item in items), interpreter)
        asked = [items.get(text, items.get(BOUND + text)) for text in met]
        if found := [requirement for requirement in asked if requirement is not None]:
            found.sort(key=lambda r: (r.origin.path, r.origin.line or 0))
            sentences.append(f"{a.name} and {b.name}: {sentence(found, '', root)}")
    return tuple(sentences)


def _bytes_saved(a: Mapping[str, int], b: Mapping[str, int], together: Iterable[Package]) -> int | None:
    """Return the bytes of what two environments hold twice, and one would hold once."""
    if not a or not b:
        return None
    return sum(min(a[package.name], b[package.name]) for package in together if package.name in a and package.name in b)
