"""What all reports share: how durations, sizes, names and failures are put into words.

Everything here is pure. Text that a notebook produced is never trusted: it may hold
terminal escapes that move the cursor or set the window's title.
"""

from __future__ import annotations

import json
import re
from unicodedata import combining, east_asian_width

from envsolver.core.redaction import redact

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_ESCAPE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system commands, such as the window's title
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # strings for devices and applications
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # everything that moves, erases or colours
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# What CI systems obey in a log: GitHub `::name::` at a line's start and `##[name]`, Azure `##vso[...]`, TeamCity
# `##teamcity[...]`, anywhere in a line; GitLab's marks of sections. Each but for its last sign.
_COMMAND = re.compile(r"(?:^|(?<=[\r\n]))[^\S\r\n]*:(?=:)|##[\w.-]*(?=\[)|section_(?:start|end)(?=:)")
_MINUTE = 60
_HOUR = 3600
_KIBI = 1024
_BRIEF = 200


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


def escape_commands(text: str, before: str = "") -> str:
    """Return `text` with a backslash in whatever a CI system would take for a command to itself.

    This is done wherever the output goes: a container's output reaches such a system too, without its variables.

    Parameters
    ----------
    before
        What stands already on the line that `text` continues, escaped.
    """
    return _COMMAND.sub(r"\g<0>\\", before + text)[len(before) :]


def printable(text: str) -> str:
    """Return `text` as it may leave for a log: without credentials, and with nothing that a CI system would obey."""
    return escape_commands(redact(text))


def json_text(value: object) -> str:
    """Return a value as JSON that holds nothing that a CI system would obey, and still means the same."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _COMMAND.sub(lambda found: f"{found.group()[:-1]}\\u{ord(found.group()[-1]):04x}", text)


def one_line(text: str, limit: int | None = _BRIEF) -> str:
    """Return `text` without escapes, on one line, cut to `limit` characters; whole if that is None."""
    line = " ".join(strip_ansi(text).split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


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
