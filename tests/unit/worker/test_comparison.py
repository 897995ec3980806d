"""Promise: two executions are told apart by what they show, and not by what no two have in common."""

from __future__ import annotations

from typing import Any

import pytest

from envsolver.worker.comparison import differing_cells, first_difference


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def shown(data: object, kind: str = "text/plain") -> dict[str, Any]:
    return {"output_type": "display_data", "data": {kind: data}, "metadata": {}}


def copy(*cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cells": [{"cell_type": "markdown"}, *({"cell_type": "code", "outputs": outputs} for outputs in cells)]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([stream("<object at 0x7f3a12345678>")], [stream("<object at 0x7f3a87654321>")]),
        ([stream("2026-11-25 10:00:01.5")], [stream("2026-11-25 10:00:02.5")]),
        ([stream("3.21 ms ± 10.5 µs per loop")], [stream("3.4 ms ± 9 µs per loop")]),
        ([stream("ipykernel_12/1.py:1: Warning")], [stream("ipykernel_13/1.py:1: Warning")]),
        ([stream("saved (/tmp/x/envsolver-0-a1/job/a.png)")], [stream("saved (/tmp/x/envsolver-0-b2/job/a.png)")]),
        ([stream("in '/tmp/envsolver-0-a1/two'")], [stream("in '/tmp/envsolver-0-b2/two'")]),
        ([stream("a\nb\n")], [stream("a\n"), stream("b\n")]),
        ([stream("a"), stream("x", "stderr"), stream("b")], [stream("a"), stream("b"), stream("x", "stderr")]),
        ([shown({"a": 1, "b": 2}, "application/json")], [shown({"b": 2, "a": 1}, "application/json")]),
    ],
)
def test_what_differs_from_run_to_run_is_no_difference(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert differing_cells(copy(one), copy(other)) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([stream("1")], [stream("2")]),
        ([stream("1")], [stream("1", "stderr")]),
        ([stream("1")], []),
        ([shown("aGVsbG8=", "image/png")], [shown("aGVsbG9=", "image/png")]),
        ([{"output_type": "error", "traceback": ["a"]}], [{"output_type": "error", "traceback": ["b"]}]),
    ],
)
def test_what_shows_otherwise_is_a_difference_of_its_cell(
    one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    assert list(differing_cells(copy([], one), copy([], other))) == [3]


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("a\nb", "a\nc", ("b", "c")),
        ("a", "a\nb", ("", "b")),
        ("x" * 100 + "1", "x" * 100 + "2", ("x" * 30 + "1", "x" * 30 + "2")),
        ("a", "a", ("", "")),
    ],
)
def test_the_first_difference_is_cut_out(one: str, other: str, found: tuple[str, str]) -> None:
    assert first_difference(one, other) == found


def test_an_images_text_with_many_slashes_is_compared_in_one_pass() -> None:
    # A search that began at each slash anew would take hours.
    image = shown("a/" * 2_000_000, "image/png")
    place = stream("wrote /tmp/envsolver-0-a1/job/a.png")
    other = stream("wrote /tmp/envsolver-0-b2/job/a.png")
    assert differing_cells(copy([place, image]), copy([other, image])) == {}
