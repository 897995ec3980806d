"""Promise: each job sees only its own GPUs."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize(
    ("script", "sets"),
    [("printf '0\\n1\\n2\\n'", ("0,1",)), ("echo 'no devices were found'; exit 6", ()), ("exit 0", ())],
    ids=["three", "failing", "none"],
)
def test_the_drivers_tool_is_asked_where_nothing_bounds_the_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, sets: tuple[str, ...]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_sets(2, {}) == sets


def test_a_tool_that_cannot_be_started_offers_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_bytes(b"\x7fELF of another machine")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_sets(1, {}) == ()
