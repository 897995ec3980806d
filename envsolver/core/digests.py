"""Digests of text and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest(parts: Iterable[str]) -> str:
    """Return the SHA-256 of texts, kept separate, in hexadecimal; any text has one, even half a surrogate pair."""
    made = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        made.update(b"%d:" % len(data))
        made.update(data)
    return made.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()
