"""A cluster of made-up nodes in one process, with a clock of its own: queue waits, walltimes, and nodes that die.

The scheduling is the real one, and so are the bound on blocks and the rule by which a worker hands a notebook back.
Made up are the scheduler of the cluster, the notebooks, and, in a few lines, what Parsl does: it asks for blocks as
work waits, sends each job to a worker that is free, and gives idle blocks back.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from fakes import FakeProgress, job
from parsl.jobs.states import JobState, JobStatus

from envsolver.core.environments import Environment, Target
from envsolver.core.errors import HandedBackError
from envsolver.core.jobs import Cost, Job, Limits
from envsolver.core.results import Result
from envsolver.run.parsl import cluster
from envsolver.run.parsl.blocks import BlockBudget, Blocks
from envsolver.run.parsl.task import BLOCK_BEGAN, BLOCK_SECONDS, hand_back
from envsolver.run.scheduler.clock import Clock
from envsolver.run.scheduler.events import EnvironmentReady
from envsolver.run.scheduler.outcome import RunOutcome
from envsolver.run.scheduler.policy import Budget, sort_jobs
from envsolver.run.scheduler.protocols import PoolRequest
from envsolver.run.scheduler.scheduler import Scheduler

T = TypeVar("T")

PROFILE = "simulated"
LOOK_SECONDS = 1.0
"""How often it is looked whether blocks are to be asked for or given back."""


class SimulatedClock(Clock):
    """Time that jumps to what happens next."""

    def __init__(self) -> None:
        self.time = 0.0
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        """Return the seconds since the simulation began."""
        return self.time

    def at(self, time: float, call: Callable[[], object]) -> None:
        """Have something happen at a time."""
        heapq.heappush(self._calls, (time, next(self._numbers), call))

    def next(self, events: SimpleQueue[T], seconds: float) -> T:
        """Let happen what is due until there is an event, or until that many seconds have passed."""
        end = self.time + seconds
        while events.empty() and self._calls and self._calls[0][0] <= end:
            self.time, _, call = heapq.heappop(self._calls)
            call()
        if events.empty():
            self.time = end
        return events.get_nowait()


@dataclass(frozen=True, kw_only=True)
class World:
    """What is made up."""

    jobs: int = 10_000
    nodes: int = 100
    workers: int = 4
    environments: int = 8
    walltime: float = 1800.0
    mean_wait: float = 120.0
    deaths: float = 0.05
    """The part of the blocks whose node dies before they end."""
    start_seconds: float = 4.0
    """From a block's start until its workers are there."""
    longest: float = 900.0
    """What the longest notebook takes."""
    seed: int = 0


@dataclass
class _Block:
    """One node for a time."""

    slot: int
    pool: str
    began: float = 0.0
    idle_since: float = 0.0
    first: float | None = None
    running: dict[int, tuple[Job, Future[Result]]] = field(default_factory=dict)
    up: bool = False
    over: bool = False


class _Provider:
    """What Parsl's providers are, as far as `Blocks` looks."""

    label = "simulated"
    nodes_per_block = 1

    def __init__(self, simulated: SimulatedCluster, pool: str) -> None:
        self.resources: dict[int, dict[str, Any]] = {}
        self._simulated = simulated
        self._pool = pool

    def submit(self, command: str, tasks_per_node: int, job_name: str) -> int:
        return self._simulated.ask(self._pool, self)

    def status(self, ids: list[int]) -> list[JobStatus]:
        return [self.resources[each]["status"] for each in ids]

    def cancel(self, ids: list[int]) -> list[bool]:
        return [self._simulated.end(each, JobState.CANCELLED, "given back") for each in ids]


