"""What is worth reading of a failure: the part of the cell around its fault, and the traceback's last frames."""

from __future__ import annotations

import re
from dataclasses import dataclass

from envsolver.core.quantities import plural
from envsolver.report.formatting import keep_colours, strip_ansi

SOURCE_LINES = 15
"""Lines of a cell that are shown at most."""
FRAMES = 3
"""Frames of a traceback that are shown at most, counted from its end."""
TRACEBACK_LINES = 45
"""Lines of a traceback that are shown at most."""

_INNERMOST_FIRST = "(most recent call first)"
_FRAME = re.compile(r"^ *(Cell In ?\[\d+\]|Input In ?\[\d+\]|File |<ipython-input|(/|[A-Za-z]:\\|~/).+ in )")
_NO_SOURCE = re.compile(r"-*>? ?\d+ 'Could not get source, probably due dynamically evaluated source code\.'")
"""What IPython writes in place of the lines of a compiled module."""
_CELL_LINE = re.compile(r"^ *(?:Cell In ?\[\d+\], line |.*<ipython-input[^>]*>.*:)(\d+)", re.MULTILINE)
_ARROW_LINE = re.compile(r"^-+> ?(\d+) ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceLine:
    """One line of a cell; `fault` marks the line that raised. A line without a number stands for those left out."""

    number: int | None
    text: str
    fault: bool = False


def fault_line(traceback: str) -> int | None:
    """Return the line of the cell that raised, counted from 1, by an IPython traceback; None if it does not say."""
    plain = strip_ansi(traceback)
    found = _CELL_LINE.search(plain) or _ARROW_LINE.search(plain)
    return int(found.group(1)) if found else None


def raising_frame(traceback: str) -> str:
    """Return the head of the frame that raised, such as ``File a.py:3, in f()``; empty where that is a cell's own."""
    heads = [line for line in strip_ansi(traceback).split("\n") if _FRAME.match(line)]
    return heads[-1] if heads and heads[-1].startswith("File ") else ""


def source_lines(source: str, fault: int | None, limit: int = SOURCE_LINES) -> list[SourceLine]:
    """Return at most `limit` lines of a cell's source, around the line `fault` if that is known."""
    lines = strip_ansi(source).rstrip().split("\n")
    first = 0
    if len(lines) > limit and fault is not None:
        first = min(max(0, fault - 1 - limit // 2), len(lines) - limit)
    last = min(len(lines), first + limit)
    shown = [
        SourceLine(number=number, text=lines[number - 1].expandtabs(4), fault=number == fault)
        for number in range(first + 1, last + 1)
    ]
    if first:
        shown.insert(0, SourceLine(number=None, text=f"… {first} more lines"))
    if last < len(lines):
        shown.append(SourceLine(number=None, text=f"… {len(lines) - last} more lines"))
    return shown


def last_frames(traceback: str, frames: int = FRAMES, limit: int = TRACEBACK_LINES) -> list[str]:
    """Return the end of a traceback as lines: its last frames and the error, colours kept.

    A traceback of fewer frames is given whole, up to `limit` lines. Frames of compiled modules, whose lines IPython
    cannot show, are one line each and not counted. The stack of a crash, which Python writes the other
    way round, is given from its beginning.
    """
    lines, starts = _frames(keep_colours(traceback).strip("\n").split("\n"))
    if len(starts) > frames and _INNERMOST_FIRST in traceback:
        left_out = len(starts) - frames
        lines = [*lines[: starts[frames]], f"… {plural(left_out, 'more frame')}"]
    elif len(starts) > frames:
        left_out = len(starts) - frames
        lines = [f"… {plural(left_out, 'more frame')}", *lines[starts[-frames] :]]
    if len(lines) > limit:
        left_out = len(lines) - limit + 1
        lines = [f"… {left_out} more lines", *lines[len(lines) - limit + 1 :]]
    return lines


def _frames(lines: list[str]) -> tuple[list[str], list[int]]:
    """Return a traceback's lines without what stands for sources that cannot be shown, and where other frames begin."""
    kept: list[str] = []
    starts: list[int] = []
    for line in lines:
        plain = strip_ansi(line)
        if not _NO_SOURCE.fullmatch(plain.strip()):
            if _FRAME.match(plain):
                starts.append(len(kept))
            kept.append(line)
        elif starts and starts[-1] == len(kept) - 1:
            starts.pop()
    return kept, starts
