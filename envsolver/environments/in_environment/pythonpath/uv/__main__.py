"""``python -m uv``, which is what ``%uv`` calls."""

import sys

from _envsolver_guard import run  # type: ignore[import-not-found]  # it stands beside this package

sys.exit(run("uv", sys.argv[1:]))
