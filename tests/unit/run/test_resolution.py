"""Promises of `resolve`: each notebook has its group, and what is known from before is worth most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from fakes import FakeUv, Question, a_project, pin_ones, refused
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import GroupSettings
from envsolver.environments.uv_output import Answer
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.project import Project, Tomorrow
from envsolver.run.resolution import Resolution, resolve


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project without a configuration whose two notebooks import different libraries."""
    for name, module in (("a", "numpy"), ("b", "scipy")):
        nbformat.write(new_notebook(cells=[new_code_cell(f"import {module}")]), tmp_path / f"{name}.ipynb")
    return a_project(tmp_path, monkeypatch, source="")


def packages(resolution: Resolution) -> set[str]:
    """Return what the environments hold beside what Jupyter brings."""
    return {p.name for lock in resolution.locks.values() for p in lock.packages} & {"numpy", "scipy"}


def test_without_a_configuration_one_environment_serves_all(bare: Project) -> None:
    resolution = resolve(bare, cwd=bare.root)
    assert {a.group for a in resolution.assignments} == {"notebooks"}
    assert packages(resolution) == {"numpy", "scipy"}


def test_a_single_notebook_asks_for_no_more_than_it_needs(bare: Project) -> None:
    assert packages(resolve(bare, patterns=["a.ipynb"], cwd=bare.root)) == {"numpy"}


def test_a_single_notebook_uses_the_environment_that_all_of_them_have(bare: Project) -> None:
    bare.state.mkdir()
    for lock in resolve(bare, cwd=bare.root).locks.values():
        bare.store.ensure(lock)
    assert packages(resolve(bare, patterns=["a.ipynb"], cwd=bare.root)) == {"numpy", "scipy"}
    bare.store.release()


def test_an_environment_that_was_never_built_is_not_waited_for(bare: Project) -> None:
    bare.state.mkdir()
    resolve(bare, cwd=bare.root)
    assert packages(resolve(bare, patterns=["a.ipynb"], cwd=bare.root)) == {"numpy"}


