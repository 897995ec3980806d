"""Promise: what is asked of coverage reaches the kernels, and what is measured is loaded in no template."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from fakes import job, with_options

from envsolver.cli.main import cli
from envsolver.core.environments import Environment, Interpreter
from envsolver.core.settings import Config
from envsolver.run.coverage import RunCoverage, not_ahead
from envsolver.run.coverage_options import CoverageOptions, from_root
from envsolver.run.project import Project
from envsolver.testing.coverage import coverage_asked, hand_over
from envsolver.worker import kernel_env
from envsolver.worker.coverage_data import keep_coverage

PYPROJECT = "[project]\nname = 'mine'\nversion = '1'\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "src" / "mine").mkdir(parents=True)
    (folder / "src" / "mine" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


@pytest.mark.parametrize("option", [["--cov-branch"], ["--cov-append"], ["--cov-config", "pyproject.toml"]])
def test_what_says_how_needs_what(option: list[str], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    done = CliRunner().invoke(cli, ["run", "--sequential", *option])
    assert done.exit_code == 2
    assert f"{option[0]} needs --cov" in done.output


def test_a_notebook_is_no_source(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    done = CliRunner().invoke(cli, ["run", "--sequential", "--cov", "a.ipynb"])
    assert done.exit_code == 2
    assert "--cov takes a.ipynb for what is to be measured; let it stand after the notebooks" in done.output


def test_a_folder_is_named_from_the_root_and_a_package_stays(root: Path) -> None:
    assert from_root("src", root, root) == "src"
    assert from_root("mine", root, root / "src") == "src/mine"
    assert from_root("mine", root, root) == "mine"
    assert from_root("..", root, root) == ".."


@pytest.mark.parametrize("facts", ["", "[]", "no JSON", '{"excluded": null}'])
def test_the_own_package_and_what_is_named_is_not_loaded_ahead(facts: str, root: Path) -> None:
    assert json.loads(not_ahead(facts, root, ["other.part", "src/mine"]))["excluded"] == ["mine", "other.part"]


def test_what_is_known_of_a_template_stays(root: Path) -> None:
    known = json.loads(not_ahead('{"excluded": ["bad"], "baseline": {"modules": []}}', root, []))
    assert known == {"excluded": ["bad", "mine"], "baseline": {"modules": []}}


def test_kernels_are_told_what_to_measure(root: Path, tmp_path: Path) -> None:
    options = CoverageOptions(source=("src",), branch=True, config="c.toml")
    coverage = RunCoverage(project=Project(config=Config(root=root)), options=options, directory=tmp_path)
    prefix = tmp_path / "overlay"
    (prefix / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    python = Interpreter(request="3.11", executable="/p", version="3.11.7", platform="x")
    coverage.overlays["3.11.7"] = Environment(key="k", group="coverage", python="3.11.7", prefix=prefix)
    told = coverage.variables(python)
    assert json.loads(told[kernel_env.COVERAGE]) == {
        "overlay": str(prefix / "lib" / "python3.11" / "site-packages"),
        "python": "3.11",
        "root": str(root),
        "config": "c.toml",
        "branch": True,
        "source": ["src"],
        "packages": ["mine"],
    }
    measured = with_options(job(), env=told)
    found = kernel_env.variables(measured, tmp_path, "mark", {})
    assert found[kernel_env.COVERAGE_DATA] == str(tmp_path / "coverage")
    assert found["PYTHONPATH"].split(os.pathsep)[0].endswith("covering")
    assert kernel_env.COVERAGE_DATA not in kernel_env.variables(job(), tmp_path, "mark", {})


def test_without_data_that_is_said(root: Path, tmp_path: Path) -> None:
    coverage = RunCoverage(project=Project(config=Config(root=root)), options=CoverageOptions(), directory=tmp_path)
    assert coverage.combine() == "coverage: nothing was measured"
    (tmp_path / "coverage" / "job").mkdir(parents=True)
    (tmp_path / "coverage" / "job" / "fault").write_text("ConfigError: bad")
    assert coverage.combine() == "coverage: 1 notebook could not be measured: ConfigError: bad"


def test_files_of_a_likeness_get_their_real_paths_and_an_earlier_attempt_goes(root: Path, tmp_path: Path) -> None:
    base, run_dir = tmp_path / "private", tmp_path / "run"
    home = base / "w" / "project"
    for folder in (base / "coverage", run_dir / "coverage" / "a"):
        folder.mkdir(parents=True)
    (run_dir / "coverage" / "a" / "data.old").touch()
    (base / "coverage" / "data.torn").write_bytes(b"SQLite format 3\0 and no more")
    with sqlite3.connect(base / "coverage" / "data.1") as connection:
        connection.execute("CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT, UNIQUE (path))")
        paths = (f"{home}/nb/helper.py", f"{root}/src/mine/__init__.py", "/elsewhere/x.py")
        connection.executemany("INSERT INTO file (path) VALUES (?)", [(path,) for path in paths])
    place: Any = SimpleNamespace(base=base, home=home)
    keep_coverage(with_options(job(), root=str(root), run_dir=str(run_dir)), place)
    assert {path.name for path in (run_dir / "coverage" / "a").iterdir()} == {"data.1", "data.torn"}
    with sqlite3.connect(run_dir / "coverage" / "a" / "data.1") as connection:
        found = [path for (path,) in connection.execute("SELECT path FROM file ORDER BY id")]
    assert found == [f"{root}/nb/helper.py", f"{root}/src/mine/__init__.py", "/elsewhere/x.py"]


def a_config(root: Path, measured: object, **options: Any) -> Any:
    plugin = None if measured is None else SimpleNamespace(cov_controller=SimpleNamespace(cov=measured))
    return SimpleNamespace(
        pluginmanager=SimpleNamespace(get_plugin=lambda name: plugin if name == "_cov" else None),
        invocation_params=SimpleNamespace(dir=root),
        option=SimpleNamespace(**{"cov_source": [], "cov_branch": None, "cov_config": ".coveragerc", **options}),
    )


def test_pytest_cov_says_what_notebooks_are_measured_for(root: Path) -> None:
    assert coverage_asked(a_config(root, None), root) is None
    (root / ".coveragerc").write_text("[run]\n")
    asked = coverage_asked(a_config(root, object(), cov_source=["src", "mine", True], cov_branch=True), root)
    config = str(root / ".coveragerc")
    assert asked == CoverageOptions(source=("src", "mine"), branch=True, config=config, combine=False)


def test_pytest_cov_gets_the_data(root: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "coverage" / "a").mkdir(parents=True)
    (tmp_path / "run" / "coverage" / "a" / "data.1").write_text("lines")
    measured = SimpleNamespace(get_option=lambda _: str(root / ".coverage"))
    hand_over(a_config(root, measured), tmp_path / "run")
    assert [file.read_text() for file in root.glob(".coverage.*")] == ["lines"]
    hand_over(a_config(root, None), tmp_path / "run")
