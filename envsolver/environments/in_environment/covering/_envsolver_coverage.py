# ruff: noqa: INP001, PTH109, PTH112, PTH118, PTH119, PTH120, PTH123, SIM105  # every process of a notebook loads it
"""Measures which lines of the package under test this process runs.

coverage itself is loaded from an overlay: a directory that is on the import path while it is loaded, and at no other
time. In a template, whose kernels have a directory for their data and which has none, it is loaded and not started.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library and the overlay.
"""

from __future__ import annotations

import atexit
import json
import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

SETTINGS = "ENVSOLVER_COVERAGE"
"""Variable with what is to be measured, as JSON: ``overlay``, ``python``, ``root``, ``config``, ``branch``, ``source``
and ``packages``."""

DATA = "ENVSOLVER_COVERAGE_DATA"
"""Variable with the directory for the data of a job."""

_BRANCHES_SINCE = (3, 14)  # by `sys.monitoring`, which also needs
_MONITORING_SINCE = (3, 12)
_NEEDLESS = (
    "no-data-collected", "module-not-imported", "module-not-measured", "module-not-python", "already-imported",
    "no-sysmon", "no-ctracer",
)  # fmt: skip

_running: Any = None


def start() -> None:
    """Measure from now on, if this process belongs to a notebook; else only load what does so."""
    global _running  # noqa: PLW0603  # a process has one
    text, data = os.environ.get(SETTINGS), os.environ.get(DATA)
    if not text or not data:
        return
    settings = json.loads(text)
    if settings["python"] != "{}.{}".format(*sys.version_info[:2]):  # another interpreter, which a notebook starts
        return
    try:
        coverage = _load(settings["overlay"])
        if _running is None and os.path.isdir(data):
            _running = _begun(coverage, settings, data)
            atexit.register(save)
    except Exception as error:  # noqa: BLE001  # the notebook runs on, and the run tells
        _tell(data, error)


def save() -> None:
    """Write down what was measured, and measure no more."""
    if _running is not None:
        try:
            _running.stop()
            _running.save()
        except Exception as error:  # noqa: BLE001  # as above
            _tell(os.environ.get(DATA, ""), error)


def _load(overlay: str) -> Any:
    if "coverage" not in sys.modules:
        sys.path.insert(0, overlay)
        try:
            import coverage  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
        finally:
            sys.path.remove(overlay)
    return sys.modules["coverage"]


def _begun(coverage: Any, settings: dict[str, Any], data: str) -> Any:
    here, root = os.getcwd(), settings["root"]
    likeness = os.path.join(os.path.dirname(data), "w", os.path.basename(root))
    home = likeness if os.path.isdir(likeness) else root
    os.chdir(home)  # what a project's configuration names is relative to its root
    try:
        measured = coverage.Coverage(
            data_file=os.path.join(data, "data"),
            data_suffix=True,
            branch=settings["branch"],
            config_file=settings["config"] or True,
            source=settings["source"] or None,
        )
        named = ("run:source", "run:source_pkgs", "run:source_dirs", "run:include")
        if not any(_option(measured, name) for name in named):
            measured.set_option("run:source", [home])
            measured.set_option("run:source_pkgs", settings["packages"])
        for name in ("run:source", "run:source_dirs", "run:include", "run:omit"):
            # A forked child asks again, and may stand elsewhere by then.
            _set(measured, name, [_absolute(place, home) for place in _option(measured, name) or ()])
        measured.set_option("run:disable_warnings", [*(_option(measured, "run:disable_warnings") or ()), *_NEEDLESS])
        _set(measured, "run:patch", ["_exit", "execv", "fork"])
        # coverage's own way with them has children read its file anew, and write where that says.
        concurrency = [name for name in _option(measured, "run:concurrency") or () if name != "multiprocessing"]
        measured.set_option("run:concurrency", concurrency)
        if _is_fast(measured):
            _set(measured, "run:core", "sysmon")
        measured.start()
    finally:
        os.chdir(here)
    return measured


def _absolute(place: str, home: str) -> str:
    """Return a directory or a pattern from the root; what is no directory may be a package, and stays."""
    is_pattern = "*" in place[1:] or place.endswith(".py")
    path = os.path.join(home, place)
    return path if place[:1] not in ("*", "?", "/") and (is_pattern or os.path.isdir(path)) else place


def _is_fast(measured: Any) -> bool:
    """Return whether `sys.monitoring` can measure what is asked for."""
    version = sys.version_info[:2]
    needed = _BRANCHES_SINCE if _option(measured, "run:branch") else _MONITORING_SINCE
    others = ("run:core", "run:plugins", "run:dynamic_context")
    plain = set(_option(measured, "run:concurrency") or ()) <= {"thread"}
    return version >= needed and plain and not any(_option(measured, name) for name in others)


def _option(measured: Any, name: str) -> Any:
    try:
        return measured.get_option(name)
    except Exception:  # noqa: BLE001  # this version of coverage does not know it
        return None


def _set(measured: Any, name: str, value: Any) -> None:
    try:
        measured.set_option(name, value)
    except Exception:  # noqa: BLE001, S110  # this version of coverage does not know it, and does without
        pass


def _tell(data: str, error: Exception) -> None:
    try:
        with open(os.path.join(data, "fault"), "w") as file:
            file.write(f"{type(error).__name__}: {error}")
    except OSError:  # the directory is gone, or there never was one
        pass
