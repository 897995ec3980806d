"""Formulas of prose as MathML, which browsers draw by themselves: a report runs no script that could do it."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.etree.ElementTree import Element

LENGTH = 3000
"""Characters of a formula that is still drawn; a longer one is shown as it was written."""
COUNT = 400
"""Formulas of one notebook that are drawn."""

_FORMULA = re.compile(
    r"\$\$(?P<display>.+?)\$\$"
    r"|(?P<environment>\\begin\{(?P<name>(?:equation|align|gather)\*?)\}.+?\\end\{(?P=name)\})"
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$]*[^\s$\\])?)\$(?!\d)",
    re.DOTALL,
)
_ELEMENT = re.compile(
    "math|menclose|merror|mfenced|mfrac|mi|mlabeledtr|mmultiscripts|mn|mo|mover|mpadded|mphantom|mprescripts|mroot|mrow|ms"
    "|mspace|msqrt|mstyle|msub|msubsup|msup|mtable|mtd|mtext|mtr|munder|munderover|none"
)
_ATTRIBUTE = re.compile(
    "accent|accentunder|columnalign|columnlines|columnspacing|depth|display|displaystyle|fence|form|frame|height|largeop"
    "|linethickness|lspace|mathcolor|mathsize|mathvariant|maxsize|minsize|movablelimits|notation|rowlines|rowspacing"
    "|rspace|scriptlevel|separator|stretchy|symmetric|voffset|width"
)
_CODE = {"code", "pre", "script", "style", "math"}


def draw_formulas(soup: Any) -> None:
    """Put MathML in the place of the formulas in a notebook's prose; what cannot be read stays as it is."""
    left = COUNT
    for prose in soup.select(".text_cell_render"):
        for text in prose.find_all(string=_FORMULA):
            if left and not any(parent.name in _CODE for parent in text.parents):
                left -= 1
                _draw(soup, text)


def _draw(soup: Any, text: Any) -> None:
    last = 0
    whole = str(text)
    for found in _FORMULA.finditer(whole):
        formula = _mathml(soup, found)
        if formula is not None:
            text.insert_before(soup.new_string(whole[last : found.start()]), formula)
            last = found.end()
    text.replace_with(soup.new_string(whole[last:]))


def _mathml(soup: Any, found: re.Match[str]) -> Any:
    from latex2mathml.converter import convert_to_element

    tex = found["display"] or found["environment"] or found["inline"]
    if len(tex) > LENGTH:
        return None
    try:
        return _element(soup, convert_to_element(tex, display="inline" if found["inline"] else "block"))
    except Exception:  # noqa: BLE001 (a formula can hold anything; it is shown as it was written then)
        return None


def _element(soup: Any, drawn: Element) -> Any:
    """Copy an element of MathML: names that are known, and text as text, whatever the formula holds."""
    if not _ELEMENT.fullmatch(drawn.tag):
        raise ValueError(f"{drawn.tag} is no element of a formula")
    known = {name: value for name, value in drawn.attrib.items() if _ATTRIBUTE.fullmatch(name)}
    copy = soup.new_tag(drawn.tag, attrs=known)
    # The library writes signs as character references.
    copy.append(unescape(drawn.text or ""))
    for child in drawn:
        copy.append(_element(soup, child))
        copy.append(unescape(child.tail or ""))
    return copy
