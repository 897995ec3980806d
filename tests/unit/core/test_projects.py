"""Promise: a folder is a Python project however it says so, and what it is called is read, not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.core.projects import project_name, pyproject

BUILD = "[build-system]\nrequires = ['setuptools']\n"
CFG = "[metadata]\nversion = 1\nname = My_Lib\n[options]\npackages = find:\n"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"pyproject.toml": "[project]\nname = 'My.Lib'\n"}, "my-lib"),
        ({"pyproject.toml": "[tool.poetry]\nname = 'mylib'\n"}, "mylib"),
        ({"pyproject.toml": "[tool.flit.metadata]\nmodule = 'mylib'\n"}, "mylib"),
        ({"pyproject.toml": "[tool.flit.metadata]\nmodule = 'm'\ndist-name = 'mylib'\n"}, "mylib"),
        ({"pyproject.toml": BUILD, "setup.cfg": CFG}, "my-lib"),
        ({"pyproject.toml": "[tool.black]\n", "setup.cfg": "[flake8]\nname = no\n"}, None),
        ({"pyproject.toml": "[[", "setup.cfg": CFG}, "my-lib"),
        ({"pyproject.toml": BUILD}, None),
        ({"setup.py": "from setuptools import setup\nsetup(name='mylib')\n"}, "mylib"),
        ({"setup.py": "NAME = 'mylib'\nsetup(name=NAME)\n"}, "mylib"),
        ({"setup.py": "setup(**settings())\n", "src/mylib/__init__.py": "", "tests/__init__.py": ""}, "mylib"),
        ({"setup.py": "setup(**settings())\n", "a/__init__.py": "", "b/__init__.py": ""}, "folder"),
        ({"setup.py": "data = download()\n", "a/__init__.py": ""}, None),
        ({}, None),
    ],
)
def test_what_a_project_is_called(tmp_path: Path, files: dict[str, str], name: str | None) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    assert project_name(folder) == name


def test_a_name_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    assert project_name(tmp_path) is None
    file.write_text("[project]\nname = 'one'\n", encoding="utf-8")
    assert project_name(tmp_path) == "one"
    file.write_text("[project]\nname = 'three'\n", encoding="utf-8")
    assert project_name(tmp_path) == "three"


def test_a_table_is_parsed_once_and_again_when_its_file_changed(tmp_path: Path) -> None:
    assert pyproject(tmp_path) == {}
    file = tmp_path / "pyproject.toml"
    file.write_text("a = 1\n", encoding="utf-8")
    assert pyproject(tmp_path) == {"a": 1}
    assert pyproject(tmp_path) is pyproject(tmp_path)
    file.write_text("a = 23\n", encoding="utf-8")
    assert pyproject(tmp_path) == {"a": 23}
    file.unlink()
    assert pyproject(tmp_path) == {}
