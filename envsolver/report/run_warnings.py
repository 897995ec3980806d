"""What the notebooks of a run were warned of, over all of them: what will break them next stands first."""

from __future__ import annotations

from collections import Counter
from typing import Any

from envsolver.core.quantities import plural
from envsolver.core.results import Result, Run, RunWarning, WarningPlace
from envsolver.report.formatting import one_line

SHOWN = 100
"""How many lines that warned the report shows at most; `results.json` has all."""

_CATEGORIES = 3
_TIMES = "\u00d7"


def warnings_of(run: Run) -> tuple[RunWarning, ...]:
    """Return the lines that warned: first those in most notebooks, then those that warned most often."""
    found: dict[tuple[object, ...], list[tuple[str, WarningPlace]]] = {}
    for result in run.results:
        for each in result.warnings:
            key = (each.category, each.path or result.notebook, each.line, each.cell)
            found.setdefault(key, []).append((result.notebook, each))
    together = [_together(places) for places in found.values()]
    return tuple(sorted(together, key=lambda each: (-len(each.notebooks), -each.count, each.path, each.line)))


def _together(places: list[tuple[str, WarningPlace]]) -> RunWarning:
    notebook, first = places[0]
    return RunWarning(
        category=first.category,
        message=first.message,
        path=first.path or notebook,
        line=first.line,
        cell=first.cell,
        hidden=all(each.hidden for _, each in places),
        count=sum(each.count for _, each in places),
        notebooks=tuple(sorted({name for name, _ in places})),
    )


def warnings_line(run: Run) -> str:
    """Return the warnings of a run in one line; empty when there were none."""
    total = sum(result.warning_count for result in run.results)
    if not total:
        return ""
    lines = warnings_of(run)
    counts = Counter[str]()
    for each in lines:
        counts[each.category.rpartition(".")[2]] += each.count
    named = ", ".join(f"{category} {count}" for category, count in counts.most_common(_CATEGORIES))
    more = ", …" if len(counts) > _CATEGORIES else ""
    notebooks = sum(bool(result.warning_count) for result in run.results)
    first = f"; first {place_of(lines[0])}" if lines else ""
    return f"Warnings: {total} in {plural(notebooks, 'notebook')} ({named}{more}){first}"


def place_of(warning: RunWarning | WarningPlace) -> str:
    """Return the place of a warning, such as ``numpy/_core.py, line 12`` or ``cell 3, line 2``."""
    cell = "" if warning.cell is None else f"cell {warning.cell}"
    return ", ".join(filter(None, [one_line(warning.path), cell, f"line {warning.line}"]))


def warning_rows(run: Run) -> dict[str, Any]:
    """Return what the report shows of a run's warnings."""
    lines = warnings_of(run)
    rows = [
        {
            "category": each.category.rpartition(".")[2],
            "message": one_line(each.message, None),
            "place": place_of(each),
            "count": each.count,
            "hidden": each.hidden,
            "notebooks": [one_line(name) for name in each.notebooks],
        }
        for each in lines[:SHOWN]
    ]
    return {"rows": rows, "more": len(lines) - len(rows)}


def told_warnings(result: Result) -> tuple[str, ...]:
    """Return a notebook's own warnings, a line each."""
    return tuple(
        f"{each.category.rpartition('.')[2]}, {place_of(each)}, {each.count} {_TIMES}: {one_line(each.message, None)}"
        for each in result.warnings
    )
