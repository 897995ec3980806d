"""Where pip's own scripts look for pip's `main`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from _envsolver_guard import run  # type: ignore[import-not-found]  # it stands beside this package


def main(args: Sequence[str] | None = None) -> int:
    """Do what ``pip ARGS`` may do, and return its exit code."""
    code: int = run("pip", sys.argv[1:] if args is None else args)
    return code
