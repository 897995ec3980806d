"""The live view: what it knows of a run, and how that is drawn on a terminal of any size.

Nothing here writes: it turns values into text, so that it can be tested without a terminal.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envsolver.models import Job, Result
from envsolver.report.wording import clock, one_line, shorten

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningJob:
    """A job that has been started and has no verdict yet; times are of `Tally.clock`."""

    notebook: str
    group: str
    python: str
    started: float
    expected: float | None


class Tally:
    """What the live view knows: counts, running jobs, and how the run compares with its history.

    Parameters
    ----------
    clock
        Gives seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.begun = clock()
        self.total: dict[str, int] = {}
        self.workers = 1
        self.several_pythons = False
        self.expected: float | None = None
        self.running: dict[tuple[str, str], RunningJob] = {}
        self.done: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self._took = 0.0
        self._expected_of_done = 0.0

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
        """Take note of a running job."""
        self.running[job.notebook, job.python] = RunningJob(
            notebook=job.notebook, group=job.group, python=job.python, started=self.clock(), expected=expected
        )

    def finish(self, result: Result) -> None:
        """Take note of a verdict."""
        job = self.running.pop((result.notebook, result.python), None)
        self.done[result.group] += 1
        self.bad[result.group] += not result.good
        if job and job.expected:
            self._took += self.clock() - job.started
            self._expected_of_done += job.expected

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
        greater their part of the work. It is never less than what the running jobs still need.
        """
        if self.expected is None:
            return None
        now = self.clock()
        pace = 1.0
        if self._expected_of_done > 0 and self.expected > 0:
            weight = min(1.0, self._expected_of_done / (self.expected * self.workers))
            pace = 1.0 + weight * (self._took / self._expected_of_done - 1.0)
        waits = [job.expected * pace - (now - job.started) for job in self.running.values() if job.expected]
        return max(0.0, self.expected * pace - self.elapsed, *waits)


def live_view(tally: Tally, width: int, height: int) -> Group:
    """Return the live view for a terminal of `width` columns and `height` lines: never more than fits."""
    from rich.console import Group

    groups = [group for group in tally.total if tally.total[group]]
    # One line for the bar, one for what is left out, one for the cursor.
    room = max(1, height - 3)
    lines: list[Text] = []
    if len(groups) + len(tally.running) <= room:
        for group in groups:
            jobs = [job for job in tally.running.values() if job.group == group]
            if jobs or tally.done[group] < tally.total[group]:
                lines.append(_group_line(tally, group, width, max(len(group or "no group") for group in groups)))
            lines += [_job_line(tally, job, width) for job in jobs]
    else:
        jobs = sorted(tally.running.values(), key=lambda job: job.started)
        lines = [_job_line(tally, job, width) for job in jobs[:room]]
        if len(jobs) > room:
            lines.append(_text(f"  … and {len(jobs) - room} more running", "dim"))
    return Group(*lines, _bar_line(tally, width))


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="crop")


def _group_line(tally: Tally, group: str, width: int, name_width: int) -> Text:
    done, bad, total = tally.done[group], tally.bad[group], tally.total[group]
    room = min(name_width, max(8, width - 24))
    line = _text(f"{shorten(group or 'no group', room):{room}}", "bold")
    line.append(f"  {f'{done}/{max(total, done)}':>7}", "not bold dim")
    if bad:
        line.append(f"  {bad} failed", "not bold red")
    return line


def _job_line(tally: Tally, job: RunningJob, width: int) -> Text:
    times = clock(tally.clock() - job.started)
    if job.expected is not None:
        times += f" / {clock(job.expected)}"
    late = job.expected is not None and tally.clock() - job.started > 1.5 * job.expected + 2
    times = f"{times:>13}"
    if tally.several_pythons:
        times = f"  {job.python}{times}"
    room = max(1, width - len(times) - 3)
    line = _text(f"  {shorten(one_line(job.notebook), room):{room}}")
    line.append(times, "yellow" if late else "dim")
    return line


def _bar_line(tally: Tally, width: int) -> Text:
    done, goal, bad = tally.done.total(), tally.goal, tally.bad.total()
    remaining = tally.remaining()
    left = "" if remaining is None else f"  about {clock(remaining)} left"
    failed = f"  {bad} failed" if bad else ""
    words = f"  {done}/{goal}{failed}  {clock(tally.elapsed)}{left}"
    # The cursor waits behind this line, where a terminal echoes ^C: that must not begin a new line.
    length = max(0, min(40, width - len(words) - 3))
    full = length * done // goal if goal else 0
    line = _text("━" * full, "red" if bad else "green")
    line.append("━" * (length - full), "bright_black")
    line.append(f"  {done}/{goal}", "bold")
    line.append(failed, "bold red")
    line.append(f"  {clock(tally.elapsed)}{left}", "dim")
    return line
