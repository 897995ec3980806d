"""Promise: data goes one way, and each module imports only what its stage may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "envsolver"

VALUES = {"models", "errors", "settings", "json_files"}
ALL = {"*"}

# What each room may import of ours, beside the values and itself. A room is a package, or a module that stands alone.
ALLOWED: dict[str, set[str]] = {
    "models": set(),
    "errors": set(),
    "settings": set(),
    "json_files": set(),
    "globs": set(),
    "config": {"configuration", "globs"},
    "configuration": {"globs"},
    "discovery": {"globs", "reading"},
    "reading": {"globs"},
    "environments": set(),
    "solver": {"environments", "globs"},
    "history": set(),
    "plan": set(),
    "gpus": set(),
    "tables": {"report"},
    "report": set(),
    "processes": {"scratch"},
    "scratch": {"spares"},
    "spares": set(),
    "services": {"processes"},
    # The far side.
    "kernel": {"processes", "surroundings", "warm_kernel"},
    "warm_kernel": set(),
    "warm": {"processes", "scratch", "surroundings", "warm_plan"},
    "warm_plan": {"warm_imports"},
    "warm_imports": set(),
    "template": set(),
    "template_kernel": set(),
    "template_preload": set(),
    "monitor": {"processes"},
    "surroundings": {"processes"},
    "edits": set(),
    "client": {"edits", "kernel"},
    "notices": {"scratch"},
    "session": {"client", "edits", "kernel", "monitor", "notices", "processes", "scratch", "surroundings"},
    "worker": {"edits", "scratch", "session", "surroundings"},
    # The near side.
    "executors": {"parsl_import", "parsl_monitoring", "processes", "remote", "scratch", "worker"},
    "head_start": {"parsl_import", "processes", "scratch"},
    "parsl_import": set(),
    "parsl_program": {"parsl_import"},
    "parsl_server": {"parsl_program"},
    "parsl_client": set(),
    "remote": {"worker"},
    "worker_shared": {"parsl_import", "worker"},
    "parsl_monitoring": set(),
    "shards": {"config", "history", "report"},
    "merging": {"report"},
    "events": set(),
    "runner": {"events", "executors", "plan", "processes"},
    "booktest_files": set(),
    "booktests": {"booktest_files", "config", "configuration", "discovery", "edits"},
    # The wiring.
    "project": ALL,
    "inputs": {"solver", "survey"},
    "survey": ALL,
    "jobs": ALL,
    "context": ALL,
    "preparation": ALL,
    "syncing": {"project"},
    "workflow": ALL,
    "commands": ALL,
    "testing": ALL,
    "cli": ALL,
    "__main__": {"cli"},
}

# The only modules that may import a library which must stay behind one door.
DOORS = {
    "parsl": {"executors", "head_start", "parsl_monitoring", "parsl_program", "worker_shared"},
    "click": {"cli", "tables", "commands.booktests", "commands.report", "commands.solve"},
    "pydantic": {"configuration.validation", "report.data"},
    "nbclient": {"client"},
}

# What the far side may import beside the standard library, so that a worker starts fast.
FAR_SIDE = {
    "client",
    "edits",
    "kernel",
    "monitor",
    "notices",
    "processes",
    "scratch",
    "session",
    "surroundings",
    "worker",
}
FAR_LIBRARIES = {"nbclient", "nbformat", "jupyter_client", "psutil", "traitlets", "zmq"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = sorted(module_name(p) for p in PACKAGE.rglob("*.py") if p.name != "__init__.py" and "shims" not in p.parts)


def imports(module: str) -> set[str]:
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "envsolver")
    return found


def ours(module: str) -> set[str]:
    return {name.removeprefix("envsolver.") for name in imports(module) if name.startswith("envsolver.")}


def room(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    allowed = ALLOWED[room(module)]
    if allowed == ALL:
        return
    mine = {room(module)} | (VALUES if room(module) not in VALUES else set())
    assert {room(name) for name in ours(module)} - {"__version__"} <= allowed | mine


@pytest.mark.parametrize("library", DOORS)
def test_a_library_stays_behind_its_door(library: str) -> None:
    users = {m for m in MODULES if any(name.split(".")[0] == library for name in imports(m))}
    assert users <= DOORS[library]
    assert users


@pytest.mark.parametrize("module", sorted(FAR_SIDE & set(MODULES)))
def test_the_far_side_stays_light(module: str) -> None:
    import sys

    outside = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names) - {"envsolver"}
    assert outside <= FAR_LIBRARIES
