"""What the template of `report.html` shows of a run: plain values, in words.

Values are text unless they are said to be HTML; the template escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envsolver.core.environments import Environment
from envsolver.core.quantities import clock, duration, plural, size
from envsolver.core.results import Result, ResultKey, Run
from envsolver.report.formatting import one_line, shorten
from envsolver.report.html_failures import anchor_of, links_of, slowest_cells
from envsolver.report.run_warnings import told_warnings
from envsolver.report.summaries import (
    VERDICTS,
    count_verdicts,
    headline,
    last_counts,
    strategies_of,
    work_seconds,
)
from envsolver.report.timeline import Bar, Timeline, Wait, parse_time

History = Mapping[ResultKey, float]
"""The usual seconds of a notebook, by its path, group and Python."""

TIMES, MINUS = "\u00d7", "\u2212"
LABEL_PERCENT = 4.0
"""Width from which a bar of the timeline has a label."""


def title_of(run: Run) -> str:
    """Return the outcome in one phrase. It never says that all passed when the run was stopped."""
    bad = sum(not result.good for result in run.results)
    if bad:
        return f"{bad} of {plural(len(run.results), 'notebook')} did not pass"
    if run.stopped or run.not_run:
        return f"Stopped with {plural(len(run.not_run), 'notebook')} not run"
    skipped = sum(result.status == "skipped" for result in run.results)
    passed = len(run.results) - skipped
    if not passed:
        return "No notebook was run"
    return f"All {plural(passed, 'notebook')} passed" if passed > 1 else "The notebook passed"


def shown_date(text: str) -> str:
    """Return an ISO 8601 time as people write it; other text as it is."""
    time = parse_time(text)
    return one_line(text) if time is None else f"{time.day} {time:%B %Y, %H:%M:%S} {time.tzname()}"


def shares_of(run: Run) -> list[dict[str, Any]]:
    """Return how many notebooks have each verdict, and how many none, for the bar below the title."""
    shares = [
        {"name": verdict, "count": count, "css": verdict if verdict in {"passed", "cached", "skipped"} else "is-bad"}
        for verdict, count in count_verdicts(run.results).items()
    ]
    if run.not_run:
        shares.append({"name": "not run", "count": len(run.not_run), "css": "not-run"})
    return shares


def figures_of(run: Run) -> list[dict[str, str]]:
    """Return the totals. Efficiency is the notebooks' time over wall time times workers."""
    work, wall = work_seconds(run), run.wall_seconds
    peak = max(run.results, key=lambda result: result.peak_rss_bytes or 0, default=None)
    built = sum(environment.built for environment in run.environments)
    counts = count_verdicts(run.results)
    passed, others = last_counts(counts).split(", ", maxsplit=1)
    flaky = sum(result.flaky for result in run.results)
    parts = ((counts.get("cached", 0), "of them cached"), (flaky, "flaky"))
    among = ", ".join(f"{count} {word}" for count, word in parts if count)
    figures = [
        ("Verdicts", passed, "; ".join(filter(None, [among, others]))),
        ("Wall time", duration(wall), "from start to end"),
        ("Notebook time", duration(work), "sum over all notebooks"),
    ]
    if strategies := strategies_of(run):
        figures.append(("Strategy", strategies, "of the configuration"))
    if wall > 0 and work > 0:
        # Below 1 the time went to building environments, and a factor would only confuse.
        if work > wall:
            figures.append(("Speed-up", f"{work / wall:.1f} {TIMES}", "notebook time over wall time"))
        efficiency = work / (wall * max(1, run.workers))
        figures.append(("Efficiency", f"{efficiency:.0%}", f"of {plural(run.workers, 'worker')} kept busy"))
    if peak is not None and peak.peak_rss_bytes:
        figures.append(("Peak memory", size(peak.peak_rss_bytes), shorten(Path(peak.notebook).stem, 32)))
    if run.environments:
        figures.append(
            (
                "Environments",
                str(len(run.environments)),
                f"{built} built, {len(run.environments) - built} from the cache",
            )
        )
    return [{"name": name, "value": value, "more": more} for name, value, more in figures]


def lanes_of(run: Run, laid: Timeline) -> list[dict[str, Any]]:
    """Return the timeline's lanes, places and widths in per cent of its length."""
    return [
        {
            "name": one_line(laid.names[number]) if laid.names else "",
            "busy": f"{laid.busy(number):.0%}",
            "waits": [_wait(wait, laid.seconds) for wait in (laid.waits[number] if laid.waits else ())],
            "bars": [_bar(run, bar, laid.seconds) for bar in lane],
        }
        for number, lane in enumerate(laid.lanes)
    ]


