"""The commands of the solver and the environments, invoked as commands with the real uv."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/base.in").write_text("# only the kernel\n")
    (tmp_path / "requirements/extra.in").write_text("six\n")
    (tmp_path / "envsolver.toml").write_text('[groups.extra]\nnotebooks = ["b.ipynb"]\n')
    for name in "ab":
        nbformat.write(new_notebook(cells=[new_code_cell("x = 1")]), tmp_path / f"{name}.ipynb")
    return tmp_path


def run(root: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "envsolver", *arguments],
        cwd=root,
        env={**os.environ, "ENVSOLVER_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_sync_builds_each_environment_once_and_runs_nothing(root: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "cache"
    words = []
    for _ in range(2):
        done = run(root, fresh, "sync")
        assert done.returncode == 0, done.stderr
        header, *rows = done.stdout.splitlines()
        assert header.split() == ["group", "python", "packages", "environment"]
        words.append({row.split()[0]: row.split()[3] for row in rows})
        assert all(Path(row.split()[-1], "bin/python").exists() for row in rows)
    assert words == [{"base": "built", "extra": "built"}, {"base": "cached", "extra": "cached"}]
    assert not (root / ".envsolver/runs").exists()


def test_sync_of_a_project_without_configuration_builds_what_a_run_chooses(tmp_path: Path, cache: Path) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell("%pip install six\nimport six")]), tmp_path / "a.ipynb")
    done = run(tmp_path, cache, "sync")
    assert done.returncode == 0, done.stderr
    _, row = done.stdout.splitlines()
    shown = run(tmp_path, cache, "list").stdout.splitlines()[-1]
    assert row.split()[0] == shown.split()[1]
    assert list(Path(row.split()[-1]).glob("lib/python*/site-packages/six.py"))
    refused = run(tmp_path, cache, "sync", "--group", "typo")
    assert refused.returncode == 2
    assert "--group typo: there is no such group" in refused.stderr


@pytest.mark.parametrize("command", ["sync", "solve", "lock", "list", "run"])
def test_a_group_that_is_not_there_is_a_clear_error(root: Path, cache: Path, command: str) -> None:
    done = run(root, cache, command, "--group", "typo")
    assert done.returncode == 2
    assert "--group typo: there is no such group; the groups are: base, extra" in done.stderr


def test_clean_shows_the_cache_and_evicts_what_is_named(root: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "cache"
    assert run(root, fresh, "sync").returncode == 0
    shown = run(root, fresh, "clean").stdout.splitlines()
    keys = {line.split()[1]: line.split()[0] for line in shown[1:3]}
    assert shown[3].startswith("2 environments, ")
    assert "evicted 1 of 1" in run(root, fresh, "clean", "--key", keys["extra"][:12]).stdout
    assert "evicted" not in run(root, fresh, "clean", "--unused-days", "1").stdout
    assert "evicted 1 of 1" in run(root, fresh, "clean", "--all").stdout
    assert run(root, fresh, "clean").stdout.splitlines()[-1].startswith("0 environments, ")


def test_solve_says_what_solves_and_what_could_be_one_environment(root: Path, cache: Path) -> None:
    done = run(root, cache, "solve")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == ["base", "extra"]
    assert json.loads(run(root, cache, "solve", "--json").stdout)["remarks"] == []


def test_solve_of_what_excludes_itself_has_exit_code_4(root: Path, cache: Path) -> None:
    (root / "requirements/extra.in").write_text("six>1.16\nsix<1.16\n")
    done = run(root, cache, "solve", "--group", "extra")
    assert done.returncode == 4
    assert "six" in done.stdout


def test_lock_writes_checks_and_tells_a_stale_one(root: Path, cache: Path) -> None:
    assert run(root, cache, "lock", "--check").returncode == 2
    assert "requirements/extra.txt: written" in run(root, cache, "lock").stdout
    assert run(root, cache, "lock", "--check").stdout == "2 locks are fresh\n"
    (root / "requirements/extra.in").write_text("six>=1.16\n")
    stale = run(root, cache, "lock", "--check")
    assert stale.returncode
    assert "requirements/extra.txt" in stale.stderr


def test_init_refuses_what_is_configured(root: Path, cache: Path) -> None:
    done = run(root, cache, "init")
    assert done.returncode == 2
    assert "already configures envsolver" in done.stderr


def test_list_says_each_notebooks_group_as_text_and_as_json(root: Path, cache: Path) -> None:
    shown = run(root, cache, "list").stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [["a.ipynb", "base"], ["b.ipynb", "extra"]]
    rows = json.loads(run(root, cache, "list", "--json", "--group", "extra").stdout)
    assert [(row["notebook"], row["group"]) for row in rows] == [("b.ipynb", "extra")]


def test_a_run_is_remembered_reported_and_its_shards_are_merged(root: Path, cache: Path) -> None:
    folders = []
    for part in ("1/2", "2/2"):
        assert run(root, cache, "run", "--shard", part).returncode == 0
        folders.append(str((root / ".envsolver/runs/latest").resolve()))
    assert {line.split()[0] for line in run(root, cache, "history").stdout.splitlines()[1:]} == {"a.ipynb", "b.ipynb"}
    merged = run(root, cache, "merge", *folders)
    assert (merged.returncode, merged.stdout.splitlines()[-1]) == (0, "2 passed, 0 failed, 0 skipped")
    # The machine of a shard was switched off, and it ran again.
    shutil.copytree(root / folders[1], root / "cut")
    results = root / "cut/results.json"
    results.write_text(
        json.dumps({**json.loads(results.read_text()), "state": "running", "stopped": "killed", "results": []})
    )
    assert run(root, cache, "merge", folders[0], "cut").stdout.startswith("Stopped: shard 2/2: killed")
    again = run(root, cache, "merge", *folders, "cut", "-o", "again")
    assert "shard 2/2 did not come to its end, and ran again; left out" in again.stderr
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "2 passed, 0 failed, 0 skipped")
    assert Path(run(root, cache, "report", "--no-open").stdout.strip()).is_file()


def test_monitoring_measures_the_run_into_its_folder(root: Path, cache: Path) -> None:
    done = run(root, cache, "run", "--monitor", "a.ipynb")
    assert done.returncode == 0, done.stderr
    database = sqlite3.connect(root / ".envsolver/runs/latest/parsl/monitoring.db")
    with contextlib.closing(database):
        assert database.execute("select count(*) from task").fetchone() == (1,)
