"""A module of the project that lies in another folder is never taken for a package of that name in a registry."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.notebooks.read import read_notebook


def imported(root: Path, source: str, path: str = "doc/examples/a.ipynb") -> list[str]:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), root / path)
    return [wanted.module for wanted in read_notebook(root, path).imports if not wanted.optional]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "pyproject.toml": '[project]\nname = "mine"\ndependencies = ["emcee>=3", "scikit-learn"]\n',
        "mine/__init__.py": "",
        "mine/inner.py": "def f(): ...\n",
        "examples/__init__.py": "",
        "examples/part/models.py": "",
        "scripts/vehicle.py": "a = 1\ndef steer(): ...\n",
        "scripts/emcee.py": "def f(): ...\n",
        "scripts/sklearn.py": "",
        "scripts/kit/__init__.py": "from x import y\n",
        "scripts/kit/tools.py": "def g(): ...\n",
        "other/pyproject.toml": "",
        "other/separate.py": "",
        ".venv/hidden.py": "",
        "env/pyvenv.cfg": "",
        "env/lib/numpy.py": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "source",
    [
        "import vehicle",
        "from vehicle import steer, a",
        "import kit",
        "from kit import tools, y",
        "from kit.tools import g",
    ],
)
def test_a_module_of_another_folder_asks_for_no_package(root: Path, source: str) -> None:
    assert imported(root, source) == []


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from vehicle import wings", "vehicle"),
        ("from vehicle.parts import wheel", "vehicle.parts"),
        ("import emcee", "emcee"),
        ("import sklearn", "sklearn"),
        ("from kit.absent import g", "kit.absent"),
        ("import separate", "separate"),
        ("import hidden", "hidden"),
        ("import numpy", "numpy"),
        ("import inner", "inner"),
        ("from mine import inner", "mine"),
    ],
    ids=[
        "other names",
        "no such part",
        "declared",
        "declared by its distribution",
        "no such file",
        "another project",
        "a hidden folder",
        "a virtualenv",
        "inside a package",
        "the own package",
    ],
)
def test_what_the_files_elsewhere_do_not_answer_is_asked_for(root: Path, source: str, module: str) -> None:
    assert imported(root, source) == [module]
