"""How many bytes each package of an environment takes on disk."""

from __future__ import annotations

import csv
from pathlib import Path

from packaging.utils import canonicalize_name


def package_sizes(prefix: Path) -> dict[str, int]:
    """Return the bytes of each distribution in a virtualenv, by normalised name, as their own records say.

    Compiled bytecode is not counted. An environment that is not built has none.
    """
    sizes: dict[str, int] = {}
    for record in prefix.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        name = canonicalize_name(record.parent.name.split("-")[0])
        sizes[name] = sizes.get(name, 0) + _total(record)
    return sizes


def _total(record: Path) -> int:
    try:
        with record.open(encoding="utf-8", newline="") as lines:
            return sum(int(row[2]) for row in csv.reader(lines) if len(row) > 2 and row[2].isdigit())  # noqa: PLR2004 path, hash, size
    except (OSError, UnicodeDecodeError, csv.Error):
        return 0