def _wait(wait: Wait, seconds: float) -> dict[str, str]:
    block = wait.block
    return {
        "left": percent(wait.start / seconds),
        "width": percent(wait.seconds / seconds),
        "title": one_line(
            f"block {block.name} of {block.profile}: queued for {duration(wait.seconds)}; {block.reason}"
        ),
    }


def _bar(run: Run, bar: Bar, seconds: float) -> dict[str, Any]:
    result = run.results[bar.index]
    name = one_line(result.notebook)
    worker = f", {result.worker}" if result.worker else ""
    return {
        "left": percent(bar.start / seconds),
        "width": percent(bar.seconds / seconds),
        "label": Path(name).stem if 100 * bar.seconds / seconds >= LABEL_PERCENT else "",
        "title": f"{name}: {result.status}, {duration(bar.seconds)} from {clock(bar.start)}{worker}",
        "group": result.group,
        "bad": not result.good,
        "target": anchor_of(bar.index, result),
    }


def percent(part: float) -> str:
    """Return a part of 1 in per cent, as style sheets write numbers."""
    return f"{100 * min(1.0, part):.3f}"


def rows_of(run: Run, expected: History) -> list[dict[str, Any]]:
    """Return the table's rows: what did not pass first, each verdict by name."""
    longest = max((result.seconds for result in run.results), default=0.0) or 1.0
    rows = [
        _row(index, result, expected.get(result.key), longest) | _more_of_row(run, result)
        for index, result in enumerate(run.results)
    ]
    return sorted(rows, key=lambda row: (row["rank"], row["notebook"], row["python"]))


def _row(index: int, result: Result, usual: float | None, longest: float) -> dict[str, Any]:
    # What did not pass has a card with the rest.
    story = [result.reason, f"why it ran: {result.why}" if result.why else ""]
    what = one_line("; ".join(filter(None, story)), None) if result.good else headline(result)
    name = one_line(result.notebook)
    seconds = 0.0 if result.status == "cached" else result.seconds
    ratio = seconds / usual if usual and seconds else None
    return {
        "anchor": f"row-{index}",
        "link": "" if result.good else anchor_of(index, result),
        "verdict": result.status,
        # What is good stands after what is not.
        "rank": VERDICTS.index(result.status) + (len(VERDICTS) if result.good else 0),
        "notebook": name,
        "group": result.group,
        "python": result.python,
        "what": what,
        "text": f"{name} {result.group} {result.status} {what}".lower(),
        "seconds": f"{seconds:.3f}" if seconds else "",
        "time": duration(seconds) if seconds else "",
        "meter": f"{100 * seconds / longest:.1f}",
        "ratio": "" if ratio is None else f"{ratio:.4f}",
        "against": "" if ratio is None else _against(ratio),
        "usual": duration(usual or 0.0),
        "slower": ratio is not None and _is_slower(seconds, usual or 0.0),
        "bytes": result.peak_rss_bytes or "",
        "memory": size(result.peak_rss_bytes),
    }


def _more_of_row(run: Run, result: Result) -> dict[str, Any]:
    """Return what a row of a notebook that ran holds back until it is opened; a failure's card has all of it."""
    if not result.good or result.status == "cached":
        return {"cells": [], "facts": (), "links": (), "left_behind": (), "warnings": ()}
    started, begun = parse_time(result.started), parse_time(run.started)
    facts = (
        f"started at {clock((started - begun).total_seconds())}" if started and begun else "",
        result.worker,
        ("warm kernel" if result.warm else "cold kernel") if started else "",
        plural(result.attempts, "attempt") if result.attempts > 1 else "",
    )
    return {
        "cells": slowest_cells(result),
        "facts": tuple(fact for fact in facts if fact),
        "links": links_of(run, result),
        "left_behind": tuple(one_line(name) for name in result.left_behind),
        "warnings": told_warnings(result),
    }


def _against(ratio: float) -> str:
    """Return a time against the usual one: ``+32%``, ``-8%``, or ``3.1 x`` when it is far more."""
    if ratio >= 2:  # noqa: PLR2004 (twice)
        return f"{ratio:.1f} {TIMES}"
    change = round(100 * (ratio - 1))
    return "as usual" if change == 0 else f"{change:+d}%".replace("-", MINUS)


def _is_slower(seconds: float, usual: float) -> bool:
    """Whether a time is so much more than usual that it is worth a colour."""
    return seconds > 1.25 * usual and seconds - usual > 1.0


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions of Python are sorted by, so that 3.9 comes before 3.10."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def environment_view(environment: Environment) -> dict[str, Any]:
    """Return what is shown of an environment."""
    took = f" in {duration(environment.seconds)}" if environment.seconds else ""
    return {
        "group": environment.group,
        "python": environment.python,
        "key": environment.key,
        "prefix": str(environment.prefix),
        "packages": environment.packages,
        "count": plural(len(environment.packages), "package"),
        "origin": f"built{took}" if environment.built else "from the cache",
    }
