"""Promise: a run gives each notebook its true verdict, groups that exclude each other side by side."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from fakes import PATIENCE
from run_sandbox import FOREVER, SLEEPER, Sandbox, marked_processes
from uv import find_uv_bin

pytestmark = pytest.mark.integration


def test_each_verdict_is_the_truth(sandbox: Sandbox) -> None:
    sandbox.configure("""
timeout = 120
pass-env = ["ENVSOLVER_TEST"]
[notebook."skipped.ipynb"]
skip = "needs a licence"
[notebook."slow.ipynb"]
cell-timeout = 2
""")
    sandbox.notebook("passes.ipynb", "x = 1", "assert x == 1")
    sandbox.notebook("fails.ipynb", "x = 1", "raise ValueError('wrong sum')", "y = 2")
    sandbox.notebook("crashes.ipynb", "import os; os._exit(3)")
    sandbox.notebook("slow.ipynb", SLEEPER, FOREVER)
    sandbox.notebook("skipped.ipynb", "x = 1")
    sandbox.notebook("needs.ipynb", "import numpy, not_to_be_found")
    sandbox.notebook("hidden.ipynb", "__import__('num' + 'py')")
    sandbox.notebook("asks.ipynb", "name = input('who? ')")
    stale = {"name": "conda-env-py37", "display_name": "gone", "language": "python"}
    sandbox.notebook("stale.ipynb", "x = 1", kernelspec=stale)
    sandbox.notebook("empty.ipynb")
    (sandbox.root / "broken.ipynb").write_text('{"cells": [')
    (sandbox.root / "cellless.ipynb").write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}')
    done = sandbox.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert sandbox.verdicts() == {
        "passes.ipynb": "passed",
        "fails.ipynb": "failed",
        "crashes.ipynb": "crashed",
        "slow.ipynb": "timeout",
        "skipped.ipynb": "skipped",
        "needs.ipynb": "environment",
        "hidden.ipynb": "failed",
        "asks.ipynb": "failed",
        "stale.ipynb": "passed",
        "empty.ipynb": "passed",
        "broken.ipynb": "failed",
        "cellless.ipynb": "failed",
    }
    results = sandbox.by_notebook()
    assert results["fails.ipynb"]["failure"]["cell"] == 2
    assert "wrong sum" in results["fails.ipynb"]["failure"]["evalue"]
    assert results["crashes.ipynb"]["seconds"] < PATIENCE
    assert "numpy" in results["needs.ipynb"]["reason"]
    assert "base" in results["needs.ipynb"]["reason"]
    assert results["skipped.ipynb"]["reason"] == "needs a licence"
    assert "add what provides numpy to requirements/base.in" in results["hidden.ipynb"]["reason"]
    assert "3 passed, 8 failed, 1 skipped" in done.stdout
    assert not marked_processes(sandbox.root)


def test_groups_that_cannot_share_an_environment_run_at_the_same_time(sandbox: Sandbox) -> None:
    # Each waits for the other, so that they pass together or not at all.
    meeting = sandbox.root.parent / "meeting"
    meeting.mkdir()
    for group, version, other in (("old", "23.2", "new"), ("new", "24.2", "old")):
        (sandbox.root / f"requirements/{group}.in").write_text(f"packaging=={version}\n")
        sandbox.notebook(
            f"{group}.ipynb",
            f"import packaging, pathlib, time\nassert packaging.__version__ == '{version}'",
            f"meeting = pathlib.Path({str(meeting)!r})\n(meeting / '{group}').touch()",
            f"while not (meeting / '{other}').exists():\n    time.sleep(0.05)",
            envsolver={"group": group},
        )
    sandbox.configure("timeout = 120")
    assert sandbox.run("--workers", "2").returncode == 0
    old, new = sandbox.by_notebook()["old.ipynb"], sandbox.by_notebook()["new.ipynb"]
    assert old["environment"] != new["environment"]


def test_running_in_sequence_gives_the_same_verdicts(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "x = 1")
    sandbox.notebook("b.ipynb", "raise ValueError")
    assert sandbox.run("--sequential").returncode == 1
    assert sandbox.verdicts() == {"a.ipynb": "passed", "b.ipynb": "failed"}


def test_awkward_names_work(sandbox: Sandbox) -> None:
    names = ["sp ace/it's.ipynb", 'quo"te.ipynb', "naïve ∫.ipynb", "-dash.ipynb", "{brace}.ipynb", "$HOME;.ipynb"]
    for name in names:
        sandbox.notebook(name, "import pathlib\nassert pathlib.Path.cwd().exists()")
    done = sandbox.run("--", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sandbox.verdicts() == dict.fromkeys(names, "passed")


def test_failfast_reports_what_was_not_run(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "raise ValueError")
    for name in "bcd":
        sandbox.notebook(f"{name}.ipynb", "import time; time.sleep(5)")
    done = sandbox.run("--failfast", "--workers", "1", "--order", "name")
    assert done.returncode == 1
    assert sandbox.verdicts() == {"a.ipynb": "failed"}
    assert sandbox.results()["not_run"] == ["b.ipynb", "c.ipynb", "d.ipynb"]
    assert "b.ipynb" in done.stdout


def test_a_group_that_cannot_be_solved_is_explained_and_the_others_run(sandbox: Sandbox) -> None:
    (sandbox.root / "requirements/odd.in").write_text("# two of one\npackaging==23.2\npackaging==24.2\n")
    sandbox.notebook("good.ipynb", "x = 1", envsolver={"group": "base"})
    sandbox.notebook("odd.ipynb", "x = 1", envsolver={"group": "odd"})
    done = sandbox.run()
    assert done.returncode == 4, done.stdout + done.stderr
    assert sandbox.verdicts() == {"good.ipynb": "passed", "odd.ipynb": "environment"}
    reason = sandbox.by_notebook()["odd.ipynb"]["reason"]
    assert "requirements/odd.in:2" in reason
    assert "requirements/odd.in:3" in reason


def test_a_project_that_cannot_be_built_keeps_only_those_from_running_that_import_it(sandbox: Sandbox) -> None:
    (sandbox.root / "requirements/base.in").unlink()
    (sandbox.root / "envsolver.toml").unlink()
    (sandbox.root / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (sandbox.root / "backend.py").write_text("raise RuntimeError('no compiler')\n")
    (sandbox.root / "mine").mkdir()
    (sandbox.root / "mine/__init__.py").touch()
    sandbox.notebook("docs/mine.ipynb", "import mine")
    sandbox.notebook("docs/other.ipynb", "x = 1")
    done = sandbox.run()
    assert done.returncode == 5, done.stdout + done.stderr
    assert sandbox.verdicts() == {"docs/mine.ipynb": "environment", "docs/other.ipynb": "passed"}
    reason = sandbox.by_notebook()["docs/mine.ipynb"]["reason"]
    said = "the project's own package cannot be built: RuntimeError: no compiler; see why `"
    assert reason.startswith(said)
    _, *arguments = shlex.split(reason[len(said) :].partition("`")[0])
    command = [find_uv_bin(), *arguments]
    trial = subprocess.run(command, cwd=sandbox.root, capture_output=True, text=True, check=False, timeout=60)
    assert "RuntimeError: no compiler" in trial.stderr


@pytest.mark.parametrize(
    ("configuration", "arguments", "code", "said"),
    [
        ("", ["nothing-*.ipynb"], 3, "nothing-"),
        ("timeout = 'soon'\ncolour = 1\n", [], 2, "colour"),
        ("", ["--group", "nope"], 2, "the groups are: base"),
        ("", ["--workers", "0"], 2, "--workers"),
    ],
)
def test_what_cannot_be_done_ends_with_its_own_exit_code(
    sandbox: Sandbox, configuration: str, arguments: list[str], code: int, said: str
) -> None:
    sandbox.configure(configuration)
    sandbox.notebook("a.ipynb", "x = 1")
    done = sandbox.run(*arguments)
    assert done.returncode == code
    assert said in done.stderr
