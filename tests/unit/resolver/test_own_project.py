"""Promise: the project under test is meant in all its spellings, and is there as it is in the checkout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import notebook, required, write_notebook

from envsolver.core.notebooks import Import, Origin
from envsolver.notebooks.distributions import distributions_for
from envsolver.notebooks.read import read_notebook
from envsolver.resolver.declared import declared
from envsolver.resolver.demands import demand_of
from envsolver.resolver.own_project import OwnProject, own_project

PYPROJECT = """
[project]
name = "My_Lib"
version = "1"
dependencies = ["numpy"]
urls = {Source = "https://www.example.org/team/sources", Docs = "https://docs.example.org"}
[project.optional-dependencies]
plot = ["matplotlib>=3", "pillow"]
all = ["my-lib[plot]", "matplotlib", "torch", "pandas"]
"""
GIT = """
[core]
	bare = false
[remote "origin"]
	url = git@git.example.org:forks/another-name.git
	fetch = +refs/heads/*:refs/remotes/origin/*
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / ".git").mkdir(parents=True)
    (root / ".git" / "config").write_text(GIT, encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (root / "src" / "my_lib").mkdir(parents=True)
    (root / "src" / "my_lib" / "__init__.py").touch()
    return root


def own(root: Path) -> OwnProject:
    found = own_project(root)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("my.lib", "-e ."),
        ("My-Lib[plot]>=3", "-e .[plot]"),
        ("-e .", "-e ."),
        ("-e .[plot]", "-e .[plot]"),
        ("git+https://example.org/anyone/my-lib.git", "-e ."),
        ("git+https://example.org/anyone/My_Lib@develop", "-e ."),
        ("git+ssh://git@git.example.org/forks/another-name.git@main", "-e ."),
        ("git+https://user:secret@git.example.org/Forks/another-name", "-e ."),
        ("git+https://example.org/team/sources", "-e ."),
        ("https://example.org/team/sources/archive/refs/heads/main.zip", "-e ."),
        ("https://example.org/team/sources/-/archive/main/sources-main.tar.gz", "-e ."),
        ("my-lib @ git+https://example.org/x/y", "-e ."),
        ("my-lib[plot] @ git+https://example.org/team/sources", "-e .[plot]"),
        ("git+https://example.org/team/other", None),
        ("git+https://example.org/team/sources-more", None),
        ("git+https://example.org/team/sources#subdirectory=part", None),
        ("numpy", None),
        ("other @ git+https://example.org/x/y", None),
        ("-e ./part", None),
        ("-c my-lib<2", None),
        ("--find-links https://example.org/team/sources", None),
    ],
)
def test_what_means_the_project_is_told_from_what_does_not(root: Path, text: str, meant: str | None) -> None:
    assert own(root).spelt(text) == meant


def test_a_project_within_a_repository_is_named_with_its_place(root: Path) -> None:
    inner = root / "packages" / "part"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[project]\nname = "part"\n', encoding="utf-8")
    address = "git+https://git.example.org/forks/another-name"
    assert own(inner).spelt(f"{address}#subdirectory=packages/part") == "-e ."
    assert own(inner).spelt(address) is None


def test_a_worktree_knows_the_remotes_of_its_repository(root: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (root / ".git" / "worktrees" / "tree").mkdir(parents=True)
    (root / ".git" / "worktrees" / "tree" / "commondir").write_text("../..\n", encoding="utf-8")
    (tree / ".git").write_text(f"gitdir: {root}/.git/worktrees/tree\n", encoding="utf-8")
    assert own(tree).spelt("git+https://git.example.org/forks/another-name") == "-e ."


@pytest.mark.parametrize("damage", ["", "nonsense", "[remote", "\x00"])
def test_an_odd_configuration_of_git_names_nothing(root: Path, damage: str) -> None:
    (root / ".git" / "config").write_text(damage, encoding="utf-8")
    assert own(root).spelt("git+https://git.example.org/forks/another-name") is None


def test_addresses_of_others_are_asked_for_as_they_stand(root: Path) -> None:
    given = notebook(imports=["numpy"], installs=required("git+https://x.org/y@v1", "-c numpy<2"))
    demand = demand_of(given, distributions=lambda module: (module,), own=own(root))
    assert [r.text for r in demand.requirements] == ["-c numpy<2", "git+https://x.org/y@v1", "numpy"]


EXTRAS = [
    ("matplotlib.pyplot", ["-e .[plot]"]),
    ("torch", ["-e .[all]"]),
    ("numpy", []),
    ("unheard_of", []),
]


@pytest.mark.parametrize(("module", "asked"), EXTRAS)
def test_the_smallest_extra_that_has_what_the_packages_files_import_is_taken(
    root: Path, module: str, asked: list[str]
) -> None:
    wanted = Import(module=module, origin=Origin(path="src/my_lib/part.py", line=3))
    given = replace(notebook(imports=["my_lib.part"]), own_imports=(wanted,))
    demand = demand_of(given, distributions=lambda module: (module.partition(".")[0],), own=own(root))
    assert [r.text for r in demand.requirements] == ["-e .", *asked]


@pytest.mark.parametrize(
    ("extras", "asked"),
    [
        ("test-multiarch = ['pint', 'pytest']\nDev = ['pint']\ndocs = ['pint', 'sphinx', 'furo', 'numpydoc']", "docs"),
        ("testing = ['pint', 'pytest', 'ruff']\nunit_tests = ['pint', 'pytest']", "unit_tests"),
        ("latest = ['pint', 'six']\nplot = ['pint', 'matplotlib', 'six']", "latest"),
    ],
)
def test_an_extra_for_work_on_the_package_is_taken_where_no_other_has_a_module(
    tmp_path: Path, extras: str, asked: str
) -> None:
    text = f"[project]\nname = 'my_lib'\ndependencies = []\n[project.optional-dependencies]\n{extras}\n"
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    wanted = Import(module="pint", origin=Origin(path="my_lib/units.py", line=3))
    given = replace(notebook(), own_imports=(wanted,))
    demand = demand_of(given, distributions=lambda module: (module,), own=own(tmp_path))
    assert [r.text for r in demand.requirements] == [f"-e .[{asked}]"]


def test_what_the_packages_files_import_is_found_from_the_notebooks_imports(root: Path) -> None:
    package = root / "src" / "my_lib"
    (package / "plots.py").write_text("import os\nfrom my_lib.deep import x\nfrom . import near\n", encoding="utf-8")
    (package / "deep.py").write_text("import matplotlib.pyplot\n\ndef f():\n    import pandas\n", encoding="utf-8")
    (package / "near.py").write_text("try:\n    import torch\nexcept ImportError:\n    pass\n", encoding="utf-8")
    (package / "unused.py").write_text("import pillow\n", encoding="utf-8")
    (root / "a.ipynb").write_text(
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "id": "a", "outputs": [],'
        ' "metadata": {}, "execution_count": null, "source": "from my_lib import plots"}]}',
        encoding="utf-8",
    )
    found = read_notebook(root, "a.ipynb")
    assert {(i.module, str(i.origin), i.optional) for i in found.own_imports} == {
        ("matplotlib.pyplot", "src/my_lib/deep.py:1", False),
        ("torch", "src/my_lib/near.py:2", True),
    }
    assert [i.module for i in found.imports] == ["my_lib"]


SETUP_CFG = "[metadata]\nname = my_lib\n[options]\npackages = find:\n"


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": "[project]\nname = 'my_lib'\n"},
        {"pyproject.toml": "[build-system]\nrequires = ['setuptools']\n", "setup.cfg": SETUP_CFG},
        {"setup.py": "from setuptools import setup\nsetup()\n", "setup.cfg": SETUP_CFG},
        {"setup.py": "import setuptools\nsetuptools.setup(**{'name': 'my' + '_lib'})\n"},
    ],
)
def test_a_package_at_the_root_is_installed_however_the_project_says_that_it_is_one(
    tmp_path: Path, files: dict[str, str]
) -> None:
    for name, text in {**files, "my_lib/__init__.py": "import six, pkg_resources\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    write_notebook(tmp_path, "docs/guide/a.ipynb", "import my_lib")
    found = read_notebook(tmp_path, "docs/guide/a.ipynb")
    asked = demand_of(found, distributions=lambda module: distributions_for(module, {}), own=own(tmp_path))
    # What it imports is its own affair, but for the module that each environment used to have.
    assert [requirement.text for requirement in asked.requirements] == ["-e .", "setuptools<82"]


@pytest.mark.parametrize(
    ("install_requires", "asked"),
    [("", ["-e .", "pooch", "scipy>=1.6"]), (", install_requires=['numpy']", ["-e ."])],
    ids=["no list of its own", "a list of its own"],
)
def test_a_project_without_a_list_of_dependencies_has_them_in_its_other_files(
    tmp_path: Path, install_requires: str, asked: list[str]
) -> None:
    files = {
        "setup.py": f"from setuptools import setup\nsetup(name='my_lib'{install_requires})\n",
        "my_lib/__init__.py": "from .deep import x\ntry:\n    import torch\nexcept ImportError:\n    pass\n",
        "my_lib/deep.py": "import pooch, six\nimport scipy.stats\nx = 1\n",
        "environment.yml": "dependencies:\n  - pooch >=1\n  - torch\n  - pip:\n    - scipy>=1.6\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    write_notebook(tmp_path, "docs/a.ipynb", "import my_lib")
    demand = demand_of(
        read_notebook(tmp_path, "docs/a.ipynb"),
        distributions=lambda module: distributions_for(module, {}),
        own=own(tmp_path),
        declared=declared(tmp_path, tmp_path / "docs"),
    )
    # What nobody names, and what it can do without, is not asked for.
    assert [requirement.text for requirement in demand.requirements] == asked


def test_an_old_module_that_the_package_can_do_without_is_not_asked_for(root: Path) -> None:
    text = "try:\n    import pkg_resources\nexcept ImportError:\n    pass\n\ndef f():\n    import pkg_resources\n"
    (root / "src" / "my_lib" / "__init__.py").write_text(text, encoding="utf-8")
    write_notebook(root, "a.ipynb", "import my_lib")
    asked = demand_of(read_notebook(root, "a.ipynb"), distributions=lambda m: distributions_for(m, {}), own=own(root))
    assert [requirement.text for requirement in asked.requirements] == ["-e ."]


def test_a_notebook_in_the_packages_folder_asks_for_what_it_imports_itself(root: Path) -> None:
    package = root / "src" / "my_lib"
    (package / "tests").mkdir()
    (package / "tests" / "helpers.py").write_text("import regex\nimport my_lib.deep\n", encoding="utf-8")
    (package / "deep.py").write_text("import seaborn\n", encoding="utf-8")
    write_notebook(root, "src/my_lib/tests/a.ipynb", "import pytest, my_lib.deep, helpers")
    found = read_notebook(root, "src/my_lib/tests/a.ipynb")
    asked = demand_of(found, distributions=lambda module: distributions_for(module, {}), own=own(root))
    # What another module of the package imports is among its dependencies.
    assert [requirement.text for requirement in asked.requirements] == ["-e .", "pytest", "regex"]
