"""Promise: a project that is sent has git's files as they are now, and what its notebooks leave comes home."""

from __future__ import annotations

import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import job

from envsolver.core.errors import ConfigurationError
from envsolver.core.results import Result
from envsolver.run.parsl.sent_project import NODE_PROJECT, SENT_PROJECT, at_node, project_directory, unpack
from envsolver.run.shipment import bring_home, bring_rest, pack
from envsolver.worker.private_directories import remove


def git(folder: Path, *arguments: str) -> None:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *own, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    (root / ".envsolver").mkdir()
    for name in ("kept.txt", "changed.txt", "deleted.txt", "data/ü 1.csv", "ignored.log", ".envsolver/x"):
        (root / name).write_text(name)
    (root / ".gitignore").write_text("*.log\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("data")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    (root / "changed.txt").write_text("another text")
    (root / "deleted.txt").unlink()
    (root / "new.txt").write_text("new")
    return root


def held(archive: Path) -> set[str]:
    with tarfile.open(archive) as packed:
        return {name.partition("/")[2] for name in packed.getnames()}


def test_gits_files_are_sent_with_their_changes(root: Path, tmp_path: Path) -> None:
    archive = pack(root, tmp_path)
    assert held(archive) == {".gitignore", "kept.txt", "changed.txt", "data/ü 1.csv", "run.sh", "link", "new.txt"}
    try:
        there = unpack(archive, "some-mark")
        assert there.name == "project"
        assert (there / "changed.txt").read_text() == "another text"
        assert (there / "link/ü 1.csv").read_text() == "data/ü 1.csv"
        assert os.access(there / "run.sh", os.X_OK)
        assert there.parent.stat().st_mode & 0o077 == 0
    finally:
        remove(project_directory("some-mark"))


def test_what_a_submodule_holds_is_sent_too(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("a")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "first")
    git(root, "submodule", "add", "-q", str(other), "sub")
    assert "sub/a.txt" in held(pack(root, tmp_path))


def test_the_archive_is_named_by_its_content(root: Path, tmp_path: Path) -> None:
    first = pack(root, tmp_path)
    os.utime(root / "kept.txt", (1, 1))
    assert pack(root, tmp_path) == first
    (root / "kept.txt").write_text("changed")
    second = pack(root, tmp_path)
    (root / "kept.txt").chmod(0o755)
    assert len({first, second, pack(root, tmp_path)}) == 3


def test_a_project_that_git_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"project = \"send\".* git says of .*not a git repository") as raised:
        pack(tmp_path, tmp_path)
    assert '`project = "shared"`' in raised.value.tip


def test_a_git_that_never_answers_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", timeout)

    monkeypatch.setattr("subprocess.run", wait)
    with pytest.raises(ConfigurationError, match=r"git says of .*: nothing within 300 s"):
        pack(root, tmp_path)


def test_what_notebooks_leave_comes_home_and_the_archive_goes(tmp_path: Path) -> None:
    exchange, run = tmp_path / "exchange", tmp_path / "run"
    for name in ("home/executed/a.ipynb", "home/logs/a.log", "home/logs/templates/t.log", "x.project.tar.gz"):
        (exchange / name).parent.mkdir(parents=True, exist_ok=True)
        (exchange / name).write_text(name)
    run.mkdir()
    result = Result(notebook="a.ipynb", group="g", python="3.11", status="passed")
    bring_home(exchange, run, replace(result, executed="executed/a.ipynb", log="logs/a.log"))
    assert (run / "executed/a.ipynb").exists()
    assert (run / "logs/a.log").exists()
    bring_home(exchange, run, replace(result, executed="executed/never.ipynb"))
    bring_rest(exchange, run)
    assert (run / "logs/templates/t.log").exists()
    assert list(exchange.iterdir()) == []


def test_a_job_runs_where_the_project_was_unpacked_and_writes_where_it_comes_home_from() -> None:
    here = at_node(job(), {SENT_PROJECT: "/shared/run/x.project.tar.gz", NODE_PROJECT: "/local/e/project"})
    assert (here.root, here.run_dir) == ("/local/e/project", "/shared/run/home")
    assert at_node(job(), {}) == job()
