"""A cluster's blocks as lines of the live view: which wait, which run, where, and for how long they still may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from envsolver.core.quantities import clock
from envsolver.core.results import Block
from envsolver.report.formatting import one_line
from envsolver.report.timeline import parse_time


def block_lines(blocks: Iterable[Block], now: datetime, room: int) -> list[str]:
    """Return a line for each block; one for all where there is no room for that, and none without a block.

    Parameters
    ----------
    now
        With a zone.
    room
        How many lines there may be.
    """
    blocks = tuple(blocks)
    if len(blocks) <= room:
        return [_line(block, now) for block in blocks]
    states = Counter(block.state for block in blocks)
    return [f"{len(blocks)} blocks: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))]


def _line(block: Block, now: datetime) -> str:
    name = one_line(f"block {block.name} of {block.profile}")
    asked, ends = parse_time(block.asked), parse_time(block.ends)
    if block.state == "queued":
        since = "" if asked is None else f" for {clock(max(0.0, (now - asked).total_seconds()))}"
        _, named, told = block.reason.partition(f" {block.name} ")  # whose name stands there already
        why = one_line(told if named else block.reason)
        return f"{name}: queued{since}" + (f"; {why}" if why else "")
    where = f" on {one_line(block.node)}" if block.node else ""
    left = "" if ends is None else f", {clock(max(0.0, (ends - now).total_seconds()))} left"
    return f"{name}: running{where}{left}"
