"""Promise: data goes one way, and each room imports only what it may.

One table says who may import what of ours; the others say which library stays behind which door.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

from envsolver.core import paths

PACKAGE = Path(__file__).parents[1] / "envsolver"

ALL = {"*"}

# What each room may import of ours, beside itself: rooms, or single modules of a room.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "config": {"core"},
    "notebooks": {"core"},
    "environments": {"core", "environments.in_environment"},
    "environments.in_environment": set(),
    "resolver": {"core", "environments"},
    "worker": {"core", "environments.in_environment"},
    "run.scheduler": {"core"},
    "run.warm": {
        "core",
        "environments.in_environment",
        "worker.kernel_env",
        "worker.private_directories",
        "worker.processes",
    },
    "run.parsl": {"core", "worker", "run.scheduler.protocols", "run.warm.remote"},
    "run": ALL,
    "report": {"core"},
    "testing": ALL,
    "cli": ALL,
}

# Rooms that only these may import, whoever else may import everything.
ENTRANCES = {"run": {"run", "testing", "cli"}, "testing": {"testing", "cli"}, "cli": {"cli", ""}}

# The only modules that may import a library which must stay behind one door.
DOORS = {
    "parsl": {"run.parsl"},
    "kubernetes": {"run.parsl.kubernetes_api"},
    "click": {"cli"},
    "pydantic": {"config.validation", "report.results_json"},
    "nbclient": {"worker.bounded_client"},
}

# What the far side may import beside the standard library, so that a worker starts fast.
FAR_LIBRARIES = {"nbclient", "nbformat", "jupyter_client", "psutil", "traitlets", "zmq"}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in FILES if name]
PROGRAMS = [name for name in MODULES if name.startswith("environments.in_environment.")]


def imports(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def ours(module: str) -> set[str]:
    """Return the modules of ours that a module imports, each by the longest name that is a module."""
    named = {name.removeprefix("envsolver").removeprefix(".") for name in imports(module) if _is_ours(name)}
    modules = named & set(MODULES)
    return {found for found in modules if not any(other.startswith(f"{found}.") for other in modules)}


def _is_ours(name: str) -> bool:
    return name == "envsolver" or name.startswith("envsolver.")


def within(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def room_of(module: str) -> str:
    """Return the innermost room of the table that a module stands in; empty for the package's root."""
    return max((room for room in ALLOWED if within(module, {room})), key=len, default="")


@pytest.mark.parametrize("module", [m for m in MODULES if m not in PROGRAMS])
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    room = room_of(module)
    for found in ours(module):
        theirs = room_of(found)
        for inner, entrances in ENTRANCES.items():
            if within(theirs, {inner}) and not within(room, {inner}):
                assert any(within(room, {entrance}) or room == entrance for entrance in entrances), found
        if room and ALLOWED[room] != ALL and theirs != room:
            assert within(found, ALLOWED[room]), f"{module} imports {found}"
            # A room's own rooms are not part of it, unless the table names them.
            assert theirs in ALLOWED[room] or found in ALLOWED[room], f"{module} imports {found}"


def test_every_room_has_a_row() -> None:
    rooms = {name for name in MODULES if FILES[name].name == "__init__.py" and name not in PROGRAMS}
    assert rooms == set(ALLOWED)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("library", DOORS)
def test_a_library_stays_behind_its_door(library: str) -> None:
    users = {m for m in MODULES if any(name.split(".")[0] == library for name in imports(m))}
    assert users
    assert {user for user in users if not within(user, DOORS[library])} == set()


READERS = {"config", "notebooks", "resolver", "testing", "report", "environments.uv_settings", "run.history"}
"""The rooms, and modules, that read what other people write."""

PARSERS = {"ast.parse", "json.loads", "tomllib", "tomli", "packaging.requirements.InvalidRequirement"}


@pytest.mark.parametrize("module", [m for m in MODULES if within(m, READERS)])
def test_what_people_write_is_parsed_behind_one_door(module: str) -> None:
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not (used | imports(module)) & PARSERS


