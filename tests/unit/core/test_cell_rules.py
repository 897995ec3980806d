"""Which cells are executed follows from their tags and from the settings alone."""

from __future__ import annotations

from typing import Any

import pytest

from envsolver.core.cell_rules import cells_run, is_skipped, may_raise

SKIPPED = ["skip-execution"]


@pytest.mark.parametrize(
    ("cells", "settings", "run"),
    [
        ([("a", []), ("b", [])], {}, "++"),
        ([("a", SKIPPED), ("b", ["other"])], {}, "-+"),
        ([("a", ["raises-exception"])], {}, "+"),
        ([("", []), (" \n", []), ("# only a comment", [])], {}, "--+"),
        ([("plot(1)", []), ("b", []), ("plot(2)", [])], {"skip_cells": ("plot(",)}, "-+-"),
        ([("a", []), ("b", [])], {"skip_cells": ("x", "b")}, "+-"),
        ([("a", []), ("# stop", []), ("c", [])], {"stop_at": "stop"}, "+--"),
        ([("a", []), ("# stop", SKIPPED), ("c", [])], {"stop_at": "stop"}, "+--"),
        ([("a", []), ("# stop", [])], {"stop_at": "stop", "skip_cells": ("a",)}, "--"),
        ([("a", []), ("b", [])], {"stop_at": "never"}, "++"),
        ([("a", []), ("b", [])], {"stop_at": ""}, "--"),  # the empty text is in every cell
        ([("a", [7, {}])], {}, "+"),  # tags are whatever a file holds
        ([], {}, ""),
    ],
)
def test_a_cell_runs_unless_a_tag_or_a_setting_leaves_it_out(
    cells: list[tuple[str, list[object]]], settings: dict[str, Any], run: str
) -> None:
    assert ["+" if runs else "-" for runs in cells_run(cells, **settings)] == list(run)


@pytest.mark.parametrize(
    ("source", "tags", "skipped", "raises"),
    [
        ("x = 1", (), False, False),
        ("x = 1", ("skip-execution",), True, False),
        ("x = 1", ("nbval-skip",), True, False),
        ("x = 1", ("nbval_skip",), True, False),
        ("x = 1", ("hide", "raises-exception"), False, True),
        ("x = 1", ("nbval-raises-exception",), False, True),
        ("x = 1", ("nbval-ignore-output", 3), False, False),
        ("# NBVAL_SKIP\nx = 1", (), True, False),
        ("x = 1\n  #NBVAL_SKIP  ", (), True, False),
        ("# NBVAL_RAISES_EXCEPTION\n1 / 0", (), False, True),
        ("# NBVAL_TEST_NAME: a\n# NBVAL_SKIP", (), True, False),
        ("# NBVAL_IGNORE_OUTPUT\nx = 1", (), False, False),
        ("# see NBVAL_SKIP for more\nx = 1", (), False, False),
        ("x = 'NBVAL_SKIP'", (), False, False),
        ("NBVAL_SKIP = True", (), False, False),
    ],
)
def test_a_cell_says_how_it_is_to_be_run(source: str, tags: tuple[object, ...], *, skipped: bool, raises: bool) -> None:
    assert (is_skipped(source, tags), may_raise(source, tags)) == (skipped, raises)
