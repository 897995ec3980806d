"""Read test files for what they do, without running them: which notebooks they test, with which settings.

All that is found here follows from the source alone, so nothing of a test file is imported.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from envsolver.core.parsing import ODD_INPUT, MalformedError, parse_python, phrase_of
from envsolver.core.settings import NotebookSettings

BASE = "NotebookTestCase"
TEST = "test_notebook"
SETTINGS = tuple(each.name for each in fields(NotebookSettings))
"""What a test class may set about its notebook: the same as the configuration's table of one notebook."""

_RUNS = frozenset({"value", "result"})
"""What runs the notebook when a test asks for it, beside `test_notebook` itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TestClass:
    """One class of a test file that derives from `NotebookTestCase`."""

    __test__ = False

    name: str
    line: int
    notebook: str | None = None
    """Path relative to the project's root; None when the class does not say, or computes it."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What it sets about the notebook, as far as it is written as literals."""
    skip: str = ""
    """Why it never runs the notebook, as its author says; empty when it does run."""
    fault: str = ""
    """Why it runs nothing without its author saying so; empty when it does run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TestFile:
    """A test file: its path relative to the root, its classes, and why it cannot be read, if so."""

    __test__ = False

    path: str
    classes: tuple[TestClass, ...] = ()
    fault: str = ""

    @property
    def name(self) -> str:
        """The file's name without its ending, such as ``tb_quickstart``."""
        return Path(self.path).stem


def read_test_files(root: Path, directory: str) -> tuple[TestFile, ...]:
    """Read all ``tb_*.py`` below a directory of the project, sorted by path."""
    found = sorted((root / directory).rglob("tb_*.py"))
    return tuple(_read(path, path.relative_to(root).as_posix()) for path in found)


def _read(path: Path, relative: str) -> TestFile:
    try:
        return read_test_file(relative, path.read_bytes())
    except ODD_INPUT as error:
        return TestFile(path=relative, fault=f"cannot be understood: {phrase_of(error)}")


def read_test_file(path: str, source: bytes | str) -> TestFile:
    """Read one test file from its source."""
    try:
        module = parse_python(source)
    except MalformedError as error:
        return TestFile(path=path, fault=f"is {error}")
    return TestFile(path=path, classes=tuple(_classes(module)))


def _classes(module: ast.Module) -> Iterator[TestClass]:
    """Yield the classes that a test runner would collect, each with what it inherits in this file."""
    bases = _names_of_base(module)
    known: dict[str, _Facts] = {}
    whole = _skip_of_assignments(module.body)
    for node in ast.walk(module):
        if not isinstance(node, ast.ClassDef):
            continue
        names = [_last_name(base) for base in node.bases]
        parents = [known[name] for name in names if name in known]
        if not parents and not bases.intersection(_dotted(base) for base in node.bases):
            continue
        facts = _facts(node, parents)
        known[node.name] = facts
        found = _judge(node, facts)
        yield replace(found, skip=found.skip or whole)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What a class has, its bases in the same file included."""

    assigned: Mapping[str, ast.expr]
    methods: Mapping[str, ast.FunctionDef]


def _facts(node: ast.ClassDef, parents: Sequence[_Facts]) -> _Facts:
    assigned: dict[str, ast.expr] = {}
    methods: dict[str, ast.FunctionDef] = {}
    for parent in reversed(parents):
        assigned.update(parent.assigned)
        methods.update(parent.methods)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef):
            methods[statement.name] = statement
        else:
            assigned.update(_assignments(statement))
    return _Facts(assigned=assigned, methods=methods)


def _judge(node: ast.ClassDef, facts: _Facts) -> TestClass:
    settings = {}
    for name in ("notebook", *SETTINGS):
        with contextlib.suppress(KeyError, ValueError):
            settings[name] = ast.literal_eval(facts.assigned[name])
    notebook = settings.pop("notebook", None)
    said, fault = _skipped(node, facts, settings)
    if not said and not fault:
        fault = _idle(facts)
    if not notebook:
        computed = "notebook" in facts.assigned and not isinstance(notebook, str)
        fault = fault or ("computes its `notebook`; write it as plain text" if computed else "has no `notebook`")
    return TestClass(
        name=node.name,
        line=node.lineno,
        notebook=notebook if isinstance(notebook, str) and notebook else None,
        settings={name: value for name, value in settings.items() if value is not None},
        skip=said,
        fault=fault,
    )


def _skipped(node: ast.ClassDef, facts: _Facts, settings: Mapping[str, object]) -> tuple[str, str]:
    """Return the reason why a class is skipped, and what is wrong when it is skipped without one."""
    if settings.get("skip") is not None:
        reason = settings["skip"]
        return (reason, "") if isinstance(reason, str) and reason.strip() else ("", "is skipped without a reason")
    skips = [_skip_of(decorator) for decorator in node.decorator_list]
    if TEST in facts.methods and not _other_tests(facts):
        skips += [_skip_of(decorator) for decorator in facts.methods[TEST].decorator_list]
    for name in ("setUp", "setUpClass", *([] if _other_tests(facts) else [TEST])):
        skips += [_skip_of(_raised(s)) for s in (facts.methods[name].body if name in facts.methods else [])]
    found = [skip for skip in skips if skip is not None]
    if not found:
        return "", ""
    reason = next((skip for skip in found if skip.strip()), "")
    return (reason, "") if reason else ("", "is skipped without a reason")


def _idle(facts: _Facts) -> str:
    """Say why none of a class's tests runs the notebook; empty when one does."""
    hidden = facts.assigned.get("__test__")
    if isinstance(hidden, ast.Constant) and not hidden.value:
        return "is hidden from pytest by `__test__`"
    tests = [method for name, method in facts.methods.items() if name.startswith("test")]
    if TEST not in facts.methods and TEST not in facts.assigned:
        return ""
    if any(_runs_notebook(method) for method in tests):
        return ""
    what = "overrides" if TEST in facts.methods else "removes"
    return f"{what} `{TEST}` and never runs the notebook"


