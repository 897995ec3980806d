"""What all reports share: how names and texts are shortened and made safe to show.

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
