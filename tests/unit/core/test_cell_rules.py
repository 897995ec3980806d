"""Which cells are executed follows from their tags and from the settings alone."""

from __future__ import annotations

from typing import Any

import pytest

from envsolver.core.cell_rules import cells_run

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