class SimulatedCluster:
    """Carries jobs in simulated time; the executor of the scheduling.

    Parameters
    ----------
    durations
        How long each job really takes, by its id.
    """

    def __init__(self, world: World, clock: SimulatedClock, durations: Mapping[str, float]) -> None:
        self._world, self._clock, self._durations = world, clock, durations
        self._budget = BlockBudget(world.nodes)
        self._pools: dict[str, Blocks] = {}
        self._queues: dict[str, deque[tuple[Job, Future[Result]]]] = {}
        self._blocks: dict[int, _Block] = {}
        self._numbers = itertools.count()
        self._free = list(range(world.nodes))
        # Each node has its own luck, so that what the waits allow does not depend on who asks when.
        self._luck = [random.Random(f"{world.seed} {slot}") for slot in range(world.nodes)]  # noqa: S311  no secret
        self.handed_back = self.lost = 0
        clock.at(LOOK_SECONDS, self._look)

    # What the scheduling asks.

    def open(self, key: str, pool: PoolRequest) -> None:
        self._pools[key] = Blocks(_Provider(self, key), self._budget, 1.0)
        self._queues[key] = deque()

    def submit(self, key: str, job: Job) -> Future[Result]:
        outcome: Future[Result] = Future()
        self._queues[key].append((job, outcome))
        self._deliver(key)
        return outcome

    def clear(self, job: Job) -> None:
        """Nothing is left of a job whose node died."""

    def broken(self) -> Mapping[str, str]:
        return {}

    def reopen(self, key: str) -> None:
        raise AssertionError(key)

    def close(self, *, gently: bool) -> None:
        self._budget.close()

    # What the cluster does.

    def ask(self, pool: str, provider: _Provider) -> int:
        """Queue a block."""
        number, slot = next(self._numbers), self._free.pop(0)
        provider.resources[number] = {"status": JobStatus(JobState.PENDING)}
        self._blocks[number] = _Block(slot=slot, pool=pool)
        wait = self._luck[slot].expovariate(1 / self._world.mean_wait)
        self._clock.at(self._clock.time + wait, lambda: self._start(number))
        return number

    def _start(self, number: int) -> None:
        block, world, now = self._blocks.get(number), self._world, self._clock.time
        if block is None or block.over:  # it was given back before it began
            return
        self._pools[block.pool].resources[number]["status"] = JobStatus(JobState.RUNNING)
        block.began = now
        luck = self._luck[block.slot]
        self._clock.at(now + world.walltime, lambda: self.end(number, JobState.TIMEOUT, "TIMEOUT"))
        if luck.random() < world.deaths:
            death = now + luck.uniform(world.start_seconds, world.walltime)
            self._clock.at(death, lambda: self.end(number, JobState.FAILED, "NODE_FAIL"))
        self._clock.at(now + world.start_seconds, lambda: self._is_up(number))

    def _is_up(self, number: int) -> None:
        block = self._blocks.get(number)
        if block is not None and not block.over:
            block.up, block.idle_since = True, self._clock.time
            self._deliver(block.pool)

    def end(self, number: int, state: JobState, words: str) -> bool:
        """End a block, whatever runs on it."""
        block = self._blocks.get(number)
        if block is None or block.over:
            return False
        block.over, block.up = True, False
        self._pools[block.pool].resources[number]["status"] = JobStatus(state)
        self._free.append(block.slot)
        for _, outcome in block.running.values():
            self.lost += 1
            outcome.set_exception(RuntimeError(words))
        block.running.clear()
        return True

    def _deliver(self, key: str) -> None:
        """Send what waits to workers that are free."""
        for number, block in self._blocks_of(key):
            while block.up and self._queues[key] and len(block.running) < self._world.workers:
                self._work(number, block, *self._queues[key].popleft())

    def _work(self, number: int, block: _Block, sent: Job, outcome: Future[Result]) -> None:
        now = self._clock.time
        environ = {BLOCK_BEGAN: str(block.began or 1e-9), BLOCK_SECONDS: str(self._world.walltime)}
        try:
            hand_back(sent, environ, now, block.first if block.first is not None else now)
        except HandedBackError as error:
            self.handed_back += 1
            outcome.set_exception(error)
            return
        block.first = now if block.first is None else block.first
        ticket = next(self._numbers)
        block.running[ticket] = (sent, outcome)
        self._clock.at(now + self._durations[sent.id], lambda: self._finish(number, ticket))

    def _finish(self, number: int, ticket: int) -> None:
        block = self._blocks.get(number)
        if block is None or ticket not in block.running:  # its node died
            return
        sent, outcome = block.running.pop(ticket)
        block.idle_since = self._clock.time
        outcome.set_result(
            Result(
                notebook=sent.notebook, group=sent.group, python=sent.python, status="passed",
                seconds=self._durations[sent.id], node=f"n{block.slot}", block=str(number),
            )
        )  # fmt: skip
        self._deliver(block.pool)

    # What Parsl's strategy does, about every second.

    def _look(self) -> None:
        for key, blocks in self._pools.items():
            running = sum(len(block.running) for _, block in self._blocks_of(key))
            outstanding = running + len(self._queues[key])
            blocks.wanted = outstanding > 0
            wanted = math.ceil(outstanding / self._world.workers)
            for _ in range(min(wanted, blocks.max_blocks) - len(blocks.active())):
                blocks.submit("", 1)
            limit = cluster.SHORT_IDLE_SECONDS if blocks.others_wait() else cluster.IDLE_SECONDS
            for number, block in tuple(self._blocks_of(key)):
                idle = block.up and not block.running and self._clock.time - block.idle_since > limit
                if idle and not self._queues[key]:
                    blocks.cancel([number])
        for number in [number for number, block in self._blocks.items() if block.over]:
            del self._blocks[number]
        self._clock.at(self._clock.time + LOOK_SECONDS, self._look)

    def _blocks_of(self, key: str) -> list[tuple[int, _Block]]:
        return [(number, block) for number, block in self._blocks.items() if block.pool == key]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What came of it."""

    outcome: RunOutcome
    seconds: float
    """When the last verdict was there, in simulated time."""
    bound: float
    """No earlier could it have been, by the waits and the walltimes."""
    handed_back: int
    lost: int
    """Attempts that a node took with it."""


def make_jobs(world: World) -> tuple[list[Job], dict[str, float], dict[str, Cost]]:
    """Make up notebooks, how long each takes, and what history says of that."""
    chance = random.Random(world.seed)  # noqa: S311  no secret
    jobs, durations, costs = [], {}, {}
    for number in range(world.jobs):
        name = f"j{number}"
        group = f"g{int(world.environments * chance.random() ** 2)}"
        jobs.append(job(name, group, profile=PROFILE, limits=Limits(timeout=1200.0)))
        durations[name] = min(world.longest, chance.lognormvariate(math.log(40.0), 1.0))
        costs[name] = Cost(seconds=durations[name] * chance.uniform(0.85, 1.15))
    return jobs, durations, costs


def bound_of(world: World, durations: Mapping[str, float]) -> float:
    """Return before when no way of scheduling could end: all nodes asked for at all times, and no moment lost."""
    work, longest = sum(durations.values()), max(durations.values())
    spans: list[tuple[float, float]] = []
    soonest = math.inf
    for slot in range(world.nodes):
        luck, now = random.Random(f"{world.seed} {slot}"), 0.0  # noqa: S311  no secret
        while now < 100 * world.walltime:
            now += luck.expovariate(1 / world.mean_wait)
            end = now + world.walltime
            if luck.random() < world.deaths:
                end = now + luck.uniform(world.start_seconds, world.walltime)
            soonest = min(soonest, now)
            spans.append((now, end))
            now = end

    def capacity(time: float) -> float:
        return world.workers * sum(max(0.0, min(end, time) - begin) for begin, end in spans if begin < time)

    low, high = 0.0, 100 * world.walltime
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (middle, high) if capacity(middle) < work else (low, middle)
    return max(low, soonest + longest)


def simulate(world: World) -> Simulation:
    """Run made-up notebooks on made-up nodes; nothing is waited for."""
    jobs, durations, costs = make_jobs(world)
    clock = SimulatedClock()
    simulated = SimulatedCluster(world, clock, durations)
    slots = world.nodes * world.workers
    budget = Budget(slots=slots, cores=10**9, memory=10**15, blocks=world.nodes, block_size=world.workers)
    scheduler = Scheduler(
        jobs=sort_jobs(jobs, costs, "longest"),
        executor=simulated,
        progress=FakeProgress(),
        slots=slots,
        budgets={PROFILE: budget},
        costs=costs,
        clock=clock,
    )
    for number in range(world.environments):
        environment = Environment(key=f"e{number}", group="", python="3.11", prefix=Path(f"/e{number}"))
        scheduler.post(EnvironmentReady(target=Target(f"g{number}", "3.11"), environment=environment))
    outcome = scheduler.run()
    return Simulation(
        outcome=outcome,
        seconds=clock.time,
        bound=bound_of(world, durations),
        handed_back=simulated.handed_back,
        lost=simulated.lost,
    )
