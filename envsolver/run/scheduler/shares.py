"""How many of a profile's blocks each environment gets: by the work that waits, and without needless moves.

A block serves one environment, and a new one waits in the cluster's queue. So an environment that has blocks keeps them
while it has work for them, unless others have far fewer for theirs. Shares go by the method of highest averages
(D'Hondt): each next block to whoever has the most work for each block that it then would have.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from envsolver.core.environments import Target
from envsolver.run.scheduler.policy import Budget

SLACK = 1.25
"""An environment with more than this times its share gives blocks up although it has work for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The work of an environment that waits and runs: how many jobs, and their seconds by history."""

    jobs: int
    seconds: float


@dataclass(kw_only=True, slots=True)
class Pool:
    """The workers of an environment under a profile, the targets that they serve, and how many blocks are theirs."""

    profile: str
    targets: set[Target] = field(default_factory=set)
    blocks: int = 0


class OpenPools:
    """The pools of workers that were asked for, by what they are called.

    Parameters
    ----------
    budgets
        What running jobs may use together, by profile.
    """

    def __init__(self, budgets: Mapping[str, Budget]) -> None:
        self._budgets = budgets
        self._pools: dict[str, Pool] = {}

    def add(self, name: str, profile: str, target: Target) -> bool:
        """Note that a pool serves a target, as no other does any more, and return whether the pool is new.

        A target has another one when its environment turns out to be another than was meant.
        """
        for pool in self._pools.values():
            pool.targets.discard(target)
        is_new = name not in self._pools
        self._pools.setdefault(name, Pool(profile=profile)).targets.add(target)
        return is_new

    def under(self, profile: str, ready: Collection[Target]) -> Iterator[tuple[str, list[Target]]]:
        """Yield each pool of a profile with those of its targets that are ready, if any is."""
        for name, pool in self._pools.items():
            targets = [target for target in pool.targets if target in ready]
            if pool.profile == profile and targets:
                yield name, targets

    def share(self, profile: str, demand: Mapping[str, Demand]) -> None:
        """Share a profile's blocks among its pools that have work."""
        budget = self._budgets[profile]
        held = {name: pool.blocks for name, pool in self._pools.items() if pool.profile == profile}
        shares = share_blocks(demand, held, budget.blocks, budget.block_size)
        for name in held:
            self._pools[name].blocks = shares.get(name, 0)

    def places(self, name: str) -> int:
        """Return how many jobs a pool may run at once."""
        pool = self._pools[name]
        return pool.blocks * self._budgets[pool.profile].block_size


def share_blocks(demand: Mapping[str, Demand], held: Mapping[str, int], blocks: int, size: int) -> dict[str, int]:
    """Return how many blocks each pool may have.

    Parameters
    ----------
    held
        How many each had so far.
    blocks, size
        How many blocks there may be, and how many jobs one runs at once.
    """
    able = {name: math.ceil(each.jobs / size) for name, each in demand.items() if each.jobs}
    whole = sum(demand[name].seconds for name in able) or 1.0
    # A pool whose work is nothing beside that of the others may have one block, too.
    most = {name: max(1, math.ceil(SLACK * blocks * demand[name].seconds / whole)) for name in able}
    shares = {name: min(held.get(name, 0), able[name], most[name]) for name in able}
    free = blocks - sum(shares.values())
    # Who has none comes first; a pool with the more work before others.
    waiting = [(_claim(demand[name], shares[name]), name) for name in able if shares[name] < able[name]]
    heapq.heapify(waiting)
    while free > 0 and waiting:
        _, name = heapq.heappop(waiting)
        shares[name] += 1
        free -= 1
        if shares[name] < able[name]:
            heapq.heappush(waiting, (_claim(demand[name], shares[name]), name))
    return shares


def _claim(demand: Demand, share: int) -> tuple[bool, float]:
    """Return what the strongest claim on the next block is the least of."""
    return share > 0, -demand.seconds / (share + 1)
