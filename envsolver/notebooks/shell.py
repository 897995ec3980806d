"""Split a shell's text in simple commands and words: as much of the shell as install lines in notebooks use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPERATORS = re.compile(r"&&|\|\||;;|[;|&\n()]")
_VARIABLE = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
# A version's comparison is meant as such, although a shell reads a redirection: `pip install numpy>=1.26`.
_REDIRECTION = re.compile(r"(?:\d*|&)(?:>>?|<)(?P<target>.*)", re.DOTALL)
_OPENING = frozenset({"if", "while", "until", "for", "case"})
_CLOSING = frozenset({"fi", "done", "esac"})
_PREFIXES = frozenset({"then", "else", "elif", "do", "{", "!", "sudo", "time", "exec", "command", "nohup", "env"})


@dataclass(frozen=True, kw_only=True, slots=True)
class SimpleCommand:
    """One command with its arguments."""

    words: tuple[str, ...]
    line: int
    """How many lines of the text precede it."""
    guarded: bool = False
    """Whether it depends on another command's outcome."""


def simple_commands(text: str) -> Iterator[SimpleCommand]:
    """Yield the simple commands of a shell's text, redirections and variables set for them left out."""
    words: list[str] = []
    line = depth = 0
    alternative = False
    for word, is_operator, number in [*_tokens(text), ("\n", True, 0)]:
        if not is_operator:
            if not words:
                line = number
            words.append(word)
            continue
        first = words[0] if words else ""
        depth = max(0, depth + (first in _OPENING) - (first in _CLOSING))
        kept = _without_prefixes(words)
        if kept:
            yield SimpleCommand(words=tuple(kept), line=line, guarded=alternative or depth > 0)
        words = []
        alternative = word == "||"


def _without_prefixes(words: list[str]) -> list[str]:
    """Return a command's own words."""
    start = 0
    while start < len(words) and (
        words[start] in _PREFIXES or words[start] in _OPENING or _VARIABLE.fullmatch(words[start])
    ):
        start += 1
    kept: list[str] = []
    skip = False
    for word in words[start:]:
        found = None if skip else _REDIRECTION.fullmatch(word)
        if found is None and not skip:
            kept.append(word)
        skip = found is not None and not found["target"]
    return kept


def _tokens(text: str) -> Iterator[tuple[str, bool, int]]:
    """Yield words and operators, each with whether it is an operator and how many lines precede it."""
    position = 0
    line = 0
    while position < len(text):
        char = text[position]
        if text.startswith("\\\n", position):
            position += 2
            line += 1
        elif char == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        elif operator := _operator(text, position):
            yield operator, True, line
            position += len(operator)
            line += operator.count("\n")
        elif char.isspace():
            position += 1
        else:
            word, end = _word(text, position)
            yield word, False, line
            line += text.count("\n", position, end)
            position = end


def _operator(text: str, position: int) -> str:
    """Return the operator that stands at a place, or an empty text."""
    found = _OPERATORS.match(text, position)
    # `&>` and `>&` are redirections.
    if found is None or (found[0] == "&" and text[position + 1 : position + 2] == ">"):
        return ""
    return found[0]


def _word(text: str, position: int) -> tuple[str, int]:
    """Return the word that begins at a place, quotes taken off, and where it ends."""
    pieces: list[str] = []
    braces = 0
    while position < len(text):
        char = text[position]
        if char in "\"'" and (end := _closing_quote(text, position)) > 0:
            pieces.append(text[position + 1 : end])
            position = end + 1
            continue
        if char == "\\" and position + 1 < len(text):
            if text[position + 1] != "\n":
                pieces.append(text[position + 1])
            position += 2
            continue
        if not braces and (char.isspace() or (_operator(text, position) and text[position - 1] != ">")):
            break
        braces = max(0, braces + (char == "{") - (char == "}"))
        pieces.append(char)
        position += 1
    return "".join(pieces), position


def _closing_quote(text: str, position: int) -> int:
    """Return where the quote that opens at a place closes, or -1."""
    quote = text[position]
    end = text.find(quote, position + 1)
    while quote == '"' and end > 0 and text[end - 1] == "\\":
        end = text.find(quote, end + 1)
    return end
