"""Promise: expressions and earlier verdicts choose as pytest's options do."""

from __future__ import annotations

import pytest

from envsolver.core.environments import Assignment
from envsolver.core.errors import ConfigurationError
from envsolver.run.history import Record
from envsolver.run.selection import failed_last, parse_expression

NAMES = {
    "demos/core/quickstart.ipynb": "core",
    "demos/core/slow.ipynb": "core",
    "demos/ml/Slow_gp.ipynb": "ml",
    "demos/x.ipynb": "gpu",
}
ASSIGNMENTS = [Assignment(notebook=name, group=group, why="") for name, group in NAMES.items()]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("core", [0, 1]),
        ("slow", [1, 2]),
        ("SLOW", [1, 2]),
        ("not slow", [0, 3]),
        ("core and not slow", [0]),
        ("ml or gpu", [2, 3]),
        ("ml or gpu and nothing", [2]),
        ("(ml or gpu) and not slow", [3]),
        ("not (ml or core)", [3]),
        ("not not ml", [2]),
        ("core/quickstart.ipynb", [0]),
        ("nothing", []),
    ],
)
def test_an_expression_names_assignments(text: str, numbers: list[int]) -> None:
    rule = parse_expression(text)
    assert [number for number, each in enumerate(ASSIGNMENTS) if rule(each)] == numbers


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "a part of a name was expected, and the end found"),
        ("a and", "a part of a name was expected, and the end found"),
        ("a b", "an operator was expected, and 'b' found"),
        ("(a or b", "a closing parenthesis was expected, and the end found"),
        ("a)", "an operator was expected, and ')' found"),
        ("or", "a part of a name was expected, and 'or' found"),
    ],
)
def test_what_is_no_expression_is_told_with_the_place(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_expression(text)
    assert caught.value.message == f"-k {text!r}: {fault}"


def record(notebook: str, group: str, last: str, python: str = "3.11") -> Record:
    return Record(
        notebook=notebook, group=group, python=python, runs=1, seconds=None, memory=None, last=last, flaky=False
    )


def test_what_did_not_pass_on_any_python_failed_last() -> None:
    first, second, *_ = NAMES
    records = [
        record(first, "core", "passed"),
        record(second, "core", "passed"),
        record(second, "core", "timeout", "3.12"),
    ]
    assert [each.notebook for each in failed_last(ASSIGNMENTS, records)] == [second]


def test_without_a_failure_all_are_taken() -> None:
    assert list(failed_last(ASSIGNMENTS, [record("demos/x.ipynb", "other", "failed")])) == ASSIGNMENTS