LONG_MODULES = {"worker.kernel", "environments.in_environment.template_server", "run.history"}
LONGEST_MODULE, LONGEST_CLASS, LONGEST_FUNCTION, MOST_ATTRIBUTES = 400, 250, 45, 12


def own_attributes(definition: ast.ClassDef) -> set[str]:
    """Return what a class sets on `self`; the fields of a value are not among them."""
    stored = (n for n in ast.walk(definition) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
    return {node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == "self"}


@pytest.mark.parametrize("module", MODULES)
def test_a_reader_can_keep_each_part_in_mind(module: str) -> None:
    text = FILES[module].read_text(encoding="utf-8")
    assert module in LONG_MODULES or len(text.splitlines()) <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        lines = (getattr(node, "end_lineno", None) or 0) - getattr(node, "lineno", 0) + 1
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert lines <= LONGEST_FUNCTION, node.name
        elif isinstance(node, ast.ClassDef):
            assert lines <= LONGEST_CLASS, node.name
            assert len(own_attributes(node)) <= MOST_ATTRIBUTES, node.name


def test_no_two_classes_have_one_name() -> None:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in FILES.values())
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("name", [paths.RESULTS, paths.JUNIT, paths.REPORT])
def test_the_name_of_a_file_or_folder_stands_in_one_module(name: str) -> None:
    def texts(module: str) -> set[object]:
        tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
        return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}

    assert [module for module in MODULES if name in texts(module)] == ["core.paths"]


@pytest.mark.parametrize("module", [m for m in MODULES if within(m, {"worker"})])
def test_the_far_side_stays_light(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names) - {"envsolver"}
    assert outside <= FAR_LIBRARIES


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_of_an_environment_import_nothing_of_ours(program: str) -> None:
    kernel = {"ipykernel", "IPython", "traitlets", "zmq", "tornado", "jupyter_client", "psutil"}
    beside = {path.stem for path in FILES["environments.in_environment"].parent.rglob("_envsolver_*.py")}
    # A stand-in for pip asks the environment's own packages, when they are there, what is installed.
    asked = {"packaging", "importlib_metadata"} if program.endswith(("_guard", "_places")) else set()
    asked |= {"coverage"} if "cover" in program else set()  # which stands in an environment of its own
    assert {name.split(".")[0] for name in imports(program)} <= {*sys.stdlib_module_names, *kernel, *beside, *asked}


@pytest.mark.parametrize("module", [m for m in MODULES if m != "environments.in_environment"])
def test_a_program_of_an_environment_is_named_in_one_place(module: str) -> None:
    files = {path.name for path in FILES["environments.in_environment"].parent.rglob("*.py")} - {"__init__.py"}
    text = {n.value for n in ast.walk(ast.parse(FILES[module].read_text("utf-8"))) if isinstance(n, ast.Constant)}
    assert not files & {value.rsplit("/", 1)[-1] for value in text if isinstance(value, str)} - {"__main__.py"}


@pytest.mark.parametrize("module", ["core", "worker", "run", "run.parsl", "run.scheduler", "run.warm"])
def test_a_room_that_forked_workers_load_holds_no_code(module: str) -> None:
    body = ast.parse(FILES[module].read_text(encoding="utf-8")).body
    assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def documented(allowed: set[str]) -> str:
    """Return a row's last column in docs/explanation/architecture.md."""
    if allowed == ALL:
        return "everything"
    return ", ".join(f"`{name}`" for name in sorted(allowed)) or "nothing"


def test_the_architectures_table_of_rooms_is_this_one() -> None:
    text = (PACKAGE.parent / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = [
        line.strip("| ").split(" | ") for line in text.partition("## The rooms")[2].splitlines() if line[:3] == "| `"
    ]
    assert {room.strip("`"): last for room, _, last in rows} == {r: documented(a) for r, a in ALLOWED.items()}
