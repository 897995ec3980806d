"""Promise: the live view says of a cluster's blocks which wait, which run, where, and how long they still may."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from envsolver.core.results import Block
from envsolver.report.block_lines import block_lines

NOW = datetime(2026, 3, 14, 9, 10, tzinfo=timezone.utc)

WAITS = Block(
    name="7", profile="gpu", environment="a1b2", state="queued", asked="2026-03-14T09:08:30+00:00", reason="Priority"
)
RUNS = replace(WAITS, state="running", node="n1", started="2026-03-14T09:09:00+00:00", ends="2026-03-14T09:39:00+00:00")


def test_each_block_has_a_line() -> None:
    assert block_lines([WAITS, RUNS], NOW, 2) == [
        "block 7 of gpu: queued for 1:30; Priority",
        "block 7 of gpu: running on n1, 29:00 left",
    ]


def test_a_block_that_waits_says_why_without_its_name_twice() -> None:
    told = replace(WAITS, asked="", reason="Kubernetes: pod 7 Pending (FailedMount: no 7 there) on n1")
    assert block_lines([told], NOW, 1) == ["block 7 of gpu: queued; Pending (FailedMount: no 7 there) on n1"]


def test_what_is_not_known_is_not_said() -> None:
    assert block_lines([replace(RUNS, node="", ends=None)], NOW, 1) == ["block 7 of gpu: running"]


def test_many_blocks_are_counted() -> None:
    assert block_lines([WAITS, RUNS, RUNS], NOW, 2) == ["3 blocks: 1 queued, 2 running"]
    assert block_lines([], NOW, 2) == []
