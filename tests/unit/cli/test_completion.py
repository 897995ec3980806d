"""Promise: a shell is offered what the project has, and a project that cannot be read is no error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from fakes import write_notebook

from envsolver.cli.main import cli


def offered(*words: str) -> list[str]:
    *arguments, incomplete = words
    completions = ShellComplete(cli, {}, "envsolver", "_ENVSOLVER_COMPLETE").get_completions(arguments, incomplete)
    return [item.value for item in completions]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("envsolver.config.profiles.user_config_dir", lambda _: str(tmp_path / "home"))
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/core.in").touch()
    (tmp_path / "envsolver.toml").write_text(
        'python = ["3.12", "3.11"]\n[groups.ml]\n[profiles.cluster]\nprovider = "slurm"\n', encoding="utf-8"
    )
    (tmp_path / "requirements/ml.in").touch()
    for run in ("2026-11-24T10-00-00", "2026-11-25T10-00-00", "latest"):
        (tmp_path / ".envsolver/runs" / run).mkdir(parents=True)
    write_notebook(tmp_path, "docs/a.ipynb", "1")
    write_notebook(tmp_path, "docs/b.ipynb", "1")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("run", "docs/"), ["docs/a.ipynb", "docs/b.ipynb"]),
        (("run", "docs/b"), ["docs/b.ipynb"]),
        (("why", ""), ["docs/a.ipynb", "docs/b.ipynb"]),
        (("run", "--group", ""), ["core", "ml"]),
        (("lock", "-g", "m"), ["ml"]),
        (("sync", "--python", ""), ["3.12", "3.11", "all"]),
        (("run", "--profile", ""), ["local", "cluster"]),
        (("report", ""), ["2026-11-25T10-00-00", "2026-11-24T10-00-00"]),
        (("prof",), ["profiles"]),
    ],
)
def test_what_the_project_has_is_offered(words: tuple[str, ...], found: list[str], project: Path) -> None:
    assert offered(*words) == found


def test_notebooks_are_offered_as_paths_from_the_directory_that_is_worked_on(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "docs")
    assert offered("run", "") == ["a.ipynb", "b.ipynb"]
    monkeypatch.chdir(project.parent)
    assert offered("-C", str(project / "docs"), "run", "") == ["a.ipynb", "b.ipynb"]


def test_a_faulty_configuration_offers_nothing_and_is_no_error(project: Path) -> None:
    (project / "envsolver.toml").write_text("timeut = 3\n", encoding="utf-8")
    assert offered("run", "--group", "") == []
    assert offered("run", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shells_protocol_is_spoken(shell: str, project: Path) -> None:
    variables = {"COMP_WORDS": "envsolver run --group m", "COMP_CWORD": "m" if shell == "fish" else "3"}
    done = subprocess.run(
        [sys.executable, "-m", "envsolver"],
        env={**os.environ, **variables, "_ENVSOLVER_COMPLETE": f"{shell}_complete"},
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "ml" in done.stdout
    assert done.stderr == ""
