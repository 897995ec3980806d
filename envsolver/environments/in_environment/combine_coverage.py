"""Combines the data of a run's notebooks into the project's own data file; runs where coverage is installed.

Run in the project's root with one argument, JSON: ``files`` (of data), ``config`` (coverage's configuration file,
empty for what it finds), ``branch``, ``append`` (keep what is there), ``begun`` (when the run began, seconds since the
epoch: what was written since then belongs to a run beside it, and is kept). Prints the data file's path.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(request: dict[str, Any]) -> str:
    """Combine, and return the data file's path."""
    import coverage  # type: ignore[import-not-found,unused-ignore]

    measured: Any = coverage.Coverage(config_file=request["config"] or True, branch=request["branch"])
    place = Path(str(measured.get_option("run:data_file"))).absolute()
    kept = place.exists() and (request["append"] or place.stat().st_mtime >= request["begun"])
    new = place.with_name(f"{place.name}-{os.getpid()}")
    try:
        combined: Any = coverage.Coverage(
            data_file=str(new), config_file=request["config"] or True, branch=request["branch"]
        )
        sources = [*request["files"], *([str(place)] if kept else [])]
        combined.combine(sources, strict=False, keep=True)
        combined.save()
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
    return str(place)


if __name__ == "__main__":
    sys.stdout.write(main(json.loads(sys.argv[1])))
