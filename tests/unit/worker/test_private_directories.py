"""Promise: a job's directory is its own, wherever somebody else got there first."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from envsolver.worker.private_directories import job_directory, remove, run_directory, temporary


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("envsolver.worker.private_directories.temporary", lambda: tmp_path)
    return tmp_path


def test_only_its_owner_may_enter_a_jobs_directory(place: Path) -> None:
    made = job_directory("run")
    assert made.parent == run_directory("run")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (made, made.parent)] == [0o700, 0o700]


def test_jobs_of_a_run_have_directories_of_their_own(place: Path) -> None:
    assert job_directory("run") != job_directory("run")


@pytest.mark.parametrize("kind", ["open to others", "a link"])
def test_a_place_that_others_may_enter_is_not_used(place: Path, kind: str) -> None:
    taken = run_directory("run")
    if kind == "a link":
        (place / "elsewhere").mkdir(mode=0o700)
        taken.symlink_to(place / "elsewhere")
    else:
        taken.mkdir()
        taken.chmod(0o777)
    made = job_directory("run")
    assert made.parent == place
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_place_that_another_job_has_just_removed_is_made_anew(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, missing = tempfile.mkdtemp, [True]

    def vanishing(*, prefix: str, dir: Path) -> str:  # noqa: A002  # the library's own name
        if missing and missing.pop():
            dir.rmdir()
        return made(prefix=prefix, dir=dir)

    monkeypatch.setattr("tempfile.mkdtemp", vanishing)
    assert job_directory("run").parent == run_directory("run")


def test_a_directory_that_may_not_be_written_is_removed_all_the_same(place: Path) -> None:
    made = job_directory("run")
    (made / "deep").mkdir()
    (made / "deep/file").touch()
    (made / "deep").chmod(0o500)
    remove(made)
    assert not made.exists()


def test_a_long_temporary_directory_is_not_used_since_sockets_would_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert len(str(temporary())) < 40
