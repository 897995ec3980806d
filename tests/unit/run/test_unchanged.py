"""Promise: a notebook is cached only when it passed and nothing that it depends on changed; in doubt it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fakes import a_project, pin_ones, solved, write_notebook

from envsolver.core.fingerprints import Look, Reading
from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution, resolve
from envsolver.run.unchanged import Recorder, Unchanged


class Suite:
    """Two notebooks of one group, of which passes are made up, and whether they would run."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.root = project.root
        (self.root / "data").mkdir()
        (self.root / "data/x.csv").write_text("one")
        write_notebook(self.root, "a.ipynb", "a = 1")
        write_notebook(self.root, "b.ipynb", "b = 1")

    def jobs(self) -> tuple[Resolution, dict[str, Job]]:
        resolution = resolve(self.project, cwd=self.root)
        defaults = JobDefaults(config=self.project.config, run_id="", run_dir=self.root)
        jobs, _ = plan_jobs(defaults, resolution, resolution.assignments)
        return resolution, {job.notebook: job for job in jobs}

    def passed(self, *looks: Look, began: int | None = None, **result: object) -> None:
        """Let both notebooks pass, `a.ipynb` having looked at places."""
        resolution, jobs = self.jobs()
        began = time.time_ns() if began is None else began
        with contextlib.closing(Recorder(self.project, resolution, jobs.values(), self.root / "run")) as recorder:
            for name, job in jobs.items():
                lock = resolution.locks[job.target]
                passed = Result(
                    notebook=name,
                    group=job.group,
                    python=job.python,
                    status="passed",
                    environment=self.project.store.key_for(lock),
                    started=datetime.now(timezone.utc).isoformat(),
                    reading=Reading(looks=looks if name == "a.ipynb" else (), began=began),
                )
                recorder.add(replace(passed, **result))  # type: ignore[arg-type]

    def why(self) -> dict[str, str]:
        """Return why those would run that would."""
        resolution, jobs = self.jobs()
        waiting, _ = Unchanged(self.project, resolution, directory=self.root).split(jobs.values())
        return {job.notebook: job.why for job in waiting}


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    return Suite(a_project(tmp_path, monkeypatch, pythons=("3.11",), a="six\n"))


FILE, LIST = Look("file", "data/x.csv"), Look("list", "data")


def change_in_secret(file: Path) -> None:
    """Change a file, and put back its size and its times."""
    status = file.stat()
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def link_in_its_place(file: Path) -> None:
    file.rename(file.with_name("other.csv"))
    file.with_name("other.csv").write_text("two")
    file.symlink_to("other.csv")


def copied_in_its_place(file: Path) -> None:
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Path.touch, ""),
        (copied_in_its_place, ""),
        (change_in_secret, "data/x.csv changed"),
        (link_in_its_place, "data/x.csv changed"),
        (Path.unlink, "data/x.csv is gone"),
    ],
)
def test_content_decides_and_nothing_else(change: Callable[[Path], object], why: str, suite: Suite) -> None:
    suite.passed(FILE)
    change(suite.root / "data/x.csv")
    assert suite.why() == ({"a.ipynb": why} if why else {})


def test_a_folder_of_very_many_files_is_compared_whole(suite: Suite) -> None:
    for number in range(3000):
        (suite.root / f"data/{number}").touch()
    suite.passed(LIST)
    assert suite.why() == {}
    (suite.root / "data/one-more").touch()
    assert suite.why() == {"a.ipynb": "files came or went in data, which it lists"}


