"""Promise: looking at a repository runs nothing of it, and what is built sees no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

MARKING = """\
import os
with open({mark!r}, "a") as file:
    file.write({what!r} + "\\n" + "".join(f"{{name}}\\n" for name in os.environ))
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Return the file that everything in the hostile repository writes when it is run."""
    return tmp_path / "mark"


def lay_out(root: Path, mark: Path, *cells: str, requirements: str = "") -> None:
    """Lay out a repository in which every place that a tool could run writes the mark."""

    def code(what: str) -> str:
        return MARKING.format(mark=str(mark), what=what)

    setup = (
        "from setuptools import setup\nsetup(name='{name}', version='1', install_requires=__import__('os').sep and [])"
    )
    backend = "from setuptools.build_meta import *\n"
    (root / ".git").mkdir(parents=True)
    files = {
        "setup.py": code("setup.py") + setup.format(name="root"),
        "sub/setup.py": code("sub") + setup.format(name="sub"),
        "backend/pyproject.toml": '[project]\nname = "backend"\ndynamic = ["version", "dependencies"]\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "evil"\nbackend-path = ["."]\n',
        "backend/evil.py": code("backend") + backend,
        "conftest.py": code("conftest"),
        "sitecustomize.py": code("sitecustomize"),
        "usercustomize.py": code("usercustomize"),
        "json.py": code("json"),
        "uv.toml": 'override-dependencies = ["idna @ file://${PROJECT_ROOT}/sub"]\n',
        ".venv/pyvenv.cfg": f"home = {Path(sys.executable).parent}\nversion = {sys.version.split()[0]}\n",
        "tests/booktests/tb_a.py": code("tb_a"),
        "envsolver.toml": "",
    }
    if requirements:
        files["requirements/a.in"] = requirements
        files["envsolver.toml"] = "[groups.a]\n"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for folder in (".venv/bin", "bin"):
        (root / folder).mkdir(exist_ok=True)
        for name in ("python", "python3", "uv", "git"):
            program = root / folder / name
            program.write_text(f'#!/bin/sh\necho {folder} >> "{mark}"\nexec "{sys.executable}" "$@"\n')
            program.chmod(0o755)
    empty: dict[str, object] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    source = [{**empty, "source": cell} for cell in cells]
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": source}
    (root / "n.ipynb").write_text(json.dumps(document))


def envsolver(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"ENVSOLVER_CACHE_DIR": str(root.parent / "cache"), "MY_TOKEN": "secret", "MY_BUILD_FLAG": "1"}
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-I", "-m", "envsolver", *arguments]
    return subprocess.run(
        command, cwd=root, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments", [("list",), ("solve",), ("init",), ("check",), ("clean",), ("history",), ("schema",)]
)
def test_looking_at_a_hostile_repository_runs_nothing_of_it(
    tmp_path: Path, mark: Path, arguments: tuple[str, ...]
) -> None:
    root = tmp_path / "project"
    lay_out(root, mark, "%pip install -e ./sub", "%pip install ./backend", "import root", "import six")
    if arguments == ("init",):
        (root / "envsolver.toml").unlink()
    said = envsolver(root, *arguments)
    assert not mark.exists(), mark.read_text()
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("line", ["-e .", "./sub", "sub @ ./sub", "sub@./sub", "-e ./backend", "-r file:///${HOME}/x"])
@pytest.mark.parametrize("command", ["list", "solve", "lock"])
def test_a_hostile_line_of_requirements_runs_nothing(tmp_path: Path, mark: Path, line: str, command: str) -> None:
    root = tmp_path / "project"
    lay_out(root, mark, "import six", requirements=f"{line}\n")
    said = envsolver(root, command)
    assert not mark.exists(), mark.read_text()
    assert "Traceback" not in said.stderr


def test_what_is_unknown_without_a_build_is_said(tmp_path: Path, mark: Path) -> None:
    root = tmp_path / "project"
    lay_out(root, mark, "%pip install -e ./sub")
    (root / "uv.toml").unlink()
    said = envsolver(root, "list")
    assert "(unknown)" in said.stdout
    assert "unknown without a build: only a build shows what -e ./sub depends on" in said.stdout
    assert "Add --build to have it built" in said.stdout


def test_a_build_happens_when_it_is_asked_for_and_sees_no_secret(tmp_path: Path, mark: Path) -> None:
    root = tmp_path / "project"
    lay_out(root, mark, "%pip install -e ./sub")
    (root / "uv.toml").unlink()
    (root / "envsolver.toml").write_text('pass-env = ["MY_BUILD_*"]\n')
    said = envsolver(root, "list", "--build")
    seen = mark.read_text().splitlines()
    assert "sub" in seen, said.stdout + said.stderr
    assert {".venv/bin", "bin", "root"}.isdisjoint(seen)
    assert "MY_TOKEN" not in seen
    assert {"PATH", "HOME", "MY_BUILD_FLAG"} <= set(seen)
