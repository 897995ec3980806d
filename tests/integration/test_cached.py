"""Promise: a notebook is cached only when it passed and nothing that it depends on has changed since."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.integration


class Project:
    """A project, and the command run in it."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        self.write("requirements/base.in", "# only the kernel\n")
        self.write("envsolver.toml", "")
        self.write("helper.py", "VALUE = 1\n")
        self.write("data.csv", "1\n")
        self.notebook("reads", "open('data.csv').read()")
        self.notebook("imports", "import helper")
        self.notebook("plain", "1 + 1")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def notebook(self, name: str, *cells: str) -> None:
        nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), self.root / f"{name}.ipynb")

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.command("run", *arguments, **variables)

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        time.sleep(0.05)  # nothing changes while a notebook runs, by the file system's clock
        return subprocess.run(
            [sys.executable, "-m", "envsolver", *arguments],
            cwd=self.root,
            env={**os.environ, "ENVSOLVER_CACHE_DIR": str(self.cache), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def results(self) -> dict[str, Any]:
        data = json.loads((self.root / ".envsolver/runs/latest/results.json").read_text())
        return {result["notebook"].removesuffix(".ipynb"): result for result in data["results"]}

    def ran(self, *arguments: str, **variables: str) -> dict[str, str]:
        """Run, and return why each notebook ran that did."""
        done = self.run("--sequential", *arguments, **variables)
        assert done.returncode in {0, 1}, done.stderr
        return {name: each["why"] for name, each in self.results().items() if each["status"] != "cached"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path, cache: Path) -> Project:
    return Project(tmp_path / "project", cache)


def test_a_change_runs_those_that_depend_on_it_and_says_why(project: Project) -> None:
    assert project.ran() == dict.fromkeys(["reads", "imports", "plain"], "never passed")
    assert project.ran() == {}
    project.write("data.csv", "2\n")
    assert project.ran() == {"reads": "data.csv changed"}
    project.write("helper.py", "VALUE = 2\n")
    assert project.ran() == {"imports": "helper.py changed"}
    project.notebook("plain", "1 + 2")
    assert project.ran() == {"plain": "its code changed"}
    assert project.ran(LANG="xx_XX") == dict.fromkeys(["reads", "imports", "plain"], "variable LANG changed")


def test_a_cached_verdict_names_the_run_that_it_rests_on(project: Project) -> None:
    project.ran()
    first = (project.root / ".envsolver/runs/latest").readlink()
    project.ran()
    found = project.results()["plain"]
    assert found["status"] == "cached"
    assert f"in run {first}" in found["reason"]
    assert (project.root / ".envsolver/runs/latest" / found["executed"]).is_file()


def test_a_failure_is_never_cached(project: Project) -> None:
    project.notebook("fails", "1 / 0")
    project.ran()
    assert project.ran() == {"fails": "it did not pass the last time"}


def test_a_notebook_that_runs_nothing_is_cached_until_it_does(project: Project) -> None:
    project.notebook("silent")
    assert project.ran()["silent"] == "never passed"
    assert "silent" not in project.ran()
    project.notebook("silent", "1")
    assert list(project.ran()) == ["silent"]


def test_all_can_be_run_again(project: Project) -> None:
    project.ran()
    assert project.ran("--rerun").keys() == {"reads", "imports", "plain"}


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('[notebook."plain.ipynb"]\ncache = "never"', 'its table says cache = "never"'),
        ("cache-days = 0.0000001", "its last pass is 0 days old"),
        ('[notebook."plain.ipynb"]\nparameters = { n = 1 }', "its settings changed"),
    ],
)
def test_the_configuration_decides_as_well(table: str, why: str, project: Project) -> None:
    project.notebook("plain", "n = 0")
    document = nbformat.read(project.root / "plain.ipynb", as_version=4)
    document.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(document, project.root / "plain.ipynb")
    project.ran()
    project.write("envsolver.toml", table)
    assert project.ran()["plain"] == why


def test_what_reads_where_nobody_looks_is_run_again_unless_its_table_says_otherwise(project: Project) -> None:
    project.notebook("net", "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9))\nexcept OSError: pass")
    project.ran()
    assert project.ran() == {"net": "it opened a connection to 127.0.0.1, port 9"}
    project.write("envsolver.toml", '[notebook."net.ipynb"]\ncache = "always"')
    project.ran()
    assert project.ran() == {}


def test_a_sample_of_the_cached_runs_to_prove_them(project: Project) -> None:
    project.notebook("flaky", "import os\nassert 'HOME' in os.environ and os.environ['HOME'] != '/elsewhere'")
    project.ran()
    assert len(project.ran("--verify", "20%")) == 1
    done = project.run("--sequential", "--verify", "100%", HOME="/elsewhere")
    assert (done.returncode, "WRONG: flaky.ipynb was cached" in done.stdout) == (1, True), done.stdout
    assert project.ran() == {"flaky": "it did not pass the last time"}


def test_it_is_told_why_a_notebook_would_run(project: Project) -> None:
    project.ran()
    project.write("data.csv", "2\n")
    done = project.command("why")
    assert done.returncode == 0
    assert re.search(r"reads\.ipynb .* runs: data\.csv changed", done.stdout)
    assert re.search(r"plain\.ipynb .* cached: passed on ", done.stdout)


def test_where_nothing_changed_nothing_is_started(project: Project) -> None:
    assert project.run().returncode == 0
    done = project.run()
    assert (done.returncode, "cached 3" in done.stdout) == (0, True), done.stdout
    latest = project.root / ".envsolver/runs/latest"
    assert {path.name for path in latest.iterdir()} == {"results.json", "junit.xml", "report.html"}


def test_an_unusable_history_makes_a_run_slower_and_nothing_else(project: Project) -> None:
    project.ran()
    (project.root / ".envsolver/history.sqlite").write_bytes(b"no history" * 1000)
    assert project.ran().keys() == {"reads", "imports", "plain"}
    assert project.ran() == {}
