"""The live view: what it knows of a run, and how that is drawn on a terminal of any size.

Nothing here writes: it turns values into text, so that it can be tested without a terminal.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.core.jobs import Job
from envsolver.core.quantities import clock
from envsolver.core.results import Block, BlockKey, Result, ResultKey
from envsolver.report.block_lines import block_lines
from envsolver.report.formatting import columns, fitted, one_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

LEAST_WHY = 16
"""Columns beside a notebook's name from which the view tells why it runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedJob:
    """A job that was sent to a worker and has no verdict yet.

    `began` is a time of `ProgressState.clock`; None while its worker is still starting, which is no time of the
    notebook's.
    """

    job: Job
    expected: float | None
    began: float | None = None


def has_begun(job: Job) -> bool:
    """Whether a worker has taken up a job: its log is there. On a second attempt it always is, and so are workers."""
    return Path(job.run_dir, job.log).exists()


class Pace:
    """How long finished jobs took, beside what their history had promised."""

    def __init__(self) -> None:
        self.took = 0.0
        self._compared = 0.0
        self._expected = 0.0

    def add(self, seconds: float, expected: float | None) -> None:
        """Count a job that has finished."""
        self.took += seconds
        if expected:
            self._compared += seconds
            self._expected += expected

    def factor(self, work: float) -> float:
        """Return what to correct the expected seconds of a run by, the nearer to 1 the less of its work is done."""
        if not self._expected or not work:
            return 1.0
        return 1.0 + min(1.0, self._expected / work) * (self._compared / self._expected - 1.0)


