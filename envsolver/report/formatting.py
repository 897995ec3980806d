"""What all reports share: how durations, sizes, names and failures are put into words.

Everything here is pure, but for `read_log_tail`. Text that a notebook produced is never trusted: it may hold
terminal escapes that move the cursor or set the window's title.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args
from unicodedata import combining, east_asian_width

from envsolver.core.results import Failure, Result, Run
from envsolver.core.verdicts import Verdict

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""All verdicts, in the order in which totals name them."""

LOG_TAIL_BYTES = 16 * 1024
"""How much of the end of a log is shown."""

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_ESCAPE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system commands, such as the window's title
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # strings for devices and applications
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # everything that moves, erases or colours
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MINUTE = 60
_HOUR = 3600
_KIBI = 1024
_BRIEF = 200
_RAISED = 500


def strip_ansi(text: str) -> str:
    """Return `text` without terminal escapes and control characters; line ends become plain newlines."""
    text = _ESCAPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROL.sub("", text)


def keep_colours(text: str) -> str:
    """Return `text` with its colours, and without everything else that a terminal would obey."""
    parts: list[str] = []
    last = 0
    for match in _COLOUR.finditer(text):
        parts += (strip_ansi(text[last : match.start()]), match.group())
        last = match.end()
    return "".join((*parts, strip_ansi(text[last:])))


def one_line(text: str, limit: int = _BRIEF) -> str:
    """Return `text` without escapes, on one line, cut to `limit` characters."""
    line = " ".join(strip_ansi(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def shorten(name: str, width: int) -> str:
    """Cut the middle out of `name` so that it has at most `width` characters; its end says the most."""
    if len(name) <= width:
        return name
    if width <= 1:
        return "…"[:width]
    head = (width - 1) // 3
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def columns(text: str) -> int:
    """Return how many columns of a terminal a line takes: Chinese letters and the like take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def fitted(name: str, width: int) -> str:
    """Return `name` in exactly `width` columns, with its middle cut out or filled up."""
    shown = shorten(name, width)
    while columns(shown) > width:
        shown = shorten(name, len(shown) - 1)
    return shown + " " * (width - columns(shown))


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``0.4 s``, ``4.1 s``, ``41 s``, ``2 min 05 s``, ``1 h 02 min``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:  # noqa: PLR2004 (from here on, a tenth of a second would round to 10.0)
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // _MINUTE} h {minutes % _MINUTE:02d} min"


def clock(seconds: float) -> str:
    """Return seconds as a running clock shows them: ``0:07``, ``12:34``, ``1:02:03``."""
    whole = int(max(0.0, seconds))
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"


def size(count: int | None) -> str:
    """Return bytes as ``312 MiB`` or ``1.4 GiB``; an empty string when they are not known."""
    if count is None:
        return ""
    if count < _KIBI**2:
        return f"{count / _KIBI:.0f} KiB"
    if count < _KIBI**3:
        return f"{count / _KIBI**2:.0f} MiB"
    return f"{count / _KIBI**3:.1f} GiB"


def plural(count: int, noun: str) -> str:
    """Return ``1 notebook`` or ``3 notebooks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def count_verdicts(results: Iterable[Result]) -> dict[Verdict, int]:
    """Count the verdicts that occur, in their standing order."""
    found = [result.status for result in results]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def last_counts(counts: Mapping[Verdict, int]) -> str:
    """Return ``N passed, N failed, N skipped``: `cached` is a pass, and all that fails the run is a failure."""
    passed = counts.get("passed", 0) + counts.get("cached", 0)
    skipped = counts.get("skipped", 0)
    return f"{passed} passed, {sum(counts.values()) - passed - skipped} failed, {skipped} skipped"


def where(result: Result) -> str:
    """Return the group and the Python of a result, such as ``core, Python 3.11``; empty when it has neither."""
    parts = (result.group, f"Python {result.python}" if result.python else "")
    return ", ".join(part for part in parts if part)


def error_text(failure: Failure) -> str:
    """Return ``ValueError: the message``, as the last line of a traceback has it."""
    return f"{failure.ename}: {failure.evalue}" if failure.evalue else failure.ename


def headline(result: Result) -> str:
    """Say on one line what became of a notebook; empty for a plain pass."""
    failure = result.failure
    if failure is None or result.status != "failed":
        sentence, words = _last_words(result.reason)
        # A crash's stack is named by its first line, and what others print before they end by their last.
        told = words[0] if words and words[0].startswith("Fatal") else words[-1] if words else ""
        return one_line(f"{sentence}: {told}" if told else sentence)
    if not _tells_of_error(result):
        return one_line(result.reason)
    cell = "" if failure.cell is None else f"cell {failure.cell}: "
    return cell + one_line(error_text(failure))


def _last_words(reason: str) -> tuple[str, list[str]]:
    """Split a reason into its sentence and the kernel's last lines, where it ends with those."""
    sentence, _, tail = reason.partition("; its last lines were:\n")
    return sentence, _full_lines(tail)


def _full_lines(text: str) -> list[str]:
    return [line for line in strip_ansi(text).split("\n") if line.strip()]


def reason_beyond_error(result: Result) -> str:
    """Return the reason, without escapes, and without what the shown error says already."""
    failure, reason = result.failure, strip_ansi(result.reason).strip()
    if failure is None or not has_own_error(result):
        return reason
    if result.status != "failed":
        sentence, words = _last_words(reason)
        return sentence if words and "\n".join(words) in "\n".join(_full_lines(failure.traceback)) else reason
    raised = _raised(failure)
    if reason.startswith(raised):
        return reason[len(raised) :].lstrip("; ")
    return "" if _tells_of_error(result) else reason


def _tells_of_error(result: Result) -> bool:
    """Whether the reason says no more than that there was an error, and which."""
    failure = result.failure
    return failure is not None and (not failure.ename or failure.ename in result.reason or not result.reason)


def _raised(failure: Failure) -> str:
    """Return how a reason begins that tells of an exception."""
    first = strip_ansi(failure.evalue.strip().split("\n", 1)[0][:_RAISED])
    return f"cell {failure.cell} raised {failure.ename}: {first}".rstrip(": ")


def has_own_error(result: Result) -> bool:
    """Whether a failure's error tells more than the reason does: not if it was made from it, as for a timeout."""
    failure = result.failure
    return failure is not None and bool(failure.traceback.strip() or failure.evalue.strip() != result.reason.strip())


def work_seconds(run: Run) -> float:
    """Return the sum of the times of the notebooks that ran in this run, seconds."""
    return sum(result.seconds for result in run.results if result.status != "cached")


def file_in(run: Run, relative: str) -> Path | None:
    """Return a file of the run's folder, or None when it is missing or lies outside.

    The name may come from a `results.json` that somebody else wrote, so it is not followed anywhere else.
    """
    if not relative:
        return None
    directory = run.directory.resolve()
    path = (directory / relative).resolve()
    return path if path.is_relative_to(directory) and path.is_file() else None


def read_log_tail(run: Run, result: Result, limit: int = LOG_TAIL_BYTES) -> str:
    """Return the last `limit` bytes of a result's log, from a line's start; empty when there is no log."""
    path = file_in(run, result.log)
    if path is None:
        return ""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - limit))
        data = file.read(limit)
    if end > limit:
        data = data.partition(b"\n")[2] or data
    return data.decode("utf-8", "replace")
