"""Requirement sets share the fewest environments, whatever their order, and no question is asked twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from zlib import crc32

import pytest
from fakes import excluding
from hypothesis import given, settings
from hypothesis import strategies as st

from envsolver.resolver.colouring import fewest_parts
from envsolver.resolver.oracle import CachingOracle, Finding, minimise
from envsolver.resolver.partition import Partition, partition

Items = frozenset[str]


def sets(*texts: str) -> list[Items]:
    return [frozenset(text.split()) for text in texts]


def partitions(things: Sequence[Items]) -> Iterator[list[list[Items]]]:
    """Yield every way to put things into parts."""
    if not things:
        yield []
        return
    first, rest = things[0], things[1:]
    for parts in partitions(rest):
        yield [[first], *parts]
        for index in range(len(parts)):
            yield [*parts[:index], [first, *parts[index]], *parts[index + 1 :]]


def fewest(wanted: Iterable[Items], conflicts: Sequence[Items]) -> int:
    """Return the fewest environments, by trying every way."""
    alive = [s for s in set(wanted) if not any(conflict <= s for conflict in conflicts)]
    sizes = [
        len(parts)
        for parts in partitions(alive)
        if not any(conflict <= frozenset().union(*part) for part, conflict in product(parts, conflicts))
    ]
    return min(sizes, default=0)


ITEMS = st.sampled_from("abcdefgh")
SETS = st.lists(st.frozensets(ITEMS, min_size=1, max_size=4), min_size=0, max_size=6)
CONFLICTS = st.lists(st.frozensets(ITEMS, min_size=1, max_size=3), max_size=5)


@given(wanted=SETS, conflicts=CONFLICTS, hints=st.booleans())
@settings(max_examples=150)
def test_every_solvable_set_has_an_environment_that_solves_and_they_are_the_fewest(
    wanted: list[Items], conflicts: list[Items], hints: bool
) -> None:
    oracle = excluding(conflicts, hints=hints)
    found = partition(wanted, oracle)
    placed = [s for part in found.parts for s in part.sets]
    assert sorted([*placed, *found.rejected], key=sorted) == sorted(set(wanted), key=sorted)
    for part in found.parts:
        assert not any(conflict <= part.items for conflict in conflicts)
        assert part.items == frozenset().union(*part.sets)
        assert part.finding.solved
    for rejected, (least, _) in found.rejected.items():
        assert least <= rejected
    assert len(found.parts) == fewest(wanted, conflicts)
    assert len(oracle.asked) == len(set(oracle.asked))


@given(wanted=SETS, conflicts=CONFLICTS, shuffled=st.randoms())
@settings(max_examples=60)
def test_the_order_of_the_sets_changes_nothing(wanted: list[Items], conflicts: list[Items], shuffled: object) -> None:
    def summary(found: Partition) -> object:
        return [(part.items, part.sets) for part in found.parts], list(found.conflicts), set(found.rejected)

    other = [*wanted, *wanted]
    shuffled.shuffle(other)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    one = partition(wanted, excluding(conflicts), workers=1)
    assert summary(one) == summary(partition(other, excluding(conflicts), workers=8))


@given(items=st.frozensets(ITEMS, min_size=1), conflicts=CONFLICTS, hints=st.booleans())
@settings(max_examples=150)
def test_a_narrowed_conflict_has_no_solution_and_every_smaller_part_has(
    items: Items, conflicts: list[Items], hints: bool
) -> None:
    oracle = excluding(conflicts, hints=hints)
    whole = oracle.solve(items)
    if whole.solved:
        return
    least, finding = minimise(items, CachingOracle(excluding(conflicts, hints=hints)), whole)
    assert not finding.solved
    assert least <= items
    assert not oracle.solve(least).solved
    assert all(oracle.solve(least - {item}).solved for item in least)


def test_a_notebook_that_asks_for_nothing_is_rejected_where_not_even_nothing_has_a_solution() -> None:
    class Refusing:
        def solve(self, _: Items) -> Finding:
            return Finding(solved=False, explanation="File not found")

    found = partition(sets("", "a"), Refusing())
    assert found.parts == ()
    assert set(found.rejected) == set(sets("", "a"))


@given(wanted=SETS, salt=st.integers(0, 1000))
@settings(max_examples=100)
def test_an_oracle_that_contradicts_itself_still_gets_parts_that_it_has_solved(wanted: list[Items], salt: int) -> None:
    class Fickle:
        def solve(self, items: Items) -> Finding:
            return Finding(solved=crc32(f"{salt}{sorted(items)}".encode()) % 3 > 0, explanation="no")

    found = partition(wanted, Fickle())
    assert all(part.finding.solved for part in found.parts)
    assert all(not finding.solved for _, finding in found.rejected.values())
    assert {s for part in found.parts for s in part.sets} | set(found.rejected) == set(wanted)


def test_without_conflicts_one_environment_and_one_question_suffice() -> None:
    oracle = excluding([])
    found = partition(sets("a b", "c", "b", "d e"), oracle)
    assert [part.items for part in found.parts] == sets("a b c d e")
    assert len(oracle.asked) == 1


def test_no_sets_need_no_environment_and_no_question() -> None:
    oracle = excluding([])
    assert partition([], oracle).parts == ()
    assert not oracle.asked


def test_three_sets_that_only_conflict_all_together_need_two_environments() -> None:
    found = partition(sets("a", "b", "c"), excluding(sets("a b c")))
    assert len(found.parts) == 2
    assert list(found.conflicts) == [frozenset("abc")]


def test_a_set_without_a_solution_is_rejected_with_the_few_that_meet_and_keeps_no_other_out() -> None:
    found = partition(sets("a b x", "a b", "c"), excluding(sets("a x")))
    assert [part.items for part in found.parts] == sets("a b c")
    assert found.rejected[frozenset("abx")][0] == frozenset("ax")


@pytest.mark.parametrize("hints", [True, False])
def test_a_hundred_notebooks_with_twelve_sets_and_three_conflicts_take_at_most_sixty_questions(hints: bool) -> None:
    distinct = [frozenset({f"own{n}", f"shared{n % 4}", "numpy", "scipy", f"more{n}"}) for n in range(12)]
    oracle = excluding(sets("own0 own1", "own2 own7", "own3 own11"), hints=hints)
    found = partition([distinct[n % 12] for n in range(100)], oracle)
    assert len(found.parts) == 2
    assert len(oracle.asked) <= 60


def test_many_conflicts_are_met_with_fewer_questions_than_there_are_pairs() -> None:
    distinct = [frozenset({f"numpy=={n % 3}", f"own{n}"}) for n in range(12)]
    oracle = excluding(sets("numpy==0 numpy==1", "numpy==0 numpy==2", "numpy==1 numpy==2"))
    assert len(partition(distinct, oracle).parts) == 3
    assert len(oracle.asked) <= 66


@pytest.mark.parametrize("count", [11, 30])
def test_beyond_the_exact_limit_the_parts_are_still_valid(count: int) -> None:
    distinct = [frozenset({f"a{n}"}) for n in range(count)]
    ring = [frozenset({f"a{n}", f"a{(n + 1) % count}"}) for n in range(count)]
    parts = fewest_parts(distinct, ring)
    assert sorted(map(sorted, (s for part in parts for s in part))) == sorted(map(sorted, distinct))
    assert not any(conflict <= frozenset().union(*part) for part, conflict in product(parts, ring))
    assert len(parts) <= 3


def test_what_bounds_nothing_goes_where_the_fewest_bounds_are() -> None:
    oracle = excluding(sets("numpy<2 numpy>=2", "numpy<2 new"))
    wanted = sets("numpy<2 pandas<3", "numpy>=2", "numpy scipy", "numpy", "numpy six", "numpy new", "idna==3 numpy<2")
    found = partition(wanted, oracle)
    free, bounded = found.parts
    assert set(bounded.sets) == set(sets("numpy<2 pandas<3", "idna==3 numpy<2"))
    assert set(free.sets) == set(sets("numpy>=2", "numpy scipy", "numpy", "numpy six", "numpy new"))
    assert bounded.items == frozenset({"numpy<2", "pandas<3", "idna==3"})
    assert [package.name for package in free.finding.packages] == sorted(free.items)


def test_what_cannot_be_moved_together_stays_where_it_solves() -> None:
    oracle = excluding(sets("a<1 a>=1", "b c a>=1"))
    found = partition(sets("a<1 d", "a>=1 d e", "b", "c"), oracle)
    assert len(found.parts) == 2
    assert all(part.finding.solved for part in found.parts)


def test_an_answer_that_follows_from_earlier_ones_is_not_asked() -> None:
    oracle = excluding(sets("a b"))
    deducing = CachingOracle(oracle, solvable=[frozenset("cd")])
    deducing.solve(frozenset("ab"))
    deducing.solve(frozenset("ace"))
    assert not deducing.solvable(frozenset("abc"))
    assert deducing.solvable(frozenset("ce"))
    assert deducing.solvable(frozenset("d"))
    assert len(oracle.asked) == 2


def test_an_oracle_that_fails_makes_the_partition_fail() -> None:
    class Broken:
        def solve(self, items: Items) -> Finding:
            raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        partition(sets("a", "b"), Broken())
