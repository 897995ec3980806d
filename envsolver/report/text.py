"""The report at a run's end, in the manner of unittest: plain lines, with or without colours.

It is built by pure functions, so that it can be tested without a terminal. Colours are the terminal's
own sixteen, so that they suit any background.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from envsolver.core.paths import REPORT, RESULTS
from envsolver.core.quantities import duration, plural
from envsolver.core.results import Failure, Result, Run
from envsolver.report.formatting import keep_colours, one_line, strip_ansi
from envsolver.report.run_warnings import warnings_line
from envsolver.report.summaries import (
    alike,
    count_verdicts,
    error_name,
    error_text,
    has_own_error,
    headline,
    last_counts,
    reason_beyond_error,
    strategies_of,
    where,
    work_seconds,
)
from envsolver.report.tracebacks import fault_line, last_frames, source_lines

RULE_WIDTH = 70
SLOWEST = 5
"""How many of the slowest notebooks are named."""
ERROR_LINES = 20
"""Lines of an error's message that are shown at most."""
FIRST_REASON_LINES = 10
LAST_REASON_LINES = 30
"""Lines of a reason that are shown at most from its beginning and its end: a build may print hundreds."""
REASONS = 8
NAMED = 3
"""How many reasons to run are listed, and of each how many notebooks."""
LEFT_BEHIND = 10
"""Files left behind that are named at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How text is coloured: not at all, or by the terminal's escapes."""

    color: bool = False

    def __call__(self, text: str, code: str) -> str:
        """Return `text` shown with a code of "Select Graphic Rendition", such as ``31`` for red."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and text else text


BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"


def report_lines(run: Run, *, color: bool = False) -> list[str]:
    """Return the final report of a run.

    First each notebook that did not pass: the cell, its source, the end of the traceback, the reason; of several with
    one error from one place only the first. Then what
    was skipped and not run, why the others ran or what their cached verdicts rest on, the slowest, what did not pass
    in a line each, where everything lies, and the totals.
    The line before the last is unittest's, such as ``FAILED (failed=1, skipped=1)``; the last is
    ``N passed, N failed, N skipped``.
    """
    style = Style(color=color)
    lines: list[str] = []
    for results in alike(result for result in run.results if not result.good):
        shared = len(results) > 1 and not results[0].failure
        lines += _shared_lines(results, style) if shared else _failure_lines(run, results, style)
    lines += _remark_lines(run, style)
    total = len(run.results)
    lines += _why_lines("Why they ran:", [(result.why, _label(run, result)) for result in run.results], total, style)
    cached = [result for result in run.results if result.status == "cached"]
    lines += _why_lines("Cached:", [(result.reason, _label(run, result)) for result in cached], total, style)
    lines += _slowest_lines(run, style)
    lines += _short_lines(run, style)
    lines += _place_lines(run, style)
    lines += _total_lines(run, style)
    return lines


def failure_lines(result: Result, directory: Path) -> list[str]:
    """Return what went wrong in a notebook: the cell, its source, the last frames, and where to read more.

    Parameters
    ----------
    directory
        What the result's files are relative to.
    """
    failure, title, reason = result.failure, headline(result), reason_beyond_error(result)
    if title.endswith("…") or (reason != title and one_line(reason, None).startswith(title)):
        title = error_name(result)  # the rest of it stands below, whole
    outcome = f"{result.status}: {title}" if title else result.status
    lines = [f"{result.notebook} {outcome} ({where(result)})", ""]
    if failure:
        lines += _error_lines(result, failure, Style())
    if reason and reason != title:
        lines += [reason, ""]
    places = (("executed", result.executed), ("log", result.log))
    lines += [f"{label}: {directory / relative}" for label, relative in places if relative]
    return lines


def verdict_line(run: Run) -> str:
    """Return unittest's last line: ``OK (skipped=1)``, ``FAILED (failed=1, timeout=1)``, ``STOPPED (not run=4)``."""
    counts = count_verdicts(run.results)
    named = [f"{verdict}={count}" for verdict, count in counts.items() if verdict != "passed"]
    if run.not_run:
        named.append(f"not run={len(run.not_run)}")
    if all(result.good for result in run.results):
        word = "STOPPED" if run.stopped or run.not_run else "OK"
    else:
        word = "FAILED"
    return f"{word} ({', '.join(named)})" if named else word


def verdict_lines(results: Iterable[Result]) -> Iterator[str]:
    """Yield the verdict of each notebook in a line, by name, and how many have which."""
    shown = sorted(results, key=lambda result: result.key)
    for result in shown:
        why = error_name(result)
        yield f"{result.status:7} {one_line(result.notebook)}  {duration(result.seconds)}" + (f"  {why}" if why else "")
    yield last_counts(count_verdicts(shown))


