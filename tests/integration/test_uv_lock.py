"""Promise: a project with a `uv.lock` and a group for its docs runs as it is, with the versions of its lock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from uv import find_uv_bin

pytestmark = pytest.mark.integration

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "mine"
version = "1"
requires-python = ">=3.10"
[dependency-groups]
docs = ["six==1.16"]
"""
CELL = "import mine, six\nassert six.__version__ == '1.16.0', six.__version__"


def envsolver(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "envsolver", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240, check=False)


def test_versions_of_the_lock_run_and_a_stale_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").touch()
    nbformat.write(new_notebook(cells=[new_code_cell(CELL)]), tmp_path / "a.ipynb")
    subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=tmp_path, check=True, timeout=240)
    before = (tmp_path / "uv.lock").read_bytes()

    done = envsolver(tmp_path, "run", "--sequential")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / ".envsolver/runs/latest/results.json").read_text(encoding="utf-8"))["results"]
    assert [(r["group"], r["status"]) for r in results] == [("docs", "passed")]

    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace("1.16", "1.15"), encoding="utf-8")
    stale = envsolver(tmp_path, "list")
    assert (stale.returncode, "uv.lock is stale" in stale.stderr, "`uv lock`" in stale.stderr) == (2, True, True)
    assert (tmp_path / "uv.lock").read_bytes() == before
