# ruff: noqa: INP001, PTH100, PTH110, PTH118, PTH120  # its directory is put on the import path; it is no package
"""What every interpreter of a notebook loads at its start: what tells of its imports, then the next of this name.

The kernel itself tells by other means, and has not begun to when it loads this.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

_here = os.path.dirname(os.path.abspath(__file__))
_log = os.environ.get("ENVSOLVER_READ", "")
_finders: Any = sys.modules["_frozen_importlib_external"]
if os.path.exists(_log) and hasattr(sys, "addaudithook"):
    _file = os.path.join(os.path.dirname(_here), "program_reading" + ".py")
    _space: dict[str, Any] = {"__name__": "program_reading", "__file__": _file}
    exec(_finders.SourceFileLoader("program_reading", _file).get_code("program_reading"), _space)  # noqa: S102  # our own file
    _space["watch"](_log)

_later = sys.path[sys.path.index(_here) + 1 :] if _here in sys.path else []
_spec = _finders.PathFinder.find_spec(__name__, _later)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(sys.modules["_frozen_importlib"].module_from_spec(_spec))
