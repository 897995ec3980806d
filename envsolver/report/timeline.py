"""Where each job stands on a run's timeline: pure arithmetic, in seconds since the run's start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from envsolver.core.results import Block, Result, Run

OVERLAP_SECONDS = 0.2
"""How much two jobs of one lane may overlap: a verdict is known a little after the next job has begun."""
TICKS = 8
"""About how many marks the time axis has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One job: its place in `Run.results`, when it began and how long it took."""

    index: int
    start: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """A block that waited in the scheduler's queue: when it was asked for, and for how long."""

    block: Block
    start: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """The jobs of a run in as many lanes as jobs could run at once; on a cluster, as each node had at once."""

    seconds: float
    """Length of the time axis."""
    lanes: tuple[tuple[Bar, ...], ...]
    """The bars of each lane, in time."""
    ticks: tuple[float, ...]
    """Where the axis has its marks."""
    names: tuple[str, ...] = ()
    """The place of each lane, such as a node; empty when there are none to tell apart."""
    waits: tuple[tuple[Wait, ...], ...] = ()
    """Of each lane, the blocks of its node that waited, in the first one of the node."""

    def busy(self, lane: int) -> float:
        """Return the part of the time during which a lane had work, 0 to 1."""
        return min(1.0, sum(bar.seconds for bar in self.lanes[lane]) / self.seconds)


def parse_time(text: str | None) -> datetime | None:
    """Return a time in ISO 8601; None if there is none, or no zone to compare it by."""
    try:
        # Python 3.10 does not know that Z stands for UTC.
        time = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else None


def timeline(run: Run) -> Timeline:
    """Lay out a run's jobs. Those that did not start in this run have no bar."""
    begun = parse_time(run.started)
    bars = []
    for index, result in enumerate(run.results):
        start = _start(result)
        if begun and start:
            bars.append(Bar(index=index, start=max(0.0, (start - begun).total_seconds()), seconds=result.seconds))
    seconds = max([run.wall_seconds, 1e-3, *(bar.start + bar.seconds for bar in bars)])
    if begun is None or not run.blocks:
        return Timeline(seconds=seconds, lanes=_lanes(bars, run.workers), ticks=_ticks(seconds))
    return _placed(run, bars, _waits(run, begun, seconds), seconds)


def _placed(run: Run, bars: Sequence[Bar], waits: Mapping[str, Sequence[Wait]], seconds: float) -> Timeline:
    """Lay out the jobs of a run on a cluster, node by node, those of this machine last."""
    by_node: dict[str, list[Bar]] = {node: [] for node in sorted(waits)}
    for bar in bars:
        by_node.setdefault(run.results[bar.index].node, []).append(bar)
    lanes: list[tuple[Bar, ...]] = []
    names: list[str] = []
    laid: list[tuple[Wait, ...]] = []
    for node in sorted(by_node, key=lambda name: (not name, name)):
        own = _lanes(by_node[node], 0) or ((),)
        lanes += own
        names += [node or "here"] * len(own)
        laid += [tuple(waits.get(node, ())), *[()] * (len(own) - 1)]
    return Timeline(seconds=seconds, lanes=tuple(lanes), ticks=_ticks(seconds), names=tuple(names), waits=tuple(laid))


def _waits(run: Run, begun: datetime, seconds: float) -> dict[str, list[Wait]]:
    """Return how long blocks waited, by the node that they got; one that got none waited in the queue to its end."""
    found: dict[str, list[Wait]] = {}
    for block in run.blocks:
        asked, until = parse_time(block.asked), parse_time(block.started or block.ended)
        if asked is not None:
            start = max(0.0, (asked - begun).total_seconds())
            end = seconds if until is None else (until - begun).total_seconds()
            wait = Wait(block=block, start=start, seconds=max(0.0, min(end, seconds) - start))
            found.setdefault(block.node or "queue", []).append(wait)
    return found


def _start(result: Result) -> datetime | None:
    return None if result.status == "cached" else parse_time(result.started)


def _lanes(bars: Sequence[Bar], workers: int) -> tuple[tuple[Bar, ...], ...]:
    """Put each bar in the first lane that is free; lanes that never had work are kept, since they were idle."""
    lanes: list[list[Bar]] = [[] for _ in range(workers)] if bars else []
    for bar in sorted(bars, key=lambda bar: bar.start):
        for lane in lanes:
            if not lane or lane[-1].start + lane[-1].seconds <= bar.start + OVERLAP_SECONDS:
                lane.append(bar)
                break
        else:
            lanes.append([bar])
    return tuple(tuple(lane) for lane in lanes)


def _ticks(seconds: float) -> tuple[float, ...]:
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((step for step in steps if seconds / step <= TICKS), 7200.0)
    return tuple(step * number for number in range(int(seconds / step) + 1))