class ProgressState:
    """What the live view knows: counts, running jobs, and how the run compares with its history.

    Parameters
    ----------
    clock
        Returns seconds that only grow.
    begun
        Returns whether a job that was sent is being worked on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, begun: Callable[[Job], bool] = has_begun) -> None:
        self.clock = clock
        self._begun = begun
        self.begun = clock()
        self.total: dict[str, int] = {}
        self.workers = 1
        self.several_pythons = False
        self.expected: float | None = None
        self.running: dict[ResultKey, WatchedJob] = {}
        self.done: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.blocks: dict[BlockKey, Block] = {}
        self._pace = Pace()

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None, pythons: Sequence[str] = ()
    ) -> None:
        """Start the clock."""
        self.several_pythons = len(pythons) > 1
        for group, count in total.items():
            self.total[group] = self.total.get(group, 0) + count
        self.workers = workers
        self.expected = expected
        self.begun = self.clock()

    def start(self, job: Job, expected: float | None) -> None:
        """Take note of a job that was sent."""
        self.running[job.key] = WatchedJob(job=job, expected=expected)

    def note_block(self, block: Block) -> None:
        """Take note of what has become of a block; one that has ended is not shown."""
        self.blocks.pop(block.key, None)
        if block.state != "ended":
            self.blocks[block.key] = block

    def refresh(self) -> None:
        """See which jobs have begun since the last refresh."""
        for key, running in self.running.items():
            if running.began is None and self._begun(running.job):
                self.running[key] = replace(running, began=self.clock())

    def finish(self, result: Result) -> None:
        """Take note of a verdict."""
        running = self.running.pop(result.key, None)
        self.done[result.group] += 1
        self.bad[result.group] += not result.good
        if running:
            self._pace.add(result.seconds, running.expected)

    def spent(self, running: WatchedJob) -> float:
        """Return the seconds since a job has begun; 0 while its worker is starting."""
        return 0.0 if running.began is None else self.clock() - running.began

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self.begun

    @property
    def goal(self) -> int:
        """How many verdicts there will be, as far as is known."""
        return max(sum(self.total.values()), self.done.total() + len(self.running))

    def remaining(self) -> float | None:
        """Return the seconds that the run still needs, by its history; None without a history.

        The expected time is corrected by how the finished jobs compared with their own history, the more the
        greater their part of the work. Only work brings the end nearer: while environments are built and workers
        start, it stands still. It is never less than what the running jobs still need.
        """
        if self.expected is None:
            return None
        pace = self._pace.factor(self.expected * self.workers)
        waits = [
            max(0.0, running.expected * pace - self.spent(running))
            for running in self.running.values()
            if running.expected is not None
        ]
        if self.done.total() + len(self.running) >= self.goal and len(waits) == len(self.running):
            return max(waits, default=0.0)
        work = self._pace.took + sum(map(self.spent, self.running.values()))
        return max(0.0, self.expected * pace - work / self.workers, *waits)


def live_view(state: ProgressState, width: int, height: int) -> Group:
    """Return the live view for a terminal of `width` columns and `height` lines: never more than fits."""
    from rich.console import Group

    groups = [group for group in state.total if state.total[group]]
    # One line for the bar, one for what is left out, one for the cursor.
    room = max(1, height - 3)
    blocks = block_lines(state.blocks.values(), datetime.now(timezone.utc), room // 3)
    room = max(1, room - len(blocks))
    lines: list[Text] = []
    if len(groups) + len(state.running) <= room:
        for group in groups:
            jobs = [running for running in state.running.values() if running.job.group == group]
            if jobs or state.done[group] < state.total[group]:
                lines.append(_group_line(state, group, width, max(len(group or "no group") for group in groups)))
            lines += [_job_line(state, job, width) for job in jobs]
    else:
        jobs = sorted(state.running.values(), key=state.spent, reverse=True)
        lines = [_job_line(state, job, width) for job in jobs[:room]]
        if len(jobs) > room:
            lines.append(_text(f"  … and {len(jobs) - room} more running", "dim"))
    return Group(*(_text(fitted(line, width), "dim") for line in blocks), *lines, _bar_line(state, width))


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="crop")


def _group_line(state: ProgressState, group: str, width: int, name_width: int) -> Text:
    done, bad, total = state.done[group], state.bad[group], state.total[group]
    room = min(name_width, max(8, width - 24))
    line = _text("")
    line.append(fitted(group or "no group", room), "bold")
    line.append(f"  {f'{done}/{max(total, done)}':>7}", "dim")
    if bad:
        line.append(f"  {bad} failed", "red")
    return line


def _job_line(state: ProgressState, running: WatchedJob, width: int) -> Text:
    spent, expected = state.spent(running), running.expected
    times = "starting" if running.began is None else clock(spent)
    if expected is not None:
        times += f" / {clock(expected)}"
    late = expected is not None and spent > 1.5 * expected + 2
    times = f"{times:>13}"
    if state.several_pythons:
        times = f"  {running.job.python}{times}"
    room = max(1, width - len(times) - 3)
    name, why = one_line(running.job.notebook), f"  {one_line(running.job.why)}" if running.job.why else ""
    beside = max(0, room - columns(name))
    if beside < LEAST_WHY:
        why = ""
    line = _text(f"  {fitted(name, room - beside if why else room)}")
    line.append(fitted(why, beside) if why else "", "dim")
    line.append(times, "yellow" if late else "dim")
    return line


def _bar_line(state: ProgressState, width: int) -> Text:
    done, goal, bad = state.done.total(), state.goal, state.bad.total()
    remaining = state.remaining()
    left = "" if remaining is None else f"  about {clock(remaining)} left"
    failed = f"  {bad} failed" if bad else ""
    words = f"  {done}/{goal}{failed}  {clock(state.elapsed)}{left}"
    # The cursor waits behind this line, where a terminal echoes ^C: that must not begin a new line.
    length = max(0, min(40, width - len(words) - 3))
    full = length * done // goal if goal else 0
    line = _text("")
    line.append("━" * full, "red" if bad else "green")
    line.append("━" * (length - full), "bright_black")
    line.append(f"  {done}/{goal}", "bold")
    line.append(failed, "bold red")
    line.append(f"  {clock(state.elapsed)}{left}", "dim")
    return line
