"""Files that are written whole or not at all, and the JSON of caches, which is read when it can be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from envsolver.core.digests import digest
from envsolver.core.parsing import MalformedError, parse_json, read_text

_CHECKSUM = "sha256"
"""The key of the digest that shows whether a file is whole."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that `write_json` put into a file; an empty one when it is not there whole and unchanged."""
    try:
        found = parse_json(read_text(path))
    except (OSError, MalformedError):
        return {}
    if not isinstance(found, dict) or found.pop(_CHECKSUM, None) != _checksum(found):
        return {}
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object as `write_atomically` writes text, with a digest that shows whether the file is whole."""
    write_atomically(path, json.dumps({**content, _CHECKSUM: _checksum(content)}))


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by `text` in UTF-8, so that no reader, not even after a crash, sees a part of it.

    Its directory is made. What UTF-8 cannot hold, such as half a surrogate pair, becomes ``?``.

    Raises
    ------
    OSError
        The file cannot be written; what was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two writers at once, on two machines that share the directory too, must not meet in one temporary file.
    fresh = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        fresh.write_bytes(text.encode("utf-8", "replace"))
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _checksum(content: dict[str, Any]) -> str:
    return digest([json.dumps(content, sort_keys=True)])
