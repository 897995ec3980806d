"""Promise: test files run wherever pytest does, with none of its plugins and under its strictest options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from envsolver.core.settings import Config
from envsolver.testing.generate import generate

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[2]
WITHOUT_PLUGINS = ("-p", "no:timeout", "-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")
NOTEBOOK = '{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, "source": "x = 1"}]}'
STRICT = """
[pytest]
addopts = --strict-markers --strict-config {mode} -W error
xfail_strict = true
filterwarnings = error
"""


def run_pytest(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", *WITHOUT_PLUGINS, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_this_projects_options_need_no_plugin() -> None:
    assert "TestQuickstart::test_notebook" in run_pytest(
        PROJECT, "--collect-only", "-q", "tests/booktests/tb_quickstart.py"
    )


@pytest.mark.parametrize("mode", ["", "--import-mode=importlib", "--import-mode=append", "--doctest-modules"])
def test_generated_files_run_under_strict_options(tmp_path: Path, mode: str) -> None:
    (tmp_path / "a.ipynb").write_text(NOTEBOOK)
    (tmp_path / "envsolver.toml").write_text("notebooks = ['*.ipynb']\n")
    (tmp_path / "pytest.ini").write_text(STRICT.format(mode=mode))
    (written,) = generate(Config(root=tmp_path), ("a.ipynb",)).written
    assert "1 passed" in run_pytest(tmp_path, written)


def test_notebooks_are_run_as_tests_under_strict_options(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(NOTEBOOK)
    (tmp_path / "envsolver.toml").write_text("notebooks = ['*.ipynb']\n")
    (tmp_path / "pytest.ini").write_text(STRICT.format(mode=""))
    assert "a.ipynb::notebook PASSED" in run_pytest(tmp_path, "--notebooks", "-v")
