"""Put requirement sets into the fewest environments that all solve.

Conflicts that the texts show cost nothing. The others are found lazily: the fewest environments are chosen under the
conflicts known so far, the oracle tries each, and what fails is narrowed to the few requirements that meet, which
rules out every combination that holds them. Known conflicts only ever rule out what cannot be, so the
first choice that solves throughout is the best there is; and far fewer questions are asked than for all pairs.
Of environments that could serve a set which bounds nothing from above, it gets the one with the fewest such bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from envsolver.resolver.colouring import fewest_parts
from envsolver.resolver.oracle import CachingOracle, Finding, Oracle, minimise
from envsolver.resolver.requirement_text import lowers

WORKERS = 8
"""How many questions wait for the registry side by side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One environment: all that it must hold, the sets that it serves, and what would be installed."""

    items: frozenset[str]
    sets: tuple[frozenset[str], ...]
    finding: Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """Requirement sets, put into the fewest environments."""

    parts: tuple[Part, ...]
    """The environments, in a stable order."""
    rejected: Mapping[frozenset[str], tuple[frozenset[str], Finding]]
    """Sets that have no solution by themselves, each with the few requirements that meet and the oracle's answer."""
    conflicts: Mapping[frozenset[str], Finding]
    """The least sets without a solution that were met, which is why the parts are apart, with the oracle's answers."""


def partition(sets: Iterable[frozenset[str]], oracle: Oracle, *, workers: int = WORKERS) -> Partition:
    """Put requirement sets into the fewest environments that all solve.

    The answer depends on the sets alone, not on their order nor on which question is answered first. It is the
    fewest for up to `colouring.EXACT` sets that do not hold each other, and mostly beyond.

    Parameters
    ----------
    oracle
        Asked from several threads, never twice the same.
    """
    asking = CachingOracle(oracle)
    wanted = sorted(set(sets), key=_order)
    conflicts: dict[frozenset[str], Finding] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        while True:
            alive = [s for s in wanted if not any(conflict <= s for conflict in conflicts)]
            largest = [s for s in alive if not any(s < other for other in alive)]
            groups = fewest_parts(largest, list(conflicts))
            unions = [frozenset().union(*group) for group in groups]
            findings = list(pool.map(asking.solve, unions))
            failed = [(g, u, f) for g, u, f in zip(groups, unions, findings, strict=True) if not f.solved]
            if not failed:
                break
            conflicts.update(pool.map(partial(_narrow, asking), failed))
        unions, findings = _gathered(groups, unions, findings, list(conflicts), asking)
    return Partition(
        parts=_fill(unions, findings, alive),
        rejected={s: _first(s, conflicts) for s in wanted if s not in alive},
        conflicts={least: conflicts[least] for least in sorted(conflicts, key=_order)},
    )


def _narrow(
    asking: CachingOracle, failed: tuple[Sequence[frozenset[str]], frozenset[str], Finding]
) -> tuple[frozenset[str], Finding]:
    """Return the fewest requirements of a failed union that still fail, and the oracle's answer to them."""
    group, union, finding = failed
    least, found = minimise(union, asking, finding, chunks=group)
    # A package that only some versions of can be built may fail in the union and not in its parts.
    return (union, finding) if found.solved else (least, found)


def _gathered(
    groups: Sequence[Sequence[frozenset[str]]],
    unions: list[frozenset[str]],
    findings: list[Finding],
    conflicts: Sequence[frozenset[str]],
    asking: CachingOracle,
) -> tuple[list[frozenset[str]], list[Finding]]:
    """Move sets that bound nothing from above to the environment that does so least, so that they get new versions."""
    home = min(range(len(unions)), key=lambda n: (_bounds(unions[n]), n), default=0)
    left = [list(group) for group in groups]
    for number in range(len(groups)):
        free = [s for s in left[number] if not _bounds(s) and not any(c <= unions[home] | s for c in conflicts)]
        if number == home or not free or len(free) == len(left[number]) or not _bounds(unions[number]):
            continue
        union = unions[home].union(*free)
        finding = asking.solve(union)
        rest = [s for s in left[number] if s not in free]
        alone = asking.solve(frozenset().union(*rest))
        if finding.solved and alone.solved:
            left[home], left[number] = [*left[home], *free], rest
            unions[home], findings[home] = union, finding
            unions[number], findings[number] = frozenset().union(*rest), alone
    order = sorted(range(len(unions)), key=lambda n: (_bounds(unions[n]), n))
    return [unions[n] for n in order], [findings[n] for n in order]


def _bounds(items: frozenset[str]) -> int:
    return sum(map(lowers, items))


def _fill(
    unions: Sequence[frozenset[str]], findings: Sequence[Finding], alive: Sequence[frozenset[str]]
) -> tuple[Part, ...]:
    """Put each set into the first environment that holds it; those with the fewest upper bounds come first."""
    homes: dict[frozenset[str], list[frozenset[str]]] = {union: [] for union in unions}
    for wanted in alive:
        homes[next(union for union in unions if wanted <= union)].append(wanted)
    return tuple(
        Part(items=union, sets=tuple(homes[union]), finding=finding)
        for union, finding in zip(unions, findings, strict=True)
    )


def _first(wanted: frozenset[str], conflicts: Mapping[frozenset[str], Finding]) -> tuple[frozenset[str], Finding]:
    least = min((conflict for conflict in conflicts if conflict <= wanted), key=_order)
    return least, conflicts[least]


def _order(items: frozenset[str]) -> tuple[int, list[str]]:
    return -len(items), sorted(items)
