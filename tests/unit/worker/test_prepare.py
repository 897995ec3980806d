"""Promise: what a notebook says about its cells decides which of them run, and which may raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from envsolver.core.errors import UnusableNotebookError
from envsolver.core.jobs import Edits
from envsolver.worker.prepare import prepare, write


def cell(source: str, *tags: str) -> NotebookNode:
    made: NotebookNode = new_code_cell(source, metadata={"tags": list(tags)})
    return made


@pytest.mark.parametrize(
    ("cells", "ran", "may_raise"),
    [
        ([cell("x = 1"), new_markdown_cell("# NBVAL_SKIP"), cell("")], [1], []),
        ([cell("x = 1", "skip-execution"), cell("# NBVAL_SKIP\n1 / 0"), cell("y", "nbval-skip"), cell("z")], [4], []),
        ([cell("1 / 0", "raises-exception"), cell("# NBVAL_RAISES_EXCEPTION\n1 / 0")], [1, 2], [1, 2]),
        ([cell("1 / 0", "nbval-raises-exception"), cell("z")], [1, 2], [1]),
    ],
)
def test_tags_and_comments_decide(cells: list[NotebookNode], ran: list[int], may_raise: list[int]) -> None:
    steps = prepare(new_notebook(cells=cells), Edits()).cells
    assert [step.number for step in steps if step.run] == ran
    assert [step.number for step in steps if step.may_raise] == may_raise


def test_the_executed_copy_holds_no_credentials(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_code_cell("x = 'https://ada:word@host/a'")])
    write(notebook, tmp_path / "a.ipynb")
    text = (tmp_path / "a.ipynb").read_text(encoding="utf-8")
    assert "https://****@host/a" in text
    assert "word" not in text


def test_code_before_the_first_cell_is_a_cell_of_the_executed_copy_with_number_zero() -> None:
    made = prepare(new_notebook(cells=[cell("x = 1")]), Edits(before="y = 1", replace={"x": "z"}))
    assert [each.source for each in made.notebook.cells] == ["y = 1", "z = 1"]
    assert [(each.number, each.run) for each in made.cells] == [(0, True), (1, True)]


@pytest.mark.parametrize(
    ("cells", "edits"),
    [
        (["n = 1"], {}),
        ([("x = 0", "parameters"), "y = x", "n = 1\nprint(n)"], {}),
        (["print('n')", "def f():\n    pass\nn = [1]"], {}),
        (["a = 1", "n = 1"], {"replace": {"a": "b"}}),
    ],
)
def test_a_parameter_that_a_cell_sets_anew_is_a_fault(cells: list[Any], edits: dict[str, Any]) -> None:
    made = [cell(*each) if isinstance(each, tuple) else cell(each) for each in cells]
    with pytest.raises(UnusableNotebookError, match=f"no effect on n, which cell {len(cells)} sets anew: "):
        prepare(new_notebook(cells=made), Edits(parameters={"n": 5}, **edits))


@pytest.mark.parametrize(
    ("cells", "edits"),
    [
        ([("n = 1", "parameters")], {}),
        (["print(n)", "n = 1"], {}),
        (["n = n + 1"], {}),
        (["if 'n' not in globals():\n    n = 1"], {}),
        (["%time n\nn = 1", "n = 1"], {}),
        ([("n = 1", "skip-execution")], {}),
        (["n = 1"], {"skip_cells": ("n = 1",)}),
        (["n = 1"], {"replace": {"n = 1": "pass"}}),
        (["m = 1", ("n = 2", "parameters")], {"stop_at": "never"}),
    ],
)
def test_a_parameter_that_may_be_looked_at_is_set(cells: list[Any], edits: dict[str, Any]) -> None:
    made = [cell(*each) if isinstance(each, tuple) else cell(each) for each in cells]
    prepared = prepare(new_notebook(cells=made), Edits(parameters={"n": 5}, **edits))
    assert sum("n = 5" in each.source for each in prepared.notebook.cells) == 1
