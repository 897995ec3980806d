"""Promises of test classes: they run with any runner, fail with the cell's error, and tell a notebook's variables."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import envsolver
from envsolver.core.results import Failure, Result
from envsolver.report.text import failure_lines
from envsolver.testing import NotebookTestCase
from envsolver.testing.case import CaseOutcome

NOTEBOOKS = {
    "good.ipynb": ["n = 4", "estimate = n * 2\npair = (n, n + 1)\nthing = object()"],
    "bad.ipynb": ["x = 1", "def f(a):\n    return 1 / a\nf(0)"],
    "waits.ipynb": ["import time\ntime.sleep(300)"],
    "leaves.ipynb": ["x = 1", "exit()"],
    "skipped.ipynb": ["x = 1"],
}

TESTS = {
    "tb_good": """
class TestGood(NotebookTestCase):
    notebook = "nb/good.ipynb"

    def test_estimate(self):
        self.assertEqual(self.value("estimate"), 8)
        self.assertEqual(self.value("pair"), [4, 5])

    def test_unknown(self):
        self.value("estimat")

    def test_thing(self):
        self.value("thing")


class TestEdited(NotebookTestCase):
    notebook = "nb/good.ipynb"
    replace = {"n = 4": "n = 5"}

    def test_estimate(self):
        self.assertEqual(self.value("estimate"), 10)


class TestStopped(NotebookTestCase):
    notebook = "nb/good.ipynb"
    stop_at = "estimate"

    def test_estimate(self):
        self.value("estimate")


class TestParameters(NotebookTestCase):
    notebook = "nb/good.ipynb"
    skip_cells = ["n = 4"]
    parameters = {"n": 7}

    def test_estimate(self):
        self.assertEqual(self.value("estimate"), 14)
""",
    "tb_bad": """
class TestBad(NotebookTestCase):
    notebook = "nb/bad.ipynb"

    def test_value(self):
        self.value("x")


class TestWaits(NotebookTestCase):
    notebook = "nb/waits.ipynb"
    timeout = 3


class TestLeaves(NotebookTestCase):
    notebook = "nb/leaves.ipynb"
""",
    "tb_quick": """
class TestSkipped(NotebookTestCase):
    notebook = "nb/skipped.ipynb"


class TestOwnReason(NotebookTestCase):
    notebook = "nb/good.ipynb"
    skip = "not this week"


class TestNoReason(NotebookTestCase):
    notebook = "nb/good.ipynb"
    skip = ""


class TestNothing(NotebookTestCase):
    pass


class TestGone(NotebookTestCase):
    notebook = "nb/gone.ipynb"


class TestWrong(NotebookTestCase):
    notebook = "nb/good.ipynb"
    timeout = "soon"


class TestUnknownGroup(NotebookTestCase):
    notebook = "nb/good.ipynb"
    group = "nope"
