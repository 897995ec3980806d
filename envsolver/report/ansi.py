"""Terminal colours as HTML: everything is escaped, and only known colours become spans."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from envsolver.report.formatting import keep_colours

if TYPE_CHECKING:
    from rich.color import Color
    from rich.style import Style

_CODES = re.compile(r"\x1b\[[0-9;:]*m")
_LONG = re.compile("[0-9]{4,}")
_OWN = 16
"""How many colours the terminal chooses itself."""


def ansi_to_html(text: str) -> str:
    """Return text of a terminal as HTML.

    The spans' classes are ``ab``, ``ai`` and ``au`` for bold, italic and underlined; ``af0`` to ``af15`` and
    ``ab0`` to ``ab15`` for the terminal's own colours; ``afx`` and ``abx`` with a custom property ``--f`` or
    ``--b`` for any other colour, so that a style sheet can fit them to its background.
    """
    from rich.ansi import AnsiDecoder
    from rich.style import Style

    shown = AnsiDecoder().decode_line(_CODES.sub(_plain_codes, keep_colours(text)))
    parts, last = [], 0
    for span in shown.spans:
        style = span.style if isinstance(span.style, Style) else Style.parse(span.style)
        parts += [escape(shown.plain[last : span.start]), _span(shown.plain[span.start : span.end], style)]
        last = span.end
    return "".join((*parts, escape(shown.plain[last:])))


def _plain_codes(codes: re.Match[str]) -> str:
    """Return codes as the decoder reads them: parted by semicolons, and no number longer than any that it knows."""
    return _LONG.sub("255", codes.group().replace(":", ";"))


def _span(text: str, style: Style) -> str:
    """Return escaped text in a span that shows it in a style."""
    marks = (("ab", style.bold), ("ai", style.italic), ("au", style.underline))
    classes = [name for name, on in marks if on]
    properties = []
    for kind, colour in (("f", style.color), ("b", style.bgcolor)):
        name = _colour(colour)
        if name.startswith("#"):
            classes.append(f"a{kind}x")
            properties.append(f"--{kind}:{name}")
        elif name:
            classes.append(f"a{kind}{name}")
    if not classes:
        return escape(text)
    css = f' style="{";".join(properties)}"' if properties else ""
    return f'<span class="{" ".join(classes)}"{css}>{escape(text)}</span>'


def _colour(colour: Color | None) -> str:
    """Return ``0`` to ``15`` for the terminal's own colours, ``#rrggbb`` for others, and nothing for the default."""
    if colour is None or colour.is_default:
        return ""
    if colour.number is not None and colour.number < _OWN:
        return str(colour.number)
    return colour.get_truecolor().hex
