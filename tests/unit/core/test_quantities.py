"""How durations, sizes and counts are put into words."""

from __future__ import annotations

import pytest

from envsolver.core.quantities import clock, duration, plural, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (4.14, "4.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125.0, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3720.0, "1 h 02 min"),
        (-1.0, "0.0 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "0:07"), (754, "12:34"), (3723, "1:02:03"), (-3, "0:00")])
def test_clocks(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, ""), (2048, "2 KiB"), (312 * 2**20, "312 MiB"), (1503238553, "1.4 GiB"), (4329327034, "4.03 GiB")],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 notebooks"), (1, "1 notebook"), (2, "2 notebooks")])
def test_counts(count: int, text: str) -> None:
    assert plural(count, "notebook") == text
