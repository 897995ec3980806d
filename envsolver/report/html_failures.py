"""What the HTML report shows of a notebook that did not pass: its cell, its error, its files, its slowest cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from envsolver.core.quantities import duration, plural, size
from envsolver.core.results import Result, Run
from envsolver.report.ansi import ansi_to_html
from envsolver.report.formatting import one_line
from envsolver.report.run_files import file_in
from envsolver.report.run_warnings import told_warnings
from envsolver.report.summaries import error_text, has_own_error, headline, reason_beyond_error
from envsolver.report.tracebacks import SourceLine, fault_line, last_frames, source_lines

CELLS = 5
"""How many of a notebook's slowest cells are named."""

LEAST_SECONDS = 0.05
"""What a cell must take to be named; less would be shown as nothing."""

_MARKUP = re.compile(r"<style.*?</style>|<[^>]*>", re.DOTALL)


EXECUTED_CHARACTERS = 8_000_000
"""Size of one executed notebook that is still put into the report."""

SOURCE_LINES = 200
TRACEBACK_LINES = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureView:
    """What the template shows of a result that is not good; `traceback` and `log` are HTML."""

    anchor: str
    verdict: str
    notebook: str
    what: str
    group: str
    facts: tuple[str, ...]
    reason: str
    cell: str
    source: list[SourceLine]
    traceback: str
    left_behind: tuple[str, ...]
    warnings: tuple[str, ...]
    log: str
    executed: str | None
    height: int
    cells: list[dict[str, str]]
    links: tuple[tuple[str, str], ...]


def failure_view(run: Run, index: int, result: Result, log: str, executed: str | None) -> FailureView:
    """Return what is shown of the result at `index`, which is not good, with its log and its executed copy."""
    failure = result.failure
    what = headline(result)
    cell = "The cell" if failure is None or failure.cell is None else f"Cell {failure.cell}"
    traceback = ""
    if failure and has_own_error(result):
        whole = failure.traceback or error_text(failure)
        traceback = ansi_to_html("\n".join(last_frames(whole, frames=TRACEBACK_LINES, limit=TRACEBACK_LINES)))
    reason = reason_beyond_error(result)
    if executed is not None and len(executed) > EXECUTED_CHARACTERS:
        executed = None
    source = failure.source if failure else ""
    return FailureView(
        anchor=anchor_of(index, result),
        verdict=result.status,
        notebook=one_line(result.notebook),
        what=what,
        group=result.group,
        facts=_facts(result),
        reason="" if "\n" not in reason.strip() and what.startswith(one_line(reason, None)) else reason,
        cell=cell,
        source=source_lines(source, fault_line(failure.traceback), SOURCE_LINES) if failure and source.strip() else [],
        traceback=traceback,
        left_behind=tuple(one_line(name) for name in result.left_behind),
        warnings=told_warnings(result),
        log=ansi_to_html(log.strip("\n")),
        executed=executed,
        height=frame_height(executed or ""),
        cells=slowest_cells(result),
        links=links_of(run, result),
    )


def links_of(run: Run, result: Result) -> tuple[tuple[str, str], ...]:
    """Return what lies in the run's folder, as names and addresses."""
    return tuple(
        (name, quote(relative))
        for name, relative in (("executed copy", result.executed), ("log", result.log))
        if file_in(run, relative)
    )


def frame_height(document: str) -> int:
    """Return about how many pixels a notebook's document is high; it cannot measure itself, since it runs no script."""
    text = _MARKUP.sub("", document)
    lines = sum(bool(line.strip()) for line in text.split("\n"))
    pictures = document.count("<img") + document.count("<svg")
    return 60 + 19 * lines + 24 * document.count('class="cell ') + 320 * pictures


def slowest_cells(result: Result) -> list[dict[str, str]]:
    """Return the cells that took the longest, slowest first, and the rest in one."""
    ran = sorted(result.cells, key=lambda cell: -cell.seconds)
    if not ran or result.status == "cached":
        return []
    whole = max(result.seconds, sum(cell.seconds for cell in ran)) or 1.0
    slow = [cell for cell in ran[:CELLS] if cell.seconds >= LEAST_SECONDS]
    shown = [(f"cell {cell.cell}", cell.seconds) for cell in slow]
    if rest := ran[len(slow) :]:
        shown.append((plural(len(rest), "other cell" if slow else "cell"), sum(cell.seconds for cell in rest)))
    if result.start_seconds:
        shown.append(("start", result.start_seconds))
    return [
        {"name": name, "time": duration(seconds), "width": f"{100 * seconds / whole:.1f}"} for name, seconds in shown
    ]


def _facts(result: Result) -> tuple[str, ...]:
    return tuple(
        fact
        for fact in (
            f"Python {result.python}" if result.python else "",
            duration(result.seconds) if result.seconds else "",
            f"peak {size(result.peak_rss_bytes)}" if result.peak_rss_bytes else "",
            f"{result.attempts} attempts" if result.attempts > 1 else "",
            result.worker,
            f"isolation: {result.isolation}" if result.isolation else "",
        )
        if fact
    )


def anchor_of(index: int, result: Result) -> str:
    """Return where a click on a notebook leads: its failure, or else its row."""
    return f"row-{index}" if result.good else f"failure-{index}"
