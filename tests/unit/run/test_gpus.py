"""Promise: each job sees only its own GPUs."""

from __future__ import annotations

import pytest

from envsolver.run.gpus import gpu_sets


@pytest.mark.parametrize(
    ("each", "visible", "sets"),
    [
        (0, "0,1", ()),
        (1, "0,1,3", ("0", "1", "3")),
        (2, "0,1,2", ("0,1",)),
        (2, "0", ()),
        (1, "", ()),
        (1, " GPU-a , GPU-b ", ("GPU-a", "GPU-b")),
    ],
)
def test_visible_gpus_are_dealt_out_in_sets(each: int, visible: str, sets: tuple[str, ...]) -> None:
    assert gpu_sets(each, {"CUDA_VISIBLE_DEVICES": visible}) == sets


def test_a_machine_without_the_drivers_tool_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert gpu_sets(1, {}) == ()
