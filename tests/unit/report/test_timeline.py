"""Where jobs stand on a run's timeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import report_samples

from envsolver.core.results import Block, Result, Run
from envsolver.core.verdicts import Verdict
from envsolver.report.timeline import parse_time, timeline


def a_run(*spans: tuple[float, float], workers: int = 2, wall: float = 10.0) -> Run:
    results = tuple(a_result(f"2026-03-14T09:00:{start:06.3f}+00:00", seconds) for start, seconds in spans)
    return Run(
        directory=Path(), started="2026-03-14T09:00:00+00:00", wall_seconds=wall, workers=workers, results=results
    )


def a_result(started: str | None, seconds: float, status: Verdict = "passed") -> Result:
    return Result(notebook="a.ipynb", group="core", python="3.11", status=status, started=started, seconds=seconds)


def places(run: Run) -> list[list[tuple[int, float]]]:
    return [[(bar.index, bar.start) for bar in lane] for lane in timeline(run).lanes]


def test_jobs_take_the_first_free_lane() -> None:
    assert places(a_run((0, 4), (1, 2), (3, 5), (4, 1))) == [[(0, 0.0), (3, 4.0)], [(1, 1.0), (2, 3.0)]]


def test_a_small_overlap_needs_no_new_lane() -> None:
    assert places(a_run((0, 4.1), (4, 2), workers=1)) == [[(0, 0.0), (1, 4.0)]]


def test_a_worker_that_never_worked_is_an_empty_lane() -> None:
    assert places(a_run((0, 4), workers=3)) == [[(0, 0.0)], [], []]


def test_more_jobs_at_once_than_workers_get_more_lanes() -> None:
    assert len(timeline(a_run((0, 4), (1, 4), (2, 4), workers=2)).lanes) == 3


def test_what_did_not_start_in_this_run_has_no_bar() -> None:
    run = Run(
        directory=Path(),
        started="2026-03-14T09:00:00+00:00",
        wall_seconds=1,
        workers=1,
        results=(a_result(None, 0), a_result("2026-03-13T09:00:00+00:00", 5, "cached"), a_result("yesterday", 5)),
    )
    assert timeline(run).lanes == ()


def test_the_axis_holds_the_last_bar() -> None:
    assert timeline(a_run((8, 4), wall=10)).seconds == pytest.approx(12)


def test_a_run_that_took_no_time_has_an_axis() -> None:
    assert timeline(a_run(wall=0.0)).seconds > 0


@pytest.mark.parametrize(("wall", "ticks"), [(0.9, 5), (10, 6), (61, 7), (213, 8), (3000, 6), (100_000, 14)])
def test_ticks_are_few_and_within(wall: float, ticks: int) -> None:
    found = timeline(a_run(wall=wall)).ticks
    assert len(found) == ticks
    assert found[0] == 0
    assert found[-1] <= wall


def test_busy_is_the_part_with_work() -> None:
    laid = timeline(a_run((0, 4), (5, 2), workers=2))
    assert [laid.busy(0), laid.busy(1)] == pytest.approx([0.6, 0.0])


def test_a_real_run_fits_its_workers(tmp_path: Path) -> None:
    laid = timeline(report_samples.all_pass(tmp_path, workers=4))
    assert len(laid.lanes) == 4
    assert sum(map(len, laid.lanes)) == 33


@pytest.mark.parametrize(
    ("text", "there"), [("2026-03-14T09:00:00Z", True), ("2026-03-14T09:00:00", False), ("", False)]
)
def test_a_time_without_a_zone_is_none(text: str, there: bool) -> None:
    assert (parse_time(text) is not None) is there


def test_on_a_cluster_lanes_are_nodes_and_the_time_in_the_queue_stands_apart() -> None:
    def at(second: int) -> str:
        return f"2026-03-14T09:00:{second:02}+00:00"

    blocks = [
        Block(name="1", profile="p", environment="e", state="ended", node="n2", asked=at(1), started=at(3)),
        Block(name="2", profile="p", environment="e", state="queued", asked=at(4)),
        Block(name="3", profile="p", environment="e", state="ended", node="n1", asked=at(0), started=at(9)),
    ]
    run = a_run((3, 4), (4, 2), (7, 1), (5, 1), workers=8)
    nodes = ("n2", "n2", "n2", "")
    results = tuple(replace(result, node=node) for result, node in zip(run.results, nodes, strict=True))
    laid = timeline(replace(run, results=results, blocks=tuple(blocks)))
    assert laid.names == ("n1", "n2", "n2", "queue", "here")
    assert [[bar.index for bar in lane] for lane in laid.lanes] == [[], [0, 2], [1], [], [3]]
    waits = [[(wait.block.name, wait.start, wait.seconds) for wait in lane] for lane in laid.waits]
    assert waits == [[("3", 0, 9)], [("1", 1, 2)], [], [("2", 4, 6)], []]
    assert [laid.busy(number) for number in range(5)] == [0, 0.5, 0.2, 0, 0.1]