def _shared_lines(results: list[Result], style: Style) -> Iterator[str]:
    first = results[0]
    place = where(first)
    yield "=" * RULE_WIDTH
    title = f"{first.status.upper()}: {plural(len(results), 'notebook')}"
    yield style(title, f"{BOLD};{RED}") + (f"  ({place})" if place else "")
    yield "-" * RULE_WIDTH
    yield from _reason_lines(strip_ansi(first.reason).strip())
    yield ""
    yield from (f"  {one_line(result.notebook)}" for result in results)
    yield ""


def _failure_lines(run: Run, results: list[Result], style: Style) -> Iterator[str]:
    """Yield what went wrong in the first of some notebooks, and the names of the others in which the same did."""
    result, *others = results
    place = where(result)
    yield "=" * RULE_WIDTH
    title = f"{result.status.upper()}: {one_line(result.notebook)}"
    yield style(title, f"{BOLD};{RED}") + (f"  ({place})" if place else "")
    yield "-" * RULE_WIDTH
    if result.failure:
        yield from _error_lines(result, result.failure, style)
    if reason := reason_beyond_error(result):
        yield from _reason_lines(reason)
    yield from _result_place_lines(run, result, style)
    if others:
        yield f"The same error from the same place, in {plural(len(others), 'other notebook')}:"
        yield from (f"  {one_line(other.notebook)}, cell {other.failure and other.failure.cell}" for other in others)
    yield ""


def _reason_lines(reason: str) -> Iterator[str]:
    """Yield a reason's lines, without the middle of a long one."""
    lines = reason.split("\n")
    left_out = len(lines) - FIRST_REASON_LINES - LAST_REASON_LINES
    if left_out > 1:
        told = f"… {left_out} more lines, which the report has"
        lines = [*lines[:FIRST_REASON_LINES], told, *lines[-LAST_REASON_LINES:]]
    yield from lines


def _error_lines(result: Result, failure: Failure, style: Style) -> Iterator[str]:
    yield from _cell_lines(failure, style)
    if has_own_error(result):
        yield from _traceback_lines(failure, style)


def _cell_lines(failure: Failure, style: Style) -> Iterator[str]:
    if not failure.source.strip():
        if failure.cell is not None:
            yield f"Cell {failure.cell}"
        return
    yield "The cell:" if failure.cell is None else f"Cell {failure.cell}:"
    shown = source_lines(failure.source, fault_line(failure.traceback))
    width = max(len(str(line.number or "")) for line in shown)
    for line in shown:
        if line.number is None:
            yield style(f"  {'':{width}}   {line.text}", DIM)
        elif line.fault:
            yield style(f"> {line.number:{width}}   {line.text}", BOLD)
        else:
            yield f"  {line.number:{width}}   {line.text}"
    yield ""


def _traceback_lines(failure: Failure, style: Style) -> Iterator[str]:
    if failure.traceback.strip():
        for line in last_frames(failure.traceback):
            # Each line ends its colours, so that a traceback that was cut colours nothing after it.
            yield f"{keep_colours(line)}\x1b[0m" if style.color and "\x1b" in line else strip_ansi(line)
    else:
        lines = strip_ansi(error_text(failure)).split("\n")
        yield style(lines[0], RED)
        yield from lines[1:ERROR_LINES]
    yield ""


def _result_place_lines(run: Run, result: Result, style: Style) -> Iterator[str]:
    for label, relative in (("log", result.log), ("executed", result.executed)):
        if relative:
            yield style(f"{label + ':':9} {shown_path(run.directory / relative)}", DIM)
    if result.left_behind:
        named = ", ".join(one_line(name) for name in result.left_behind[:LEFT_BEHIND])
        more = len(result.left_behind) - LEFT_BEHIND
        yield style(f"wrote:    {named}" + (f" and {more} more" if more > 0 else ""), DIM)


def _remark_lines(run: Run, style: Style) -> Iterator[str]:
    skipped = [result for result in run.results if result.status == "skipped"]
    # A pass with a reason has a story, such as a second attempt.
    remarked = [result for result in run.results if result.status == "passed" and result.reason]
    for title, results in (("Skipped:", skipped), ("Passed, with a remark:", remarked)):
        if results:
            yield style(title, BOLD)
            yield from (f"  {_label(run, result)}: {one_line(result.reason, None)}" for result in results)
            yield ""
    if run.stopped or run.not_run:
        yield style(f"Stopped: {one_line(run.stopped, None) or 'before the end'}", f"{BOLD};{YELLOW}")
        if run.not_run:
            yield f"{plural(len(run.not_run), 'notebook')} not run:"
            yield from (f"  {one_line(notebook)}" for notebook in run.not_run)
        yield ""


