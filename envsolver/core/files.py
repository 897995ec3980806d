"""JSON files of a cache: they are read when they can be, and written whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from envsolver.core.digests import digest
from envsolver.core.parsing import MalformedError, parse_json, read_text

_CHECKSUM = "sha256"
"""The key of what tells a damaged file from a whole one."""


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
    """Write a file so that no reader, not even after a crash, sees a part of it; its directory is made.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    fresh.write_text(json.dumps({**content, _CHECKSUM: _checksum(content)}), encoding="utf-8")
    fresh.replace(path)


def _checksum(content: dict[str, Any]) -> str:
    return digest([json.dumps(content, sort_keys=True)])
