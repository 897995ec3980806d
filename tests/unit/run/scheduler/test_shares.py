"""Promise: environments share a cluster's blocks by their work, and keep them as long as they have work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_cluster import World, simulate

from envsolver.core.environments import Target
from envsolver.run.scheduler.policy import Budget
from envsolver.run.scheduler.shares import Demand, OpenPools, share_blocks


def work(**seconds: float) -> dict[str, Demand]:
    return {name: Demand(jobs=1000, seconds=each) for name, each in seconds.items()}


@pytest.mark.parametrize(
    ("seconds", "held", "blocks", "shares"),
    [
        ({"a": 60.0, "b": 30.0, "c": 10.0}, {}, 10, {"a": 6, "b": 3, "c": 1}),
        ({"a": 1000.0, "b": 1.0}, {}, 10, {"a": 9, "b": 1}),  # nobody with work has nothing
        ({"a": 50.0, "b": 50.0}, {"a": 6, "b": 4}, 10, {"a": 6, "b": 4}),  # not worth a move
        ({"a": 50.0, "b": 50.0}, {"a": 10}, 10, {"a": 7, "b": 3}),  # far too many
        ({"a": 50.0, "b": 50.0}, {"a": 1}, 1, {"a": 1, "b": 0}),  # a single block moves when its work is done
        ({"b": 50.0}, {"a": 1}, 1, {"b": 1}),
    ],
)
def test_blocks_go_by_the_work_but_not_to_and_fro(
    seconds: dict[str, float], held: dict[str, int], blocks: int, shares: dict[str, int]
) -> None:
    assert share_blocks(work(**seconds), held, blocks, 4) == shares


def test_no_environment_has_more_blocks_than_jobs_for_them() -> None:
    demand = {"a": Demand(jobs=5, seconds=900.0), "b": Demand(jobs=100, seconds=100.0)}
    assert share_blocks(demand, {}, 10, 4) == {"a": 2, "b": 8}


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.builds(Demand, jobs=st.integers(0, 50), seconds=st.floats(0, 1e4))),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5)),
    st.integers(1, 30),
    st.integers(1, 8),
)
def test_all_blocks_that_serve_anybody_are_shared_out(
    demand: dict[str, Demand], held: dict[str, int], blocks: int, size: int
) -> None:
    if sum(held.values()) > blocks:
        held = {}
    shares = share_blocks(demand, held, blocks, size)
    needed = sum(-(-each.jobs // size) for each in demand.values())
    assert sum(shares.values()) == min(blocks, needed)
    assert all(shares[name] <= -(-demand[name].jobs // size) for name in shares)


def test_a_pool_without_work_has_no_places() -> None:
    pools = OpenPools({"p": Budget(slots=8, cores=8, memory=8, blocks=2, block_size=4)})
    first, second = Target("one", "3.11"), Target("two", "3.11")
    assert [pools.add("a", "p", first), pools.add("a", "p", second), pools.add("b", "p", second)] == [True, False, True]
    assert dict(pools.under("p", [first, second])) == {"a": [first], "b": [second]}
    pools.share("p", {"a": Demand(jobs=9, seconds=9.0)})
    assert (pools.places("a"), pools.places("b")) == (8, 0)
    pools.share("p", {"b": Demand(jobs=1, seconds=1.0)})
    assert (pools.places("a"), pools.places("b")) == (0, 4)


SMALL = World(jobs=400, nodes=8, workers=2, walltime=600.0, longest=300.0, deaths=0.1)


@pytest.mark.parametrize("environments", [1, 5])
def test_on_a_made_up_cluster_nothing_is_lost(environments: int) -> None:
    found = simulate(replace(SMALL, environments=environments))
    assert {result.status for result in found.outcome.results} == {"passed"}
    assert len({result.notebook for result in found.outcome.results}) == 400
    assert found.lost > 0
    assert found.handed_back > 0
    assert found.seconds >= found.bound
