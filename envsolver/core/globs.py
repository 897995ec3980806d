"""The one meaning of globs, used wherever a configuration or a command line names notebooks.

Paths are relative to the project's root, with forward slashes. `*` and `?` stay inside one
directory, `[abc]` and `[!abc]` are one character, `**` as a whole component is any number of
directories, and a slash at the end means everything below. `demos/**` is everything below `demos`.
A leading dot is nothing special. A path always matches itself, even when it holds glob characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_MAGIC = frozenset("*?[")


def is_glob(text: str) -> bool:
    """Return whether a text holds glob characters."""
    return not _MAGIC.isdisjoint(text)


def glob_escape(text: str) -> str:
    """Return a glob that matches a text and nothing else."""
    return re.sub(r"([*?[])", r"[\1]", text)


def glob_matches(path: str, pattern: str) -> bool:
    """Return whether a path, relative to the root and with forward slashes, matches a glob."""
    path, pattern = _composed(path), _composed(pattern)
    return path == pattern or compile_glob(pattern).fullmatch(path) is not None


def matches_any(path: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a path matches one of several globs."""
    return any(glob_matches(path, pattern) for pattern in patterns)


def glob_base(pattern: str) -> str:
    """Return the directory that holds everything a glob can match, such as ``demos`` of ``demos/**/*.ipynb``.

    It is empty for the root itself.
    """
    base: list[str] = []
    for part in _parts(pattern)[:-1]:
        if is_glob(part):
            break
        base.append(part)
    return "/".join(base)


def glob_depth(pattern: str) -> int | None:
    """Return how many components a match has, or None when ``**`` leaves that open."""
    parts = _parts(pattern)
    return None if "**" in parts else len(parts)


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """Translate a glob to a regular expression that is meant for `fullmatch`."""
    parts = _parts(pattern)
    last = len(parts) - 1
    pieces: list[str] = []
    for index, part in enumerate(parts):
        if part == "**":
            pieces.append(".+" if index == last else "(?:[^/]+/)*")
        else:
            pieces.append(_component(part) + ("" if index == last else "/"))
    return re.compile("".join(pieces), re.DOTALL)


def _composed(text: str) -> str:
    """Return a text in Unicode's composed form, since macOS and editors write accents differently."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _parts(pattern: str) -> list[str]:
    """Split a glob in components, without `.`, empty ones, and repeated ``**``."""
    parts: list[str] = []
    for part in [*pattern.split("/")[:-1], pattern.rsplit("/", 1)[-1] or "**"]:
        if part in {"", "."} or (part == "**" and parts and parts[-1] == "**"):
            continue
        parts.append(part)
    return parts


def _component(part: str) -> str:
    """Translate one component, which holds no slash."""
    pieces: list[str] = []
    position = 0
    while position < len(part):
        char = part[position]
        position += 1
        if char == "*":
            if pieces[-1:] != ["[^/]*"]:
                pieces.append("[^/]*")
        elif char == "?":
            pieces.append("[^/]")
        elif char == "[" and (end := _class_end(part, position)) > 0:
            pieces.append(_character_class(part[position:end]))
            position = end + 1
        else:
            pieces.append(re.escape(char))
    return "".join(pieces)


def _class_end(part: str, start: int) -> int:
    """Return where the bracket that was opened before `start` closes, or -1 when it never does."""
    # A closing bracket right after the opening one, or after its `!`, is a member.
    first = start + (part[start : start + 1] == "!")
    return part.find("]", first + 1)


def _character_class(content: str) -> str:
    """Translate what stands between brackets."""
    negated = content.startswith("!")
    content = content[negated:]
    members: list[str] = []
    position = 0
    while position < len(content):
        low = content[position]
        if content[position + 1 : position + 2] == "-" and position + 2 < len(content):
            high = content[position + 2]
            if low <= high:  # A range that runs backwards holds nothing.
                members.append(f"{re.escape(low)}-{re.escape(high)}")
            position += 3
        else:
            members.append(re.escape(low))
            position += 1
    if not members:
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{''.join(members)}]"
