"""``python -m pip``."""

import sys

from _envsolver_guard import run  # type: ignore[import-not-found]  # it stands beside this package

sys.exit(run("pip", sys.argv[1:]))
