"""Which line of a TOML file a key stands on, so that a fault can name it."""

from __future__ import annotations

import re

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*({_DOTTED})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_PART = re.compile(_KEY)
_ESCAPE = re.compile(r"\\(.)")


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Map each key of a valid TOML text, as a path of names, to the line where it first stands.

    Keys inside inline tables are not listed; their table is. Lines count from 1.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    quote = ""
    for number, line in enumerate(text.splitlines(), start=1):
        inside, quote = quote, _open_quote(line, quote)
        if inside:
            continue
        key: tuple[str, ...] = ()
        if header := _HEADER.match(line):
            key = table = _names(header[1])
        elif assignment := _ASSIGNMENT.match(line):
            key = (*table, *_names(assignment[1]))
        for length in range(1, len(key) + 1):
            lines.setdefault(key[:length], number)
    return lines


def line_of(lines: dict[tuple[str, ...], int], key: tuple[str, ...]) -> int | None:
    """Return the line of a key, or of the innermost table around it that has one."""
    for length in range(len(key), 0, -1):
        if key[:length] in lines:
            return lines[key[:length]]
    return None


def dotted(key: tuple[str, ...]) -> str:
    """Write a key as TOML does, with quotes where a name needs them."""
    return ".".join(name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"' for name in key)


def _names(text: str) -> tuple[str, ...]:
    """Split a dotted key in its names."""
    return tuple(_ESCAPE.sub(r"\1", part[1:-1]) if part[0] in "\"'" else part for part in _PART.findall(text))


def _open_quote(line: str, quote: str) -> str:
    """Return the multi-line quote that is open after a line, given the one that was open before it."""
    for mark in re.findall(r'"""|' + r"'''", line):
        if not quote:
            quote = mark
        elif mark == quote:
            quote = ""
    return quote
