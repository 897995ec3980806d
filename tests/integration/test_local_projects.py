"""A local project is solved for without a build where its files say enough, and comes before its releases."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import required

from envsolver.core.environments import Interpreter
from envsolver.core.settings import Config
from envsolver.environments.uv import Uv
from envsolver.resolver.groups import derive_group, read_group
from envsolver.resolver.locks import read_packages, solve_group

pytestmark = pytest.mark.integration

BACKEND = '[build-system]\nrequires = []\nbuild-backend = "explodes"\nbackend-path = ["."]\n'
STATIC = '[project]\nname = "six"\ndynamic = ["version"]\nrequires-python = ">=3.10"\ndependencies = ["idna>=3"]\n'


def project(root: Path, text: str, *, setup: bool = False) -> Path:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    if setup:
        (root / "setup.py").touch()
    return root


def test_the_real_uv_solves_for_a_project_that_cannot_be_built(tmp_path: Path, python: Interpreter) -> None:
    root = project(tmp_path, BACKEND + STATIC)
    # python-dateutil depends on a release of six.
    group = derive_group("a", required("-e .", "python-dateutil>=2.8,<3"), root=root)
    lock = solve_group(group, python, uv=Uv(root), cache=None)
    versions = {package.name: package.version for package in lock.packages}
    assert versions["six"] == str(root)
    assert "idna" in versions
    assert f"-e {root.as_uri()}" in lock.text
    assert read_packages(lock.text) == lock.packages


def test_a_groups_file_that_names_a_local_project_is_solved_alike(tmp_path: Path, python: Interpreter) -> None:
    root = project(tmp_path, BACKEND + STATIC)
    (root / "requirements").mkdir()
    (root / "requirements" / "a.in").write_text("-e .\n-r b.txt\n-c c.txt\n", encoding="utf-8")
    (root / "requirements" / "b.txt").write_text("python-dateutil\n", encoding="utf-8")
    (root / "requirements" / "c.txt").write_text("python-dateutil<3\n", encoding="utf-8")
    lock = solve_group(read_group(Config(root=root), "a"), python, uv=Uv(root), cache=None)
    versions = {package.name: package.version for package in lock.packages}
    assert versions["six"] == str(root)
    assert versions["python-dateutil"].startswith("2.")
