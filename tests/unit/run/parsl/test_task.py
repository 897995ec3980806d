"""Promise: a block takes a notebook that ends in it, or that no other block would serve better."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import job, with_options

from envsolver.core.errors import HandedBackError
from envsolver.run.parsl.task import BLOCK_BEGAN, BLOCK_SECONDS, first_arrival, hand_back

BLOCK = {BLOCK_BEGAN: "1000", BLOCK_SECONDS: "600"}


def is_taken(
    expected: float | None, now: float, environ: dict[str, str], timeout: float = 500.0, first: float = 1005.0
) -> bool:
    try:
        hand_back(with_options(job(), expected=expected, timeout=timeout), environ, now, first)
    except HandedBackError:
        return False
    return True


@pytest.mark.parametrize(
    ("expected", "now", "taken"),
    [
        (100.0, 1465.0, True),  # 135 s are left, and it needs 100 * 1.25 + 10
        (100.0, 1466.0, False),
        (None, 1090.0, True),  # nothing is known, so it may need its limit
        (None, 1091.0, False),
        (9000.0, 1091.0, False),  # it is ended at its limit, whatever history says
    ],
)
def test_what_would_not_end_in_its_block_is_handed_back(expected: float | None, now: float, taken: bool) -> None:
    assert is_taken(expected, now, BLOCK) is taken


def test_what_fits_in_no_block_runs_in_a_fresh_one() -> None:
    assert is_taken(9000.0, 1064.0, BLOCK, timeout=9000.0)
    assert not is_taken(9000.0, 1066.0, BLOCK, timeout=9000.0)


def test_the_first_notebook_is_taken_however_late_it_comes() -> None:
    assert is_taken(9000.0, 1500.0, BLOCK, timeout=9000.0, first=1500.0)


def test_all_workers_of_a_node_know_when_its_first_notebook_came(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert [first_arrival("m", now) for now in (7.5, 9.0)] == [7.5, 7.5]
    assert first_arrival("another", 9.0) == 9.0


def test_slurms_own_word_on_the_end_counts() -> None:
    assert not is_taken(100.0, 1400.0, {**BLOCK, "SLURM_JOB_END_TIME": "1500"})
    assert is_taken(100.0, 1500.0, {**BLOCK, "SLURM_JOB_END_TIME": "9999"})


@pytest.mark.parametrize("off", [-7200, 0, 7200])
def test_a_node_whose_clock_is_off_knows_how_much_of_its_block_is_left(off: int) -> None:
    slurm = {"SLURM_JOB_START_TIME": str(1000 + off), "SLURM_JOB_END_TIME": str(1500 + off)}
    assert not is_taken(100.0, 1366.0, {**BLOCK, **slurm})
    assert is_taken(100.0, 1365.0, {**BLOCK, **slurm})


@pytest.mark.parametrize("environ", [{}, {BLOCK_BEGAN: "1000", BLOCK_SECONDS: "0"}])
def test_where_no_end_is_known_everything_is_taken(environ: dict[str, str]) -> None:
    assert is_taken(None, 9000.0, environ)
