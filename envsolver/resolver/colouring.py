"""The fewest parts of some sets such that no part's union holds a conflict: the pure, exact or greedy, choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

EXACT = 10
"""Up to so many sets the choice is the fewest possible, whatever it takes."""

_STEPS = 20_000
"""Beyond, so many steps are spent on a choice better than the greedy one."""


def fewest_parts(
    sets: Sequence[frozenset[str]], conflicts: Sequence[frozenset[str]]
) -> tuple[tuple[frozenset[str], ...], ...]:
    """Return the sets in the fewest parts such that no part's union holds a conflict.

    Exact for up to `EXACT` sets; beyond, greedy and then improved within a number of steps. The same sets, in whatever
    order, give the same parts.

    Parameters
    ----------
    sets
        None of them holds a conflict.
    """
    search = _Search(sets, conflicts)
    best = search.greedy()
    least = search.at_least()
    while len(best) > least:
        better = search.within(len(best) - 1)
        if better is None:
            break
        best = better
    return tuple(tuple(search.sets[index] for index in part) for part in best)


@dataclass
class _Search:
    """Sets and conflicts as bit masks, the sets with the most conflicts first."""

    given: Sequence[frozenset[str]]
    conflicts: Sequence[frozenset[str]]
    sets: list[frozenset[str]] = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        bits = {item: 1 << n for n, item in enumerate(sorted({item for s in self.given for item in s}))}
        # A conflict with an item that no set has is met by none.
        self._masks = [sum(bits[i] for i in c) for c in self.conflicts if all(i in bits for i in c)]
        touched = {s: sum(bool(set(c) & s) for c in self.conflicts) for s in self.given}
        self.sets = sorted(self.given, key=lambda s: (-touched[s], -len(s), sorted(s)))
        self._bits = [sum(bits[item] for item in s) for s in self.sets]

    def greedy(self) -> list[list[int]]:
        """Put each set into the first part that can take it."""
        parts: list[list[int]] = []
        unions: list[int] = []
        for index, mask in enumerate(self._bits):
            for number, union in enumerate(unions):
                if self._fits(union | mask):
                    parts[number].append(index)
                    unions[number] |= mask
                    break
            else:
                parts.append([index])
                unions.append(mask)
        return parts

    def at_least(self) -> int:
        """Return a number of parts that is needed: sets found greedily of which no two can be together."""
        apart: list[int] = []
        for mask in self._bits:
            if all(not self._fits(mask | other) for other in apart):
                apart.append(mask)
        return len(apart)

    def within(self, limit: int) -> list[list[int]] | None:
        """Return the sets in at most `limit` parts, or None when that was not found."""
        self.steps = 0
        return self._place(0, [], [], limit)

    def _place(self, index: int, parts: list[list[int]], unions: list[int], limit: int) -> list[list[int]] | None:
        if index == len(self._bits):
            return [list(part) for part in parts]
        self.steps += 1
        if self.steps > _STEPS and len(self._bits) > EXACT:
            return None
        mask = self._bits[index]
        for number, union in enumerate(unions):
            if self._fits(union | mask):
                parts[number].append(index)
                unions[number] |= mask
                found = self._place(index + 1, parts, unions, limit)
                parts[number].pop()
                unions[number] = union
                if found is not None:
                    return found
        if len(parts) < limit:
            found = self._place(index + 1, [*parts, [index]], [*unions, mask], limit)
            if found is not None:
                return found
        return None

    def _fits(self, union: int) -> bool:
        return not any(union & mask == mask for mask in self._masks)
