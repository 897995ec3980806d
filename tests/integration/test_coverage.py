"""Promise: coverage has the lines that notebooks run, as `coverage run` sees them one by one, in any kind of kernel."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from coverage_truth import MeasuredTwice
from fakes import write_notebook

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere kernels start cold"),
]

PYPROJECT = """
[project]
name = "covered"
version = "1"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools.packages.find]
where = ["src"]
[tool.envsolver]
notebooks = ["nb/*.ipynb"]
[tool.coverage.run]
branch = true
"""
CORE = """import os


def choose(n):
    if n > 3:
        return "big"
    elif n < 0:
        return "negative"
    return "small"


def child(n):
    total = 0
    for i in range(n):
        total += i
    return total


def program():
    return 1


class Thing:
    def method(self):
        return [x for x in range(3)]
"""
HELPER = "def help_me(n):\n    if n:\n        return n\n    return 0\n"
PLAIN = {
    "lines": ["import covered\ncovered.choose(5)", "import helper\nhelper.help_me(1)"],
    "thread": [
        "import covered.core, threading",
        "t = threading.Thread(target=covered.core.Thing().method)\nt.start()\nt.join()",
    ],
}
"""Notebooks of one process."""

FORKS = """import multiprocessing
from covered.core import child
process = multiprocessing.get_context("fork").Process(target=child, args=(3,))
process.start()
process.join()
"""
PROGRAM = """import subprocess, sys
subprocess.run([sys.executable, "-c", "import covered.core as core; core.program()"], check=True)
"""
CHILDREN = {
    "fork": [FORKS],
    "program": [PROGRAM],
    "ends": ["import covered.core, os\ncovered.core.choose(-1)\nos._exit(3)"],
    "raises": ["import covered.core\ncovered.core.choose(-1) + 1"],
    "killed": ["import covered.core, os, signal\nos.kill(os.getpid(), signal.SIGKILL)"],
}

Lines = dict[str, tuple[set[int], set[tuple[int, int]]]]


@dataclass
class Place:
    root: Path
    cache: Path

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "ENVSOLVER_CACHE_DIR": str(self.cache), **changes}
        command = [sys.executable, "-m", "envsolver", "run", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environ, capture_output=True, text=True, check=False, timeout=400
        )

    @property
    def python(self) -> Path:
        """The interpreter that coverage is installed for."""
        return next(self.cache.glob("environments/*/env/lib/python*/site-packages/coverage")).parents[3] / "bin/python"

    def lines(self, file: Path) -> Lines:
        """Return the lines and arcs of each file that was measured."""
        code = (
            "import json, sys, coverage\ndata = coverage.CoverageData(sys.argv[1])\ndata.read()\n"
            "print(json.dumps({f: [data.lines(f), data.arcs(f)] for f in data.measured_files()}))"
        )
        done = subprocess.run([self.python, "-c", code, file], capture_output=True, text=True, check=True, timeout=60)
        return {
            os.path.relpath(name, self.root): (set(lines), set(map(tuple, arcs or ())))
            for name, (lines, arcs) in json.loads(done.stdout).items()
        }

    def truth(self, notebook: str) -> Lines:
        """Return what `coverage run` sees of a notebook."""
        data, script = self.root.parent / f"truth-{notebook}", self.root.parent / f"{notebook}.py"
        script.write_text("\n".join(PLAIN[notebook]))
        command = [
            str(self.python),
            "-m",
            "coverage",
            "run",
            "--branch",
            f"--source={self.root}",
            f"--data-file={data}",
        ]
        subprocess.run(
            [*command, str(script)],
            cwd=self.root / "nb",
            env={**os.environ, "PYTHONPATH": f"{self.root / 'src'}:{self.root / 'nb'}"},
            capture_output=True,
            check=True,
            timeout=120,
        )
        return self.lines(data)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("coverage")
    root = home / "project"
    (root / "src" / "covered").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "src" / "covered" / "__init__.py").write_text(
        "from covered.core import choose\nif choose is None:\n    x = 1\n"
    )
    (root / "src" / "covered" / "core.py").write_text(CORE)
    for name, cells in {**PLAIN, **CHILDREN}.items():
        write_notebook(root, f"nb/{name}.ipynb", *cells)
    (root / "nb" / "helper.py").write_text(HELPER)
    (root / "requirements").mkdir()
    (root / "requirements" / "core.in").write_text("-e .\n")
    return Place(root, home / "cache")


def together(*found: Lines) -> Lines:
    names = {name for each in found for name in each}
    empty: tuple[set[int], set[tuple[int, int]]] = (set(), set())
    return {
        name: (
            set().union(*(each.get(name, empty)[0] for each in found)),
            set().union(*(each.get(name, empty)[1] for each in found)),
        )
        for name in names
    }


@pytest.mark.parametrize(
    ("options", "changes"),
    [((), {}), (("--cold",), {"ENVSOLVER_ISOLATION": "copies"})],
    ids=["warm", "cold, in copies"],
)
def test_it_is_what_coverage_sees_of_each_notebook_alone(
    options: tuple[str, ...], changes: dict[str, str], place: Place
) -> None:
    done = place.run("nb/lines.ipynb", "nb/thread.ipynb", "--cov", *options, **changes)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((place.root / ".envsolver/runs/latest/results.json").read_text())["results"]
    assert {result["warm"] for result in results} == {not options}
    truth = together(*(place.truth(name) for name in PLAIN))
    found = place.lines(place.root / ".coverage")
    assert {name: value for name, value in found.items() if value[0]} == {n: v for n, v in truth.items() if v[0]}
    assert set(found) >= {"src/covered/__init__.py", "src/covered/core.py", "nb/helper.py"}


def test_children_count_and_a_kernel_that_dies_loses_no_other_its_lines(place: Place) -> None:
    place.run("nb/lines.ipynb", "--cov")
    first = place.lines(place.root / ".coverage")
    done = place.run("--cov=src", "--cov-append", *(f"nb/{name}.ipynb" for name in CHILDREN))
    assert f"coverage: {place.root}/.coverage" in done.stdout
    found = place.lines(place.root / ".coverage")["src/covered/core.py"][0]
    assert found >= first["src/covered/core.py"][0]
    assert {13, 14, 15, 16, 20, 8} <= found  # of a forked child, of a program, before `os._exit`


def test_nothing_is_cached_by_it_or_for_it(place: Place) -> None:
    place.run("nb/lines.ipynb", "--rerun")
    again = place.run("nb/lines.ipynb", "--cov")
    assert "all are run again" in again.stdout
    with sqlite3.connect(place.root / ".envsolver" / "history.sqlite") as connection:
        kept = [name for (name,) in connection.execute("SELECT notebook FROM pass")]
        modules = [name for (name,) in connection.execute("SELECT notebook FROM modules")]
    assert kept == ["nb/lines.ipynb"]
    assert "nb/program.ipynb" not in modules
    plain = place.run("nb/lines.ipynb")
    assert "1 passed, 0 failed" in plain.stdout
    assert "Cached:" in plain.stdout


def test_children_are_measured_as_under_coverage_run_line_for_line(place: Place, tmp_path: Path) -> None:
    twice = MeasuredTwice(root=place.root, source=["src", "nb"], cache=place.cache, work=tmp_path)
    done = twice.run(*(f"nb/{name}.ipynb" for name in ("lines", "fork", "program", "raises")))
    assert "3 passed, 1 failed" in done.stdout, done.stdout + done.stderr
    compared = list(twice.compare())
    assert [each.differences for each in compared] == [[]] * 4
    measured = {each.notebook: each.found["src/covered/core.py"][0] for each in compared}
    assert {13, 14, 15, 16} <= measured["nb/fork.ipynb"]
    assert 20 in measured["nb/program.ipynb"]
    assert {5, 7, 8} <= measured["nb/raises.ipynb"]
