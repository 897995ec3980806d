"""Promises of the step from notebooks to jobs: each setting comes from its most particular source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envsolver.config.tables import config_of
from envsolver.core.environments import Assignment, Group, Interpreter
from envsolver.core.notebooks import Notebook, Script
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.resolution import Resolution

PYTHON = Interpreter(request="3.11", executable="/p/python3.11", version="3.11.7", platform="cpython-linux-x86_64")
OLD = Interpreter(request="3.10", executable="/p/python3.10", version="3.10.13", platform="cpython-linux-x86_64")


def defaults(settings: dict[str, Any] | None = None, timeout: float | None = None) -> JobDefaults:
    config = config_of({"groups": {"core": {}}, **(settings or {}), "root": Path("/project")})
    return JobDefaults(config=config, run_id="0123456789abcdef", run_dir=Path("/run"), timeout=timeout)


def resolved(
    notebook: Notebook, assignment: Assignment, *pythons: Interpreter, group: Group | None = None
) -> Resolution:
    return Resolution(
        notebooks={notebook.path: notebook},
        groups={"core": group or Group(name="core", file="requirements/core.in")},
        interpreters={python.request: python for python in pythons or (PYTHON,)},
        locks={},
        faults={},
        assignments=(assignment,),
    )


def placed(path: str = "a.ipynb") -> Assignment:
    return Assignment(notebook=path, group="core", why="a test")


@pytest.mark.parametrize(
    ("timeout", "settings", "metadata", "expected"),
    [
        (None, {}, None, 600),
        (None, {"timeout": 50}, None, 50),
        (None, {"timeout": 50, "groups": {"core": {"timeout": 40}}}, None, 40),
        (None, {"timeout": 50, "groups": {"core": {"timeout": 40}}}, 30, 40),
        (None, {"notebook": {"a.ipynb": {"timeout": 20}}}, 30, 20),
        (10, {"notebook": {"a.ipynb": {"timeout": 20}}}, 30, 10),
        (None, {}, 30, 600),
        (None, {}, 3600, 3600),
        (None, {"groups": {"core": {"timeout": 40}}}, 3600, 40),
    ],
)
def test_the_most_particular_time_limit_wins(
    timeout: float | None, settings: dict[str, Any], metadata: float | None, expected: float
) -> None:
    notebook = Notebook(path="a.ipynb", cell_timeout=metadata)
    (job,), _ = plan_jobs(defaults(settings, timeout), resolved(notebook, placed()), [placed()])
    assert job.limits.timeout == expected


@pytest.mark.parametrize(
    ("settings", "metadata", "expected"),
    [
        ({}, None, 300),
        ({}, 30, 30),
        ({"cell_timeout": 50}, 3600, 3600),
        ({"cell_timeout": 50}, None, 50),
        ({"notebook": {"a.ipynb": {"cell_timeout": 20}}}, 30, 20),
    ],
)
def test_the_notebooks_own_time_limit_is_for_each_cell(
    settings: dict[str, Any], metadata: float | None, expected: float
) -> None:
    notebook = Notebook(path="a.ipynb", cell_timeout=metadata)
    (job,), _ = plan_jobs(defaults(settings), resolved(notebook, placed()), [placed()])
    assert job.limits.cell_timeout == expected


def test_variables_of_the_notebook_win_over_the_groups_and_the_projects() -> None:
    settings = {
        "env": {"A": "project", "B": "project", "C": "project"},
        "groups": {"core": {"env": {"B": "group", "C": "group"}}},
        "notebook": {"*.ipynb": {"env": {"C": "notebook"}}},
    }
    (job,), _ = plan_jobs(defaults(settings), resolved(Notebook(path="a.ipynb"), placed()), [placed()])
    assert job.binding.env == {"A": "project", "B": "group", "C": "notebook"}


def test_cores_and_memory_come_from_the_notebook_else_from_its_group() -> None:
    settings: dict[str, Any] = {
        "groups": {"core": {"cores": 2, "memory": 4 * 2**30}},
        "notebook": {"a.ipynb": {"cores": 3}},
    }
    (job,), _ = plan_jobs(defaults(settings), resolved(Notebook(path="a.ipynb"), placed()), [placed()])
    assert (job.limits.cores, job.limits.memory) == (3, 4 * 2**30)


def test_a_notebook_becomes_one_job_for_each_python_with_ids_fit_for_file_names() -> None:
    path = "a folder/naïve; rm -rf.ipynb"
    jobs, _ = plan_jobs(defaults(), resolved(Notebook(path=path), placed(path), PYTHON, OLD), [placed(path)])
    assert [job.python for job in jobs] == ["3.11", "3.10"]
    assert len({job.id for job in jobs}) == 2
    assert all(set(job.id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for job in jobs)


@pytest.mark.parametrize("where", ["group", "notebook", "script"])
def test_a_python_that_is_not_supported_skips_the_notebook_with_the_reason(where: str) -> None:
    bounds = ">=3.11"
    group = Group(name="core", file="x", requires_python=bounds if where == "group" else None)
    settings = {"notebook": {"a.ipynb": {"requires_python": bounds}}} if where == "notebook" else {}
    script = Script(requires_python=bounds) if where == "script" else None
    notebook = Notebook(path="a.ipynb", script=script)
    jobs, (skipped,) = plan_jobs(defaults(settings), resolved(notebook, placed(), PYTHON, OLD, group=group), [placed()])
    assert [job.python for job in jobs] == ["3.11"]
    assert (skipped.status, skipped.python) == ("skipped", "3.10")
    assert ">=3.11" in skipped.reason
    assert "3.10.13" in skipped.reason


def test_a_notebook_that_will_not_run_keeps_its_verdict_and_reason() -> None:
    rejected = Assignment(notebook="a.ipynb", group=None, why="", verdict="environment", reason="lacks numpy")
    jobs, (result,) = plan_jobs(defaults(), resolved(Notebook(path="a.ipynb"), rejected), [rejected])
    assert jobs == ()
    assert (result.status, result.reason) == ("environment", "lacks numpy")


def test_a_derived_group_needs_no_configuration() -> None:
    derived = Assignment(notebook="a.ipynb", group="torch", why="")
    resolution = resolved(Notebook(path="a.ipynb"), derived)
    resolution = Resolution(
        notebooks=resolution.notebooks,
        groups={"torch": Group(name="torch", file="")},
        interpreters=resolution.interpreters,
        locks={},
        faults={},
        assignments=(derived,),
    )
    (job,), _ = plan_jobs(defaults(), resolution, [derived])
    assert (job.group, job.limits.cores) == ("torch", 1)


def test_a_job_has_the_code_of_its_strategy_and_says_its_name(tmp_path: Path) -> None:
    (tmp_path / "before.py").write_text("x = 1\n", encoding="utf-8")
    strategies = {"smoke": {"before": "before.py"}}
    frame = defaults({"strategies": strategies, "strategy": "smoke"})
    frame = replace(frame, config=replace(frame.config, root=tmp_path))
    ((job,), _) = plan_jobs(frame, resolved(Notebook(path="a.ipynb"), placed()), [placed()])
    assert (job.strategy, job.edits.before) == ("smoke", "# before.py, before the first cell\nx = 1\n")
    skipped = replace(placed(), verdict="skipped", reason="why")
    (_, (result,)) = plan_jobs(frame, resolved(Notebook(path="a.ipynb"), skipped), [skipped])
    assert result.strategy == "smoke"