def _why_lines(title: str, reasons: list[tuple[str, str]], total: int, style: Style) -> Iterator[str]:
    """Yield each reason once, with the notebooks that it is the reason of; the rarest first, which says the most.

    What holds for all notebooks of the run, `total` in number, is said without their names.
    """
    names: dict[str, list[str]] = {}
    for reason, name in reasons:
        if reason:
            names.setdefault(one_line(reason, None), []).append(name)
    if not names:
        return
    common = next((reason for reason, alike in names.items() if 1 < total == len(alike)), None)
    if common is not None:
        yield f"{style(title, BOLD)} {common}"
        yield ""
        return
    yield style(title, BOLD)
    for reason, named in sorted(names.items(), key=lambda item: len(item[1]))[:REASONS]:
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        yield f"  {reason}: {', '.join(named[:NAMED])}{more}"
    if len(names) > REASONS:
        yield style(f"  and {plural(len(names) - REASONS, 'more reason')}; {REPORT} tells all", DIM)
    yield ""


def _label(run: Run, result: Result) -> str:
    """Return a notebook's name; with its Python, when the run has more than one."""
    several = len({other.python for other in run.results if other.python}) > 1
    name = one_line(result.notebook)
    return f"{name} (Python {result.python})" if several and result.python else name


def _slowest_lines(run: Run, style: Style) -> Iterator[str]:
    ran = sorted(
        (result for result in run.results if result.status != "cached" and result.seconds > 0),
        key=lambda result: -result.seconds,
    )
    if len(ran) <= SLOWEST:
        return
    yield style("Slowest:", BOLD)
    for result in ran[:SLOWEST]:
        yield f"  {duration(result.seconds):>12}  {_label(run, result)}"
    yield ""


def _short_lines(run: Run, style: Style) -> Iterator[str]:
    """Name all that did not pass where the eye ends up, since the reports of several fill more than a screen."""
    bad = [result for result in run.results if not result.good]
    if len(bad) > 1:
        width = max(len(result.status) for result in bad)
        yield style("Did not pass:", BOLD)
        for result in bad:
            why = error_name(result)
            yield f"  {style(f'{result.status:{width}}', RED)}  {_label(run, result)}" + (f": {why}" if why else "")
        yield ""


def _place_lines(run: Run, style: Style) -> Iterator[str]:
    for label, name in (("Report:", REPORT), ("Results:", RESULTS)):
        if name not in run.unwritten:
            yield style(f"{label:12}{shown_path(run.directory / name)}", DIM)
    for label, names in (
        ("Executed:", [result.executed for result in run.results]),
        ("Logs:", [result.log for result in run.results]),
    ):
        # What is cached lies in the run that ran it.
        folders = {Path(name).parts[0] for name in names if len(Path(name).parts) > 1} - {".."}
        if folders:
            yield style(f"{label:12}{', '.join(shown_path(run.directory / f) for f in sorted(folders))}", DIM)


def _total_lines(run: Run, style: Style) -> Iterator[str]:
    counts = count_verdicts(run.results)
    ran = sum(result.started is not None and result.status != "cached" for result in run.results)
    work = work_seconds(run)
    yield "-" * RULE_WIDTH
    total = f"Ran {plural(ran, 'notebook')} in {duration(run.wall_seconds)}"
    if ran and run.wall_seconds > 0:
        ratio = work / run.wall_seconds
        # Below 1 the time went to building environments or to starting, and a factor would only confuse.
        factor = f", {ratio:.1f} times that" if ratio > 1 else ""
        total += f"; their times add up to {duration(work)}{factor}, with {run.workers} at once"
    yield total
    if strategies := strategies_of(run):
        yield f"Strategy: {strategies}"
    if warned := warnings_line(run):
        yield warned
    if verified := sum(result.verified for result in run.results):
        yield f"Verified: {plural(verified, 'notebook')} showed the same in a warm kernel and in a cold one"
    yield ", ".join(f"{verdict} {count}" for verdict, count in counts.items()) or "no notebooks"
    yield ""
    last = verdict_line(run)
    yield style(last, f"{BOLD};{ {'O': GREEN, 'F': RED, 'S': YELLOW}[last[0]] }")
    yield last_counts(counts)


def shown_path(path: Path) -> str:
    """Return a path as it is shortest to type from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