def test_since_a_commit_what_never_passed_runs_only_if_it_may_depend_on_a_change(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envsolver.run.unchanged.changed_since", lambda *_: ("zebra.ipynb",))
    write_notebook(suite.root, "zebra.ipynb", "1")
    resolution, jobs = suite.jobs()
    unchanged = Unchanged(suite.project, resolution, directory=suite.root)
    waiting, known = unchanged.split(jobs.values(), since="main")
    assert {job.notebook: job.why for job in waiting} == {"zebra.ipynb": "zebra.ipynb changed"}
    assert [(each.notebook, each.status, each.reason) for each in known] == [
        (name, "skipped", "nothing that it may depend on changed since main") for name in ("a.ipynb", "b.ipynb")
    ]


def test_since_a_commit_what_is_remembered_counts_as_ever(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.passed(FILE)
    (suite.root / "data/x.csv").write_text("two")
    monkeypatch.setattr("envsolver.run.unchanged.changed_since", lambda *_: ())
    resolution, jobs = suite.jobs()
    waiting, known = Unchanged(suite.project, resolution, directory=suite.root).split(jobs.values(), since="main")
    assert [job.notebook for job in waiting] == ["a.ipynb"]
    assert [(each.notebook, each.status) for each in known] == [("b.ipynb", "cached")]


def test_a_renamed_notebook_runs(suite: Suite) -> None:
    suite.passed()
    (suite.root / "a.ipynb").rename(suite.root / "c.ipynb")
    assert suite.why() == {"c.ipynb": "never passed"}


def test_a_lock_that_is_refreshed_to_the_same_packages_changes_nothing(suite: Suite) -> None:
    suite.passed()
    shutil.rmtree(suite.root / "cache")
    assert suite.why() == {}


def test_another_version_of_a_package_is_named(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.passed()
    shutil.rmtree(suite.root / "cache")
    monkeypatch.setattr(
        suite.project.uv, "answer", lambda question: solved(pin_ones(question).out.replace("six==1", "six==2"))
    )
    assert suite.why() == dict.fromkeys(["a.ipynb", "b.ipynb"], "six 1 became 2")


@pytest.mark.parametrize(
    ("hours", "why"),
    [(1, "its last pass is in the future: the clock was set"), (-24 * 31, "its last pass is 31 days old"), (0, "")],
)
def test_a_clock_that_was_set_makes_them_run(hours: float, why: str, suite: Suite) -> None:
    suite.passed(started=(datetime.now(timezone.utc) + timedelta(hours=hours)).isoformat())
    assert suite.why() == (dict.fromkeys(["a.ipynb", "b.ipynb"], why) if why else {})


def test_what_changed_while_the_notebook_ran_makes_it_run(suite: Suite) -> None:
    data, last = suite.root / "data/x.csv", (suite.root / "b.ipynb").stat().st_ctime_ns
    while data.stat().st_ctime_ns <= last:
        data.touch()
    suite.passed(FILE, began=data.stat().st_ctime_ns)
    assert suite.why() == {"a.ipynb": "data/x.csv changed while the notebook ran"}


def test_a_damaged_environment_is_noticed_though_nothing_would_run(suite: Suite) -> None:
    resolution, jobs = suite.jobs()
    prefix = suite.project.store.ensure(resolution.locks[jobs["a.ipynb"].target]).prefix
    suite.passed()
    assert suite.why() == {}
    (prefix / "lib/python3.11/site-packages/six.py").unlink()
    assert suite.why() == dict.fromkeys(["a.ipynb", "b.ipynb"], "its environment is damaged")


def test_an_environment_that_is_not_there_is_no_damage(suite: Suite) -> None:
    suite.passed()
    assert not any((suite.root / "cache").rglob("env"))
    assert suite.why() == {}


def test_two_runs_at_once_on_one_history_lose_nothing_of_each_other(suite: Suite) -> None:
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(suite.passed, FILE) for _ in range(4)]:
            done.result()
    assert suite.why() == {}


@pytest.mark.parametrize("error", [OSError(28, "No space left"), sqlite3.OperationalError("database or disk is full")])
def test_a_full_disk_makes_the_next_run_slower(error: Exception, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    suite.passed(FILE)
    (suite.root / "data/x.csv").write_text("two")
    with monkeypatch.context() as patched:
        patched.setattr("sqlite3.connect", full)
        suite.passed(FILE)
    assert suite.why() == {"a.ipynb": "data/x.csv changed"}
