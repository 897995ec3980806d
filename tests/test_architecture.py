"""Promise: data goes one way, and each module imports only what its stage may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "envsolver"

VALUES = {"models", "errors", "settings"}
ALL = {"*"}

# What each module may import of ours, beside the values. A module that is not listed may import nothing else.
ALLOWED: dict[str, set[str]] = {
    "config": {"config_checks", "config_types", "globs", "toml_places"},
    "config_checks": {"config_types", "globs"},
    # Reading notebooks.
    "discovery": {"globs", "reading", "walk"},
    "walk": {"globs"},
    "reading": {"cell_findings", "cells", "distributions", "installs", "local_modules", "notebook_file", "scripts"},
    "cells": {"cell_*", "conditions", "path_expressions"},
    "cell_syntax": {"cell_signs"},
    "installs": {"cell_findings", "shell_words"},
    "local_modules": {"cell_findings", "cells"},
    # Solving.
    "uv": {"file_lock", "interpreters", "uv_answers", "uv_settings"},
    "requirements": {"requirement_text", "uv_settings"},
    "requirement_text": {"uv_settings"},
    "locks": {"requirement_text", "requirements", "uv", "uv_answers", "uv_settings"},
    "oracle": {"locks", "requirements", "specifiers", "uv", "uv_answers"},
    "specifiers": {"requirement_text"},
    "conflicts": {"explanations", "locks", "oracle", "requirement_text", "requirements", "specifiers"},
    "explanations": {"oracle", "requirement_text", "specifiers"},
    "solving": {"conflicts", "locks", "oracle", "matrix", "requirements", "specifiers", "uv", "uv_answers"},
    "lockfiles": {"locks", "requirement_text", "requirements", "specifiers", "uv", "uv_answers", "uv_settings"},
    "matrix": {"specifiers", "uv"},
    "partition": {"colouring", "oracle"},
    "demands": {"requirement_text", "requirements", "resolver"},
    "derive": {"conflicts", "demands", "explanations", "oracle", "partition", "requirement_text", "requirements", "specifiers"},
    "resolver": {"globs", "locks", "requirement_text", "requirements"},
    "venv": {"file_lock", "uv", "uv_settings"},
    # Test files.
    "booktests": {"booktest_files", "config", "config_types", "discovery", "edits"},
    # Running.
    "processes": {"scratch"},
    "services": {"processes"},
    "kernel": {"processes"},
    "monitor": {"processes"},
    "surroundings": {"processes"},
    "client": {"edits", "kernel"},
    "session": {"client", "edits", "kernel", "monitor", "processes", "scratch", "surroundings"},
    "worker": {"edits", "scratch", "session", "surroundings"},
    "executors": {"processes", "worker"},
    "runner": {"executors", "plan", "processes"},
    # The wiring.
    "commands_booktests": ALL,
    "commands_report": ALL,
    "commands_solve": ALL,
    "testing": ALL,
    "__main__": {"cli"},
    "project": ALL,
    "jobs": ALL,
    "workflow": ALL,
    "cli": ALL,
}

# The only modules that may import a library which must stay behind one door.
DOORS = {
    "parsl": {"executors"},
    "click": {"cli", "commands_booktests", "commands_report", "commands_solve", "tables"},
    "pydantic": {"settings", "config", "config_types", "config_checks", "report.data"},
    "nbclient": {"client"},
}

# What the far side may import beside the standard library, so that a worker starts fast.
FAR_SIDE = {"client", "edits", "kernel", "monitor", "processes", "scratch", "session", "surroundings", "worker"}
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


def may(allowed: set[str], name: str) -> bool:
    starts = {entry[:-1] for entry in allowed if entry.endswith("*")}
    return name in allowed or any(name.startswith(start) for start in starts)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_stage_may(module: str) -> None:
    family = {"report.*"} if module.startswith("report.") else set()
    if ALLOWED.get(module) == ALL:
        return
    allowed = VALUES | ALLOWED.get(module, set()) | family if module not in VALUES else set()
    assert {name for name in ours(module) if not may(allowed, name) and name != "__version__"} == set()


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
