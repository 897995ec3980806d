"""Promises of what workers tell the controller."""

from __future__ import annotations

import queue
import stat
from pathlib import Path

import pytest

from envsolver.worker import core_release
from envsolver.worker.core_release import ReleaseListener, release_cores
from envsolver.worker.private_directories import remove, run_directory


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    return f"test/{tmp_path.name}/{id(tmp_path)}"


def test_what_a_worker_says_is_heard(run_id: str) -> None:
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    notices = ReleaseListener(run_id)
    notices.listen(heard.put)
    try:
        release_cores(notices.path, "run/a job with ü/1")
        assert heard.get(timeout=5) == "run/a job with ü/1"
        assert stat.S_IMODE(run_directory(run_id).stat().st_mode) == 0o700
    finally:
        notices.close()
        notices.close()
        remove(run_directory(run_id))


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    release_cores("", "x")
    release_cores(str(tmp_path / "none"), "x")
    release_cores("/" + "long" * 100, "x")


def test_a_directory_that_others_may_enter_is_not_used(run_id: str) -> None:
    place = run_directory(run_id)
    place.mkdir(mode=0o755)
    try:
        notices = ReleaseListener(run_id)
        notices.listen(lambda mark: None)
        notices.close()
        assert notices.path == ""
    finally:
        place.rmdir()


def test_without_room_for_a_sockets_path_nothing_is_heard(
    run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    monkeypatch.setattr(core_release, "run_directory", lambda _: deep)
    notices = ReleaseListener(run_id)
    notices.close()
    assert notices.path == ""
