"""What a kernel was warned of, as its recorder told it: `in_environment/warned.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from envsolver.core.results import WarningPlace
from envsolver.worker.isolation import WARNED_LOG
from envsolver.worker.prepare import PreparedNotebook
from envsolver.worker.scratch import Scratch
from envsolver.worker.side_files import read_side_file

_INSTALLED = re.compile(r".*/(?:site-packages|dist-packages|lib/python3\.\d+)/")


@dataclass(frozen=True, kw_only=True, slots=True)
class RaisedWarnings:
    """The warnings of a notebook."""

    places: tuple[WarningPlace, ...] = ()
    count: int = 0
    """As `Result.warnings` and `Result.warning_count`."""
    fault: str = ""
    """What is wrong with a filter, as a phrase that continues "the setting `warnings`"; empty for nothing."""


def collect_warnings(place: Scratch, root: Path, prepared: PreparedNotebook) -> RaisedWarnings:
    """Return what a kernel told of its warnings.

    Parameters
    ----------
    prepared
        The executed copy.
    """
    told: list[dict[str, Any]] = []
    beyond, fault = 0, ""
    for line in _lines(place.base / WARNED_LOG):
        if "category" in line:
            told.append({**line, "count": 1})
        elif "place" in line:
            told[line["place"]]["count"] = line["count"]
        else:
            beyond, fault = line.get("beyond", beyond), fault or line.get("fault", "")
    cells = _cells_by_execution(prepared)
    places = tuple(_place_of(each, place.home, root, cells) for each in told)
    return RaisedWarnings(places=places, count=sum(each.count for each in places) + beyond, fault=fault)


def _place_of(told: Mapping[str, Any], home: Path, root: Path, cells: Mapping[int, tuple[int, int]]) -> WarningPlace:
    cell, above = cells.get(told["execution"], (None, 0))
    path = str(told["file"])
    for start in (home, root):
        if path.startswith(f"{start}/"):
            path = path[len(str(start)) + 1 :]
            break
    else:
        path = _INSTALLED.sub("", path)
    return WarningPlace(
        category=told["category"],
        message=told["message"],
        path="" if cell is not None else path,
        line=told["line"] + above,
        cell=cell,
        count=told["count"],
        hidden=told["hidden"],
    )


def _cells_by_execution(prepared: PreparedNotebook) -> dict[int, tuple[int, int]]:
    """Return, by execution count, a cell's number and how many empty lines the shell takes off its beginning."""
    pairs = zip(prepared.notebook.cells, prepared.cells, strict=True)
    return {
        cell.execution_count: (
            known.number,
            sum(1 for _ in takewhile(str.isspace, cell.source.splitlines(keepends=True))),
        )
        for cell, known in pairs
        if cell.get("execution_count") is not None
    }


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    try:
        data = read_side_file(log)
    except OSError:  # there were none
        return
    for line in data.split(b"\n"):
        try:
            found = json.loads(line)
        except ValueError:  # the end, or a kernel was killed while it wrote
            continue
        if isinstance(found, dict):
            yield found
