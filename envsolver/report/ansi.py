"""Terminal colours as HTML: everything is escaped, and only known colours become spans."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape

from envsolver.report.formatting import keep_colours

_COLOUR = re.compile(r"\x1b\[([0-9;:]*)m")
_EXTENDED = {38: "fg", 48: "bg"}
_BRIGHT = 8
_CUBE = 16
_GREYS = 232
_BYTE = 255


@dataclass(frozen=True, slots=True)
class _Pen:
    """How text is shown. A colour is ``0`` to ``15`` for the terminal's own, ``#rrggbb``, or empty for the default."""

    fg: str = ""
    bg: str = ""
    bold: bool = False
    italic: bool = False
    underline: bool = False

    def span(self, text: str) -> str:
        """Return escaped text in a span that shows it as this pen does."""
        classes = [name for name, on in (("ab", self.bold), ("ai", self.italic), ("au", self.underline)) if on]
        styles = []
        for kind, colour in (("f", self.fg), ("b", self.bg)):
            if colour.startswith("#"):
                classes.append(f"a{kind}x")
                styles.append(f"--{kind}:{colour}")
            elif colour:
                classes.append(f"a{kind}{colour}")
        if not classes:
            return escape(text)
        style = f' style="{";".join(styles)}"' if styles else ""
        return f'<span class="{" ".join(classes)}"{style}>{escape(text)}</span>'


def ansi_to_html(text: str) -> str:
    """Return text of a terminal as HTML.

    The spans' classes are ``ab``, ``ai`` and ``au`` for bold, italic and underlined; ``af0`` to ``af15`` and
    ``ab0`` to ``ab15`` for the terminal's own colours; ``afx`` and ``abx`` with a custom property ``--f`` or
    ``--b`` for any other colour, so that a style sheet can fit them to its background.
    """
    pieces = _COLOUR.split(keep_colours(text))
    pen = _Pen()
    parts = []
    # The pattern has one group, so texts and codes alternate, a text first.
    for text_piece, codes in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        if text_piece:
            parts.append(pen.span(text_piece))
        pen = _apply(pen, codes)
    return "".join(parts)


def _apply(pen: _Pen, codes: str) -> _Pen:
    numbers = [int(code[:4]) if code else 0 for code in codes.replace(":", ";").split(";")]
    while numbers:
        number = numbers.pop(0)
        if number in _EXTENDED:
            colour, numbers = _extended(numbers)
            pen = replace(pen, fg=colour) if number == min(_EXTENDED) else replace(pen, bg=colour)
        else:
            pen = _simple(pen, number)
    return pen


def _simple(pen: _Pen, number: int) -> _Pen:
    tens, ones = divmod(number, 10)
    if ones < _BRIGHT and tens in {3, 4, 9, 10}:
        colour = str(ones if tens in {3, 4} else ones + _BRIGHT)
        return replace(pen, fg=colour) if tens in {3, 9} else replace(pen, bg=colour)
    changes: dict[int, _Pen] = {
        0: _Pen(),
        1: replace(pen, bold=True),
        3: replace(pen, italic=True),
        4: replace(pen, underline=True),
        22: replace(pen, bold=False),
        23: replace(pen, italic=False),
        24: replace(pen, underline=False),
        39: replace(pen, fg=""),
        49: replace(pen, bg=""),
    }
    return changes.get(number, pen)


def _extended(numbers: list[int]) -> tuple[str, list[int]]:
    """Read the rest of ``38;5;n`` or ``38;2;r;g;b``: the colour, and the codes after it."""
    match numbers:
        case [5, index, *rest]:
            return _indexed(min(index, _BYTE)), rest
        case [2, red, green, blue, *rest]:
            return "#" + "".join(f"{min(value, _BYTE):02x}" for value in (red, green, blue)), rest
        case _:
            return "", []


def _indexed(index: int) -> str:
    """Return a colour of the table of 256: 16 of the terminal's own, a cube of 6 x 6 x 6, and 24 greys."""
    if index < _CUBE:
        return str(index)
    if index >= _GREYS:
        return "#" + f"{8 + 10 * (index - _GREYS):02x}" * 3
    levels = (0, 95, 135, 175, 215, 255)
    index -= _CUBE
    return f"#{levels[index // 36]:02x}{levels[index // 6 % 6]:02x}{levels[index % 6]:02x}"
