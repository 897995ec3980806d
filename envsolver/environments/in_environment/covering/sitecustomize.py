# ruff: noqa: INP001, PTH100, PTH120  # its directory is put on the import path; it is no package
"""What every interpreter of a notebook under coverage loads at its start: coverage, then the next of this name.

It stands on the import path only while coverage is measured, so that child processes are measured as well.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys

import _envsolver_coverage  # type: ignore[import-not-found]  # it stands beside this module

_envsolver_coverage.start()

_here = os.path.dirname(os.path.abspath(__file__))
_later = sys.path[sys.path.index(_here) + 1 :] if _here in sys.path else []
_spec = importlib.machinery.PathFinder.find_spec(__name__, _later)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
