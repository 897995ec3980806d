"""Which notebook's requirement holds others of the same environment back at older versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envsolver.core.environments import Package
from envsolver.core.notebooks import Requirement
from envsolver.core.quantities import plural
from envsolver.resolver.demands import NotebookRequirements, merged
from envsolver.resolver.oracle import Oracle
from envsolver.resolver.requirement_text import BOUND, local_path, lowers, parse

MOST_QUESTIONS = 6
"""Bounds on more packages than these are looked at by notebook, and not by package."""

_SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldBack:
    """Requirements that hold versions back for notebooks that do not ask for them."""

    requirements: tuple[Requirement, ...]
    """The lines that bound, with their places."""
    packages: tuple[tuple[str, str, str], ...]
    """What is held back: name, the version that is installed, and the one that would be."""
    notebooks: tuple[str, ...]
    """The others that ask for what is held back, or for a local project, which may depend on it."""

    @property
    def sentence(self) -> str:
        """The one line for people."""
        lines = [f"{r.text} ({r.origin})" for r in self.requirements]
        held = [f"{name} ({version} instead of {newer})" for name, version, newer in self.packages]
        count = len(self.notebooks)
        verb = "holds" if len(lines) == 1 else "hold"
        return f"{_some(lines)} {verb} back {_some(held)} for {plural(count, 'other notebook')}"


def find_holds(
    demands: Sequence[NotebookRequirements], installed: Sequence[Package], oracle: Oracle
) -> tuple[HeldBack, ...]:
    """Return what is held back in one environment.

    Parameters
    ----------
    demands
        Those of the notebooks that share it.
    installed
        What it holds.
    """
    bounding = [r for r in merged(list(demands)) if lowers(r.text) and not all(r.text in d.items for d in demands)]
    everything = frozenset(r.text for demand in demands for r in demand.requirements)
    if not bounding or not _raised(everything, bounding, installed, oracle):
        return ()
    by_name: dict[str, list[Requirement]] = {}
    by_path: dict[str, list[Requirement]] = {}
    for requirement in bounding:
        by_name.setdefault(_name(requirement), []).append(requirement)
        by_path.setdefault(requirement.origin.path, []).append(requirement)
    sets = by_name if len(by_name) <= MOST_QUESTIONS else by_path
    return tuple(_holds(demands, everything, sets, installed, oracle))


def _holds(
    demands: Sequence[NotebookRequirements],
    everything: frozenset[str],
    sets: Mapping[str, list[Requirement]],
    installed: Sequence[Package],
    oracle: Oracle,
) -> Iterator[HeldBack]:
    for requirements in sets.values():
        raised = _raised(everything, requirements, installed, oracle)
        others = _others(demands, requirements, {name for name, _, _ in raised})
        if others:
            # What the lines name themselves says most.
            named = {_name(r) for r in requirements}
            raised.sort(key=lambda package: (package[0] not in named, package[0]))
            yield HeldBack(requirements=tuple(requirements), packages=tuple(raised), notebooks=others)


def _raised(
    everything: frozenset[str], bounding: Sequence[Requirement], installed: Sequence[Package], oracle: Oracle
) -> list[tuple[str, str, str]]:
    """Return the packages that would be newer without some requirements' bounds."""
    free = everything - {r.text for r in bounding} | {
        _without_bounds(r) for r in bounding if not r.text.startswith(BOUND)
    }
    newer = {package.name: package.version for package in oracle.solve(free).packages}
    return [(p.name, p.version, newer[p.name]) for p in installed if _is_older(p.version, newer.get(p.name, p.version))]


def _others(
    demands: Sequence[NotebookRequirements], requirements: Sequence[Requirement], held: set[str]
) -> tuple[str, ...]:
    """Return the notebooks that get older versions of what they ask for, and ask for none of the bounds themselves."""
    texts = {r.text for r in requirements}
    return tuple(
        demand.notebook
        for demand in demands
        if held
        and texts.isdisjoint(demand.items)
        and any(local_path(r.text) is not None or _name(r) in held for r in demand.requirements)
    )


def _without_bounds(requirement: Requirement) -> str:
    parsed = parse(requirement.text)
    if parsed is None:
        return requirement.text
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    marker = f"; {parsed.marker}" if parsed.marker else ""
    return f"{canonicalize_name(parsed.name)}{extras}{marker}"


def _name(requirement: Requirement) -> str:
    parsed = parse(requirement.text.removeprefix(BOUND))
    return str(canonicalize_name(parsed.name)) if parsed else requirement.text


def _is_older(version: str, other: str) -> bool:
    try:
        return Version(version) < Version(other)
    except InvalidVersion:
        return False


def _some(texts: Sequence[str]) -> str:
    """Return a few of the texts as a list in a sentence, and how many more there are."""
    if len(texts) > _SHOWN:
        return f"{', '.join(texts[:_SHOWN])} and {len(texts) - _SHOWN} more"
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