def _runs_notebook(method: ast.FunctionDef) -> bool:
    """Return whether a method calls ``super().test_notebook``, or asks for what only a run has."""
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute):
            owner = node.value
            if node.attr in _RUNS and isinstance(owner, ast.Name) and owner.id == "self":
                return True
            if node.attr == TEST and (isinstance(owner, ast.Call) or _last_name(owner) == BASE):
                return True
    return False


def _other_tests(facts: _Facts) -> bool:
    return any(name.startswith("test") and name != TEST for name in facts.methods)


def _skip_of(node: ast.AST | None) -> str | None:
    """Return the reason of an unconditional skip, empty when it has none; None when this is no such skip."""
    call = node.func if isinstance(node, ast.Call) else node
    name = _last_name(call)
    if name not in {"skip", "skipTest", "SkipTest"}:
        return None
    if not isinstance(node, ast.Call):
        return ""
    given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg in {"reason", "msg"})]
    if not given:
        return ""
    try:
        return str(ast.literal_eval(given[0]))
    except ValueError:
        return ast.unparse(given[0])


def _raised(statement: ast.stmt) -> ast.AST | None:
    """Return what a statement raises or calls."""
    if isinstance(statement, ast.Raise):
        return statement.exc
    return statement.value if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) else None


def _skip_of_assignments(body: Sequence[ast.stmt]) -> str:
    """Return the reason of a ``pytestmark`` that skips the whole file."""
    for statement in body:
        mark = _assignments(statement).get("pytestmark")
        for each in mark.elts if isinstance(mark, (ast.List, ast.Tuple)) else [mark]:
            if reason := _skip_of(each):
                return reason
    return ""


def _assignments(statement: ast.stmt) -> dict[str, ast.expr]:
    if isinstance(statement, ast.Assign):
        return {target.id: statement.value for target in statement.targets if isinstance(target, ast.Name)}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        return {statement.target.id: statement.value}
    return {}


def _names_of_base(module: ast.Module) -> set[str]:
    """Return the dotted names under which the file knows `NotebookTestCase`."""
    names = {f"envsolver.testing.{BASE}"}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == "envsolver.testing":
            names |= {alias.asname or alias.name for alias in node.names if alias.name == BASE}
        elif isinstance(node, ast.ImportFrom) and node.module == "envsolver":
            names |= {f"{alias.asname or alias.name}.{BASE}" for alias in node.names if alias.name == "testing"}
        elif isinstance(node, ast.Import):
            names |= {f"{alias.asname}.{BASE}" for alias in node.names if alias.name == "envsolver.testing"}
    return names


def _dotted(node: ast.AST | None) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _last_name(node: ast.AST | None) -> str:
    return _dotted(node).rsplit(".", 1)[-1]
