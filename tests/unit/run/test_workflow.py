"""Promises of a whole run that need no kernel: what is settled before, what is noted, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
import report_samples
from fakes import FakeProgress, a_project
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.core.errors import BuildError, EnvsolverError, NothingToRunError, UnsolvableError
from envsolver.core.results import Run
from envsolver.run.options import Options
from envsolver.run.project import Project
from envsolver.run.scheduler.outcome import RunOutcome
from envsolver.run.workflow import exit_code, run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project of one notebook that is no notebook, and one in another language."""
    (tmp_path / "broken.ipynb").write_text("{", encoding="utf-8")
    other = new_notebook(
        cells=[new_code_cell("x = 1")], metadata={"kernelspec": {"language": "R", "name": "ir", "display_name": "R"}}
    )
    nbformat.write(other, tmp_path / "other.ipynb")
    return a_project(tmp_path, monkeypatch, a="six\n")


def executed(project: Project, **options: bool | Sequence[str]) -> tuple[Run, int, FakeProgress]:
    progress = FakeProgress()
    finished, status = run(project, Options(sequential=True, **options), progress, cwd=project.root)  # type: ignore[arg-type]
    return finished, status, progress


def test_what_cannot_run_has_a_verdict_without_a_kernel(project: Project) -> None:
    finished, status, progress = executed(project)
    assert status == 1
    assert progress.verdicts == ["broken.ipynb failed", "other.ipynb skipped"]
    assert {path.name for path in finished.directory.iterdir()} >= {"results.json", "junit.xml", "report.html"}


def test_failfast_stops_at_what_failed_before_anything_ran(project: Project) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell("x = 1")]), project.root / "good.ipynb")
    finished, status, _ = executed(project, failfast=True)
    assert (status, finished.not_run) == (1, ("good.ipynb",))
    assert finished.stopped == "stopped at the first notebook that did not pass: broken.ipynb"


def test_a_python_of_the_matrix_that_is_missing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.ipynb").write_text("{", encoding="utf-8")
    project = a_project(tmp_path, monkeypatch, pythons=("3.11", "3.9"), a="six\n")
    _, _, progress = executed(project, pythons=["all"])
    assert [note.partition(":")[0] for note in progress.notes] == ["Python 3.9 is left out"]


def test_a_report_that_cannot_be_written_is_noted_and_takes_no_other_along(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("envsolver.run.workflow.write_junit", full)
    finished, _, progress = executed(project)
    assert progress.notes == ["junit.xml could not be written: [Errno 28] No space left on device"]
    assert (finished.directory / "report.html").is_file()


def test_a_group_that_no_notebook_belongs_to_leaves_nothing_to_run(project: Project) -> None:
    with pytest.raises(NothingToRunError, match="no notebook belongs to a"):
        executed(project, groups=["a"])


@pytest.mark.parametrize(
    ("errors", "interrupted", "code"),
    [
        ([], False, 0),
        ([], True, 130),
        ([BuildError("x")], False, 5),
        ([BuildError("x"), UnsolvableError("x")], False, 4),
        ([UnsolvableError("x")], True, 130),
    ],
)
def test_the_exit_code_is_that_of_the_worst_that_happened(
    tmp_path: Path, errors: list[EnvsolverError], interrupted: bool, code: int
) -> None:
    outcome = RunOutcome(results=(), interrupted=interrupted)
    assert exit_code(report_samples.all_pass(tmp_path), outcome, errors) == code
