"""Where a cell stands in its notebook's file, so that an annotation can point at the line that raised."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from envsolver.core.results import Result
from envsolver.report.tracebacks import fault_line

FILE_LIMIT = 20_000_000
"""Bytes of a notebook that is still searched."""

_TOKEN = re.compile(r'(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")\s*(?P<colon>:?)|[\[\]{}]', re.DOTALL)
_CELLS = ["{", "["]
"""What is open between two cells: the notebook and its list of cells."""
_CELL = [*_CELLS, "{"]


def line_of_failure(root: Path, result: Result) -> int | None:
    """Return the line of the notebook's file that raised, or else where the cell begins; None when neither is known."""
    failure = result.failure
    path = root / result.notebook
    if failure is None or failure.cell is None:
        return None
    try:
        if path.stat().st_size > FILE_LIMIT:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return line_in_file(text, failure.cell, fault_line(failure.traceback))


def line_in_file(text: str, cell: int, line: int | None) -> int | None:
    """Return the line of a notebook's text that holds a line of a cell's source.

    Parameters
    ----------
    text
        The file's text: JSON of nbformat 4, however it is laid out.
    cell, line
        Both counted from 1; without a line, where the source begins.
    """
    for number, places in enumerate(_sources(text), 1):
        if number == cell and places:
            at = places[min((line or 1), len(places)) - 1]
            return text.count("\n", 0, at) + 1
    return None


def _sources(text: str) -> Iterator[list[int]]:
    """Yield, for each cell, where in the text the strings of its source begin."""
    inside: list[str] = []
    keys = ["", ""]  # the notebook's own, and the cell's
    places: list[int] = []
    for token in _TOKEN.finditer(text):
        if token["text"] and token["colon"]:
            if inside in (_CELL, _CELL[:1]):
                keys[inside == _CELL] = token["text"]
        elif token["text"]:
            if keys == ['"cells"', '"source"'] and inside in (_CELL, [*_CELL, "["]):
                places.append(token.start())
        elif token.group() in "[{":
            inside.append(token.group())
        else:
            inside = inside[:-1]
            if inside == _CELLS and keys[0] == '"cells"':
                yield places
                places, keys[1] = [], ""
