# ruff: noqa: INP001  # its directory is put on the import path; it is no package
"""What a notebook is shown that asks pip, uv or conda for what is installed.

Runs on the environment's interpreter, as `_envsolver_guard` does.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def normal(name: str) -> str:
    """Return a distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(command: str, words: Sequence[str], installed: Iterable[Any]) -> int:
    """Answer ``list``, ``freeze`` or ``show`` from the installed distributions, and return the exit code."""
    found = {normal(dist.metadata["Name"]): dist for dist in installed if dist.metadata["Name"]}
    if command == "show":
        return _show(found, [word for word in words if not word.startswith("-")])
    pairs = [(found[name].metadata["Name"], found[name].version) for name in sorted(found)]
    frozen = command == "freeze" or "--format=freeze" in words
    if "--format=json" in words:
        sys.stdout.write(json.dumps([{"name": name, "version": version} for name, version in pairs]) + "\n")
        return 0
    if not frozen:
        width = max([7, *(len(name) for name, _ in pairs)])
        sys.stdout.write(f"{'Package'.ljust(width)} Version\n{'-' * width} -------\n")
        sys.stdout.writelines(f"{name.ljust(width)} {version}\n" for name, version in pairs)
        return 0
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in pairs)
    return 0


def _show(found: dict[str, Any], names: Sequence[str]) -> int:
    missing = [name for name in names if normal(name) not in found]
    for name in names:
        dist = found.get(normal(name))
        if dist is not None:
            fields = ("Name", "Version", "Summary", "Home-page", "Author", "License")
            lines = [f"{field}: {dist.metadata.get(field) or ''}\n" for field in fields]
            lines.append(f"Location: {dist.locate_file('')}\n")
            needed = (re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in dist.requires or [])
            lines.append(f"Requires: {', '.join(needed)}\n")
            sys.stdout.writelines(lines)
    if missing:
        sys.stderr.write(f"WARNING: Package(s) not found: {', '.join(missing)}\n")
    return 1 if len(missing) == len(names) else 0
