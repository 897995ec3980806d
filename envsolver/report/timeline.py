"""Where each job stands on a run's timeline: pure arithmetic, in seconds since the run's start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from envsolver.core.results import Result, Run

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
class Timeline:
    """The jobs of a run in as many lanes as jobs could run at once."""

    seconds: float
    """Length of the time axis."""
    lanes: tuple[tuple[Bar, ...], ...]
    """The bars of each lane, in time."""
    ticks: tuple[float, ...]
    """Where the axis has its marks."""

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
    return Timeline(seconds=seconds, lanes=_lanes(bars, run.workers), ticks=_ticks(seconds))


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
