"""What the tests of a worker stand on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_bench import Bench

from envsolver.worker.isolation import CHOICE, choose_isolation
from envsolver.worker.private_directories import remove, run_directory
from envsolver.worker.processes import RUN_MARK, marked


@pytest.fixture
def bench(tmp_path: Path, kernel_env: Path, request: pytest.FixtureRequest) -> Bench:
    root = tmp_path / "project"
    root.mkdir()
    return Bench(
        root=root, run_dir=tmp_path / "run", prefix=kernel_env, run_id=f"test-{os.getpid()}-{request.node.name}"
    )


@pytest.fixture(autouse=True)
def nothing_left(bench: Bench) -> Any:
    yield
    assert marked(RUN_MARK, bench.run_id) == []
    place = run_directory(bench.run_id)
    kept = list(place.iterdir()) if place.exists() else []
    remove(place)
    assert kept == []


@pytest.fixture(params=["namespace", "copies"])
def isolation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> str:
    wanted: str = request.param
    if wanted == "copies":
        monkeypatch.setenv(CHOICE, "copies")
    choose_isolation.cache_clear()
    chosen, reason = choose_isolation(bench.root)
    if chosen != wanted:
        pytest.skip(f"no namespaces here: {reason}")
    return wanted


@pytest.fixture(autouse=True)
def forget_the_isolation() -> Iterator[None]:
    yield
    choose_isolation.cache_clear()