def test_all_stale_locks_are_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = a_project(tmp_path, monkeypatch, a="six\n", b="numpy\n")
    nbformat.write(new_notebook(cells=[new_code_cell("x = 1")]), tmp_path / "a.ipynb")
    for name in "ab":
        (tmp_path / f"requirements/{name}.txt").write_text("six==1.16\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        resolve(project, cwd=tmp_path)
    assert [fault.partition(" ")[0] for fault in caught.value.faults] == ["requirements/a.txt", "requirements/b.txt"]
    assert "envsolver lock" in caught.value.tip


def test_a_group_is_not_asked_for_on_a_python_that_it_does_not_support(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(tmp_path, monkeypatch, a="six\n", b="numpy\n")
    groups = {**project.config.groups, "b": GroupSettings(requires_python="<3.11")}
    project = replace(project, config=replace(project.config, groups=groups))
    nbformat.write(new_notebook(cells=[new_code_cell("import six")]), tmp_path / "a.ipynb")
    resolution = resolve(project, cwd=tmp_path, pythons=["all"])
    assert sorted(resolution.locks) == [("a", "3.10"), ("a", "3.11"), ("b", "3.10")]
    assert resolution.faults == {}


def with_sets(root: Path, sets: str) -> None:
    (root / "pyproject.toml").write_text(f"[dependency-groups]\n{sets}", encoding="utf-8")


def test_a_dependency_group_with_a_telling_name_is_used_before_any_is_derived(bare: Project) -> None:
    with_sets(bare.root, 'docs = ["numpy", "sphinx"]\ndev = ["scipy"]\n')
    resolution = resolve(bare, cwd=bare.root)
    assert [a.group for a in resolution.assignments] == ["docs", "notebooks"]
    assert "[dependency-groups] docs in pyproject.toml" in resolution.assignments[0].why


def test_sets_that_serve_no_notebook_or_do_not_solve_are_left_out(bare: Project) -> None:
    with_sets(bare.root, 'docs = ["sphinx"]\nexamples = ["numpy", "lost"]\n')
    resolution = resolve(bare, cwd=bare.root)
    assert set(resolution.groups) == {"notebooks"}
    assert not resolution.faults


def test_a_set_must_hold_what_a_notebook_asks_for_in_the_versions_that_it_accepts(bare: Project) -> None:
    with_sets(bare.root, 'docs = ["numpy", "scipy"]\n')
    nbformat.write(new_notebook(cells=[new_code_cell("%pip install 'numpy>=2'\nimport numpy")]), bare.root / "a.ipynb")
    assert [a.group for a in resolve(bare, cwd=bare.root).assignments] == ["notebooks", "docs"]


def test_a_notebook_that_asks_for_more_than_a_set_has_gets_all_that_is_in_the_set_too(bare: Project) -> None:
    """What notebooks need and do not import, such as a backend, stands in the set only."""
    with_sets(bare.root, 'docs = ["numpy", "backend"]\nexamples = ["sphinx"]\n')
    nbformat.write(new_notebook(cells=[new_code_cell("import numpy, scipy")]), bare.root / "a.ipynb")
    resolution = resolve(bare, cwd=bare.root)
    (lock,) = resolution.locks.values()
    assert {p.name for p in lock.packages} >= {"numpy", "scipy", "backend"}
    assert "sphinx" not in {p.name for p in lock.packages}
    assert resolution.assignments[0].why.endswith("; with [dependency-groups] docs in pyproject.toml")
    assert "backend" not in resolution.asked["a.ipynb"]


@pytest.mark.parametrize(
    "cell",
    [
        "import scipy",
        "%pip install 'numpy>=2'\nimport numpy",
        "# /// script\n# dependencies = ['numpy', 'scipy']\n# ///\nimport numpy",
    ],
    ids=["nothing of it", "another version", "a script block"],
)
def test_a_set_that_does_not_fit_adds_nothing(bare: Project, cell: str) -> None:
    with_sets(bare.root, 'docs = ["numpy", "backend"]\n')
    nbformat.write(new_notebook(cells=[new_code_cell(cell)]), bare.root / "a.ipynb")
    resolution = resolve(bare, cwd=bare.root)
    assert "backend" not in {p.name for lock in resolution.locks.values() for p in lock.packages}


def test_a_set_that_does_not_go_together_with_what_is_asked_for_adds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(question: Question) -> Answer:
        apart = {"scipy", "backend"} <= set(question.asked.splitlines())
        return refused("No solution found: scipy and backend") if apart else pin_ones(question)

    project = a_project(tmp_path, monkeypatch, source="")
    assert isinstance(project.uv, FakeUv)
    project.uv.answer = answer
    with_sets(tmp_path, 'docs = ["numpy", "backend"]\n')
    nbformat.write(new_notebook(cells=[new_code_cell("import numpy, scipy")]), tmp_path / "a.ipynb")
    resolution = resolve(project, cwd=tmp_path)
    assert not resolution.faults
    assert {p.name for lock in resolution.locks.values() for p in lock.packages} >= {"numpy", "scipy"}
    assert resolution.assignments[0].verdict is None


def test_with_a_requirement_of_the_command_line_all_other_versions_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(tmp_path, monkeypatch, a="six\n")
    nbformat.write(new_notebook(cells=[new_code_cell("import six")]), tmp_path / "a.ipynb")
    kept = {}
    for tomorrow in (Tomorrow(more=("numpy==2",)), Tomorrow(more=("numpy==2",), prerelease=True)):
        assert isinstance(project.uv, FakeUv)
        project.uv.asked.clear()
        resolve(replace(project, tomorrow=tomorrow), cwd=tmp_path)
        kept[tomorrow.prerelease] = ["-o" in question.options for question in project.uv.asked]
    assert kept == {False: [False, True], True: [False]}


def test_an_environment_with_another_python_is_found_by_what_it_holds_and_its_notebooks_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(tmp_path, monkeypatch, core="six\n")
    groups = {**project.config.groups, "gpu": GroupSettings(prefix="envs/gpu")}
    config = replace(project.config, groups=groups)
    for name in ("ipykernel", "tomlkit"):
        information = tmp_path / f"envs/gpu/lib/python3.10/site-packages/{name}-1.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (tmp_path / "envs/gpu/bin").mkdir()
    (tmp_path / "envs/gpu/bin/python").touch()
    nbformat.write(new_notebook(cells=[new_code_cell("import tomlkit")]), tmp_path / "a.ipynb")
    resolution = resolve(replace(project, config=config), cwd=tmp_path)
    assert [a.group for a in resolution.assignments] == ["gpu"]
    defaults = JobDefaults(config=config, run_id="run", run_dir=tmp_path)
    jobs, (result,) = plan_jobs(defaults, resolution, resolution.assignments)
    assert not jobs
    reason = "group gpu, which is envs/gpu, needs Python ==3.10.*, and this is Python 3.11.1"
    assert (result.status, result.reason) == ("skipped", reason)
