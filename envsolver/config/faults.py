"""What is wrong with a configuration, key by key, in TOML's words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFault:
    """What is wrong with one key of the configuration; an empty key means the configuration as a whole."""

    key: Key
    text: str


def show(value: object) -> str:
    """Name a TOML value in a fault."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{value}"' if value else "an empty text"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, (tuple, list)) else "a date or time"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a phrase that suggests the nearest of some known names, or an empty text."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
