"""Promise: where namespaces do not serve a project, its notebooks run in copies, and the reason is known."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from envsolver.worker.isolation import CHOICE, FAILED, choose_isolation


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(CHOICE, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    choose_isolation.cache_clear()
    yield
    choose_isolation.cache_clear()


def test_copies_are_used_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "copies")
    assert choose_isolation(tmp_path) == ("copies", f"{CHOICE} says so")


def test_namespaces_are_linuxs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert choose_isolation(tmp_path) == ("copies", "namespaces are Linux's")


def test_the_root_of_the_file_system_is_no_place_for_an_overlay() -> None:
    assert choose_isolation(Path("/")) == ("copies", "the project is the whole file system")


def test_a_temporary_directory_inside_the_project_is_no_place_for_an_overlay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envsolver.worker.isolation.temporary", lambda: tmp_path / "tmp")
    assert choose_isolation(tmp_path) == ("copies", "the temporary directory is inside the project")


def test_mounts_inside_the_project_would_be_left_out() -> None:
    assert choose_isolation(Path("/dev"))[0] == "copies"


class Trial:
    """What a trial of the namespaces does, in the place of `subprocess.run`."""

    def __init__(self, code: int, *, said: str = "", stderr: bytes = b"", writes: str = "") -> None:
        self.code, self.said, self.stderr, self.writes = code, said, stderr, writes

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        private, written = Path(command[4]).parent, Path(command[-1])
        if self.said:
            (private / FAILED).write_text(self.said, encoding="utf-8")
        if self.writes == "overlay":
            (private / "up" / written.name).touch()
        if self.writes == "project":
            written.touch()
        return subprocess.CompletedProcess(command, self.code, b"", self.stderr)


@pytest.mark.parametrize(
    ("trial", "answer"),
    [
        (Trial(0, writes="overlay"), ("namespace", "")),
        (Trial(0, writes="project"), ("copies", "what is written is not held by the overlay")),
        (Trial(1, said="unshare: Operation not permitted"), ("copies", "unshare: Operation not permitted")),
        (Trial(1, stderr=b"Illegal instruction\n"), ("copies", "Illegal instruction")),
        (Trial(3), ("copies", "the trial ended with code 3")),
    ],
)
def test_namespaces_are_used_only_where_a_trial_held_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: Trial, answer: tuple[str, str]
) -> None:
    monkeypatch.setattr("envsolver.worker.isolation.temporary", lambda: Path("/tmp"))  # noqa: S108
    monkeypatch.setattr("subprocess.run", trial)
    project = tmp_path / "project"
    project.mkdir()
    assert choose_isolation(project) == answer


def test_a_trial_that_does_not_end_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(command: list[str], **_: object) -> NoReturn:
        raise subprocess.TimeoutExpired(command, 20)

    monkeypatch.setattr("envsolver.worker.isolation.temporary", lambda: Path("/tmp"))  # noqa: S108
    monkeypatch.setattr("subprocess.run", late)
    isolation, reason = choose_isolation(tmp_path)
    assert isolation == "copies"
    assert "timed out" in reason
