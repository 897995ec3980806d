"""Promises of test classes: they run with any runner, fail with the cell's error, and tell a notebook's variables."""

from __future__ import annotations

import importlib.util
import json
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import envsolver
from envsolver.core.results import Failure, Result
from envsolver.report.text import failure_lines
from envsolver.testing import NotebookTestCase
from envsolver.testing.case import CaseOutcome
from envsolver.testing.files import SETTINGS


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
    """Return the module that reads variables inside the kernel; it is on no import path here."""
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


def test_each_setting_of_a_notebook_can_stand_in_its_test() -> None:
    assert {name: getattr(NotebookTestCase, name) for name in SETTINGS} == dict.fromkeys(SETTINGS)