""",
}


class Sandbox:
    """A project with notebooks and test files."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache = root, cache
        for folder in ("requirements", "nb", "tests/booktests"):
            (root / folder).mkdir(parents=True)
        (root / "requirements/base.in").write_text("# only the kernel\n")
        (root / "envsolver.toml").write_text("[notebook.'nb/skipped.ipynb']\nskip = 'needs a licence'\n")
        for name, cells in NOTEBOOKS.items():
            nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), root / "nb" / name)
        for name, body in TESTS.items():
            source = f"from envsolver.testing import NotebookTestCase\n\n{body}"
            (root / f"tests/booktests/{name}.py").write_text(source)

    def python(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        paths = [str(Path(envsolver.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=cwd or self.root,
            env={
                **os.environ,
                "ENVSOLVER_CACHE_DIR": str(self.cache),
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def pytest(self, *arguments: str) -> tuple[dict[str, str], str]:
        """Run pytest; return the verdict of each test by class and name, and all that it printed."""
        options = ("-v", "-p", "no:cacheprovider", "-W", "error", "--color=no")
        done = self.python("pytest", *options, *arguments)
        verdicts = {}
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) > 1 and "::" in words[0] and words[1] in {"PASSED", "FAILED", "SKIPPED", "ERROR"}:
                verdicts[words[0].split("::", 1)[1].replace("::", ".")] = words[1].lower()
        return verdicts, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    directory = tmp_path_factory.mktemp("testing")
    return Sandbox(directory / "a project", directory / "cache")


@pytest.mark.integration
def test_variables_and_edits_are_what_the_test_file_says(sandbox: Sandbox) -> None:
    verdicts, text = sandbox.pytest("tests/booktests/tb_good.py")
    assert verdicts == {
        "TestGood.test_notebook": "passed",
        "TestGood.test_estimate": "passed",
        "TestGood.test_unknown": "failed",
        "TestGood.test_thing": "failed",
        "TestEdited.test_notebook": "passed",
        "TestEdited.test_estimate": "passed",
        "TestStopped.test_notebook": "passed",
        "TestStopped.test_estimate": "failed",
        "TestParameters.test_notebook": "passed",
        "TestParameters.test_estimate": "passed",
    }, text
    assert "nb/good.ipynb has no variable `estimat` at its end; near: estimate" in text
    assert "`thing` of nb/good.ipynb is of type object" in text


@pytest.mark.integration
def test_a_failure_shows_the_cells_error_and_nothing_of_envsolver(sandbox: Sandbox) -> None:
    verdicts, text = sandbox.pytest("tests/booktests/tb_bad.py")
    assert verdicts == {
        "TestBad.test_notebook": "failed",
        "TestBad.test_value": "failed",
        "TestWaits.test_notebook": "failed",
        "TestLeaves.test_notebook": "passed",
    }, text
    assert "nb/bad.ipynb failed: cell 2: ZeroDivisionError: division by zero (base, Python" in text
    assert "> 3   f(0)" in text
    assert "nb/waits.ipynb timeout: cell 1 was still running" in text
    assert "nb/bad.ipynb did not pass: cell 2 raised ZeroDivisionError" in text
    assert "envsolver/testing.py" not in text


@pytest.mark.integration
def test_what_cannot_run_is_skipped_with_its_reason_or_fails_with_one(sandbox: Sandbox) -> None:
    verdicts, text = sandbox.pytest("tests/booktests/tb_quick.py", "-rs")
    assert {name.removesuffix(".test_notebook"): verdict for name, verdict in verdicts.items()} == {
        "TestSkipped": "skipped",
        "TestOwnReason": "skipped",
        "TestNoReason": "failed",
        "TestNothing": "failed",
        "TestGone": "failed",
        "TestWrong": "failed",
        "TestUnknownGroup": "failed",
    }, text
    for said in (
        "needs a licence",
        "not this week",
        "TestNoReason is skipped without a reason",
        "TestNothing names no notebook",
        "nb/gone.ipynb: there is no such notebook",
        'TestWrong: timeout: must be a number, not the text "soon"',
        "nope",
    ):
        assert said in text


@pytest.mark.integration
@pytest.mark.parametrize("where", ["root", "elsewhere"])
def test_unittest_runs_a_test_file_from_anywhere(sandbox: Sandbox, where: str, tmp_path: Path) -> None:
    directory = sandbox.root / "tests/booktests"
    if where == "root":
        done = sandbox.python("unittest", "tests/booktests/tb_bad.py", "-k", "TestBad.test_notebook")
    else:
        discovery = ("discover", "-s", str(directory), "-p", "tb_bad.py", "-k", "TestBad.test_notebook")
        done = sandbox.python("unittest", *discovery, cwd=tmp_path)
    assert "Ran 1 test" in done.stderr
    assert "FAILED (failures=1)" in done.stderr
    assert "AssertionError: nb/bad.ipynb failed: cell 2: ZeroDivisionError" in done.stderr
    assert 'envsolver/testing.py"' not in done.stderr
    assert done.returncode == 1


@pytest.mark.integration
def test_a_test_leaves_no_run_behind_and_one_copy_to_look_at(sandbox: Sandbox) -> None:
    for _ in range(2):
        sandbox.pytest("tests/booktests/tb_good.py", "-k", "TestGood and notebook")
    assert not (sandbox.root / ".envsolver/runs").exists()
    assert len(list((sandbox.root / ".envsolver/booktests").glob("good-*/executed/*/nb/good.ipynb"))) == 1
    assert len(list((sandbox.root / ".envsolver/booktests").glob("good-*/logs/*"))) == 1


def test_no_runner_collects_the_base_class() -> None:
    assert unittest.TestLoader().getTestCaseNames(NotebookTestCase) == []


def test_a_subclass_inherits_the_test_and_can_call_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # it is plain unittest that runs the class here

    class Book(NotebookTestCase):
        def test_notebook(self) -> None:
            super().test_notebook()

    assert unittest.TestLoader().getTestCaseNames(Book) == ["test_notebook"]
    result = unittest.TestResult()
    Book("test_notebook").run(result)
    assert "names no notebook" in result.failures[0][1]


def test_a_notebook_that_left_its_kernel_has_no_variables_and_says_so() -> None:
    class Book(NotebookTestCase):
        notebook = "a.ipynb"
        _kept_run = CaseOutcome(result=Result(notebook="a.ipynb", group="core", python="3.11", status="passed"))

    with pytest.raises(AssertionError, match="are not known: it ended its kernel itself"):
        Book("test_notebook").value("x")


def test_a_verdict_without_a_cell_is_told_by_its_reason() -> None:
    result = Result(notebook="a.ipynb", group="", python="3.11", status="environment", reason="no group has numpy")
    assert failure_lines(result, Path("/run"))[0] == "a.ipynb environment: no group has numpy (Python 3.11)"


def test_colours_and_all_but_the_last_frames_are_left_out(tmp_path: Path) -> None:
    frames = "\n".join(f"File /lib/m{number}.py:1, in f()\n----> 1 g()" for number in range(20))
    failure = Failure(
        cell=3, ename="ValueError", evalue="wrong", traceback=f"\x1b[31m{frames}\x1b[0m\nValueError: wrong"
    )
    result = Result(
        notebook="a.ipynb", group="core", python="3.11", status="failed", failure=failure, executed="executed/a.ipynb"
    )
    text = "\n".join(failure_lines(result, tmp_path))
    assert "\x1b" not in text
    assert "m19.py" in text
    assert "m1.py" not in text
    assert f"executed: {tmp_path}/executed/a.ipynb" in text


@pytest.fixture(scope="module")
def inside() -> ModuleType:
    """Give the module that reads variables inside the kernel; it is on no import path here."""
    path = Path(envsolver.__file__).parent / "environments/in_environment/pythonpath/_envsolver_values.py"
    specification = importlib.util.spec_from_file_location("_envsolver_values", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Array:
    """What NumPy's arrays and scalars look like."""

    def __init__(self, items: Any, shape: tuple[int, ...] = ()) -> None:
        self.items, self.shape = items, shape

    def tolist(self) -> Any:
        return self.items


class Count(int):
    """A number of a type of its own."""


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (1.5, 1.5),
        (True, True),
        (None, None),
        ("text", "text"),
        (float("inf"), float("inf")),
        ((1, (2.5, "a")), [1, [2.5, "a"]]),
        ([[], (), {}], [[], [], {}]),
        ({"a": Array([1.0, 2.0], (2,))}, {"a": [1.0, 2.0]}),
        (Array(3.0), 3.0),
        (Count(3), 3),
        (Array([[1, 2]] * 5000, (5000, 2)), [[1, 2]] * 5000),
    ],
)
def test_what_json_can_hold_is_given_as_pythons_own(inside: ModuleType, value: object, expected: object) -> None:
    found = json.loads(inside.captured({"x": value}))
    assert found == {"values": {"x": expected}, "faults": {}}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "is of type object"),
        (json, "is a module"),
        (len, "is a function"),
        (Array, "is a class"),
        (1j, "is of type complex"),
        ({1: 2}, "is a table with the key 1, which is no text"),
        ([0] * 20_000, "has more than 10,000 elements"),
        (Array([], (1000, 1000)), "has 1,000,000 elements"),
        ("x" * 300_000, "is 300,002 characters long"),
        (Array([object()], (1,)), "is of type object"),
        (LOOP, "is nested too deeply"),
    ],
)
def test_what_cannot_be_given_says_why(inside: ModuleType, value: object, why: str) -> None:
    found = json.loads(inside.captured({"good": 1, "x": value}))
    assert found["values"] == {"good": 1}
    assert found["faults"]["x"].startswith(why)


def test_what_the_shell_put_there_is_no_variable(inside: ModuleType) -> None:
    own = {"In": [], "Out": {}, "_": 1, "_i1": "x", "_12": 3, "exit": 1, "__name__": "__main__", 5: 1, "_mine": 2}
    assert json.loads(inside.captured(own)) == {"values": {"_mine": 2}, "faults": {}}
