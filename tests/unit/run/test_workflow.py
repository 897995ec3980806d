"""Promises of a whole run that need no kernel: what is settled before, what is noted, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
import report_samples
from fakes import FakeProgress, a_project
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.core.environments import Target
from envsolver.core.errors import BuildError, ConfigurationError, EnvsolverError, NothingToRunError, UnsolvableError
from envsolver.core.paths import RUNS
from envsolver.core.results import Result, Run
from envsolver.core.verdicts import Verdict
from envsolver.run.options import Options
from envsolver.run.project import Project
from envsolver.run.scheduler.outcome import RunOutcome
from envsolver.run.workflow import exit_code, plan, run


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

    monkeypatch.setattr("envsolver.run.reports.write_junit", full)
    finished, _, progress = executed(project)
    assert progress.notes == ["junit.xml could not be written: [Errno 28] No space left on device"]
    assert (finished.directory / "report.html").is_file()
    assert finished.unwritten == ("junit.xml",)


def test_a_group_that_no_notebook_belongs_to_leaves_nothing_to_run(project: Project) -> None:
    with pytest.raises(NothingToRunError, match="no notebook belongs to a"):
        executed(project, groups=["a"])


def test_a_commit_that_git_does_not_know_leaves_no_run_behind(project: Project) -> None:
    with pytest.raises(ConfigurationError, match="--since"):
        executed(project, since="no-such-commit")
    assert list((project.state / RUNS).glob("*")) == []


def ran(name: str, status: Verdict = "passed", seconds: float = 1.0) -> Result:
    return Result(notebook=name, group="a", python="3.11", status=status, environment="e", seconds=seconds)


def files(project: Project) -> set[Path]:
    """Return what a project's notebooks and state are; the interpreters and the cache beside them are the test's."""
    return {*project.root.glob("*.ipynb"), *project.root.glob(".envsolver/**/*")}


def write(project: Project, *names: str) -> None:
    for name in names:
        nbformat.write(new_notebook(cells=[new_code_cell("import six")]), project.root / f"{name}.ipynb")


def test_a_plan_says_what_would_run_in_which_order_and_leaves_nothing(project: Project) -> None:
    write(project, "brief", "long")
    for name, seconds in (("brief", 2.0), ("long", 60.0)):
        project.history.add(ran(f"{name}.ipynb", seconds=seconds), "")
    before = files(project)
    made = plan(project, Options(workers=2), cwd=project.root)
    assert [job.notebook for job in made.jobs] == ["long.ipynb", "brief.ipynb"]
    assert [result.status for result in made.settled] == ["failed", "skipped"]
    assert made.seconds == 60
    assert made.missing == {Target("a", "3.11")}
    assert not made.faults
    assert files(project) == before


def test_a_plan_follows_expressions_and_earlier_failures(project: Project) -> None:
    write(project, "good", "bad")
    results: tuple[tuple[str, Verdict], ...] = (("good", "passed"), ("bad", "failed"))
    for name, status in results:
        project.history.add(ran(f"{name}.ipynb", status), "")
    names = {
        text: [job.notebook for job in plan(project, options, cwd=project.root).jobs]
        for text, options in (("k", Options(expression="good")), ("lf", Options(last_failed=True)))
    }
    assert names == {"k": ["good.ipynb"], "lf": ["bad.ipynb"]}


def test_an_expression_that_names_nothing_leaves_nothing_to_run(project: Project) -> None:
    with pytest.raises(NothingToRunError, match="-k 'none' names no notebook"):
        executed(project, expression="none")


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
