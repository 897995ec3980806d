"""Promise: what is remembered of a notebook is forgotten as soon as anything that it runs has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import nbformat
import pytest
from fakes import job
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.core.environments import Assignment, Group
from envsolver.core.jobs import Edits, Job
from envsolver.core.notebooks import Origin, Requirement
from envsolver.notebooks.read import read_notebook
from envsolver.run.fingerprints import input_digests, source_digest
from envsolver.run.resolution import Resolution


@pytest.fixture(autouse=True)
def _fresh() -> None:
    source_digest.cache_clear()


def digest_of(root: Path, *requirements: str, jobs: Iterable[Job] = ()) -> str:
    source_digest.cache_clear()  # each call stands for a run of its own
    notebook = read_notebook(root, "docs/a.ipynb")
    group = Group(
        name="g", file="", requirements=tuple(Requirement(text=r, origin=Origin(path="x")) for r in requirements)
    )
    resolution = Resolution(
        notebooks={notebook.path: notebook},
        groups={"g": group},
        interpreters={},
        locks={},
        faults={},
        assignments=(Assignment(notebook=notebook.path, group="g", why=""),),
    )
    return input_digests(resolution, root, jobs)["docs/a.ipynb"]


def project(root: Path) -> None:
    (root / "docs").mkdir()
    notebook = new_notebook(cells=[new_code_cell("import helper\nimport mine")])
    nbformat.write(notebook, root / "docs/a.ipynb")
    (root / "docs/helper.py").write_text("from deeper import x\n")
    (root / "docs/deeper.py").write_text("x = 1\n")
    (root / "docs/other.py").write_text("y = 1\n")
    (root / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n')
    (root / "src/mine/inner").mkdir(parents=True)
    (root / "src/mine/__init__.py").write_text("import scipy.stats\n")
    (root / "src/mine/inner/part.py").write_text("z = 1\n")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a local module": lambda root: (root / "docs/helper.py").write_text("from deeper import x\nimport scipy\n"),
    "a module that a local module imports": lambda root: (root / "docs/deeper.py").write_text("x = 10\n"),
    "the project's own package": lambda root: (root / "src/mine/__init__.py").write_text("import scipy.linalg\n"),
    "a module deep in it": lambda root: (root / "src/mine/inner/part.py").write_text("z = 10\n"),
    "a module that is gone": lambda root: (root / "src/mine/inner/part.py").unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_what_a_notebook_runs_changes_its_digest(what: str, tmp_path: Path) -> None:
    project(tmp_path)
    before = digest_of(tmp_path, "-e .")
    assert digest_of(tmp_path, "-e .") == before
    CHANGES[what](tmp_path)
    assert digest_of(tmp_path, "-e .") != before


def test_code_before_its_first_cell_is_part_of_a_notebooks_code(tmp_path: Path) -> None:
    project(tmp_path)
    ran = [job("docs/a", edits=Edits(before=text)) for text in ("", "x = 1", "x = 2")]
    assert len({digest_of(tmp_path, jobs=[each]) for each in ran}) == 3
    assert digest_of(tmp_path, jobs=ran[:1]) == digest_of(tmp_path)


def test_what_it_does_not_run_leaves_the_digest_alone(tmp_path: Path) -> None:
    project(tmp_path)
    before = digest_of(tmp_path, "-e .")
    (tmp_path / "docs/other.py").write_text("y = 10\n")
    (tmp_path / "src/mine/notes.txt").write_text("text")
    assert digest_of(tmp_path, "-e .") == before


def test_the_sources_of_a_package_that_is_installed_as_a_copy_do_not_count(tmp_path: Path) -> None:
    # Its copy is part of the environment's key.
    project(tmp_path)
    before = digest_of(tmp_path, ".")
    CHANGES["the project's own package"](tmp_path)
    assert digest_of(tmp_path, ".") == before
