"""Promise: no notebook is blamed for what its node does not see, and nothing is said to be where it is not."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import job, with_options

from envsolver.core.errors import UnfitPlaceError
from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.core.verdicts import Verdict
from envsolver.run.parsl.shared_folders import Place, run_where_seen

PLACE = Place("n1", "7")


@pytest.fixture
def sent(tmp_path: Path) -> Job:
    """Return a job for which everything is there."""
    python = tmp_path / "cache" / "env" / "bin" / "python"
    for folder in (python.parent, tmp_path / "project", tmp_path / "run"):
        folder.mkdir(parents=True)
    python.symlink_to(Path("/bin/sh"))
    (tmp_path / "project" / "a.ipynb").touch()
    return with_options(
        job(), root=str(tmp_path / "project"), run_dir=str(tmp_path / "run"), prefix=str(python.parents[1])
    )


def ends(status: Verdict, before: Callable[[], object] = lambda: None) -> Callable[[Job], Result]:
    """Return what runs a job to a verdict, and does something before."""

    def run(job: Job) -> Result:
        before()
        whose = Result(notebook=job.notebook, group=job.group, python=job.python, status=status)
        return replace(whose, executed="executed/a", log="logs/a")

    return run


@pytest.mark.parametrize("status", ["passed", "failed"])
def test_where_everything_is_seen_the_verdict_stands(status: Verdict, sent: Job) -> None:
    found = run_where_seen(ends(status), sent, PLACE)
    assert (found.status, found.executed) == (status, "executed/a")


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("project", r"does not see the notebook .*/project/a.ipynb \(No such file or directory\): the project must"),
        ("project/a.ipynb", "does not see the notebook"),
        ("run", "does not see the run's folder .*/run "),
        ("cache", "does not see the environment's Python .*/bin/python "),
    ],
)
def test_what_a_node_does_not_see_is_named_and_nothing_is_run(gone: str, words: str, sent: Job, tmp_path: Path) -> None:
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(UnfitPlaceError, match=f"node n1 {words}") as caught:
        run_where_seen(ends("passed"), sent, PLACE)
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  as it travels
    assert (str(error), error.block) == (str(caught.value), "7")
    assert Path(error.path).is_relative_to(tmp_path / gone)


def test_an_environment_whose_own_python_is_not_on_the_node_is_said_to_lead_there(sent: Job, tmp_path: Path) -> None:
    python = Path(sent.binding.prefix, "bin", "python")
    python.unlink()
    python.symlink_to(tmp_path / "pythons" / "python3")
    with pytest.raises(UnfitPlaceError, match=f"python, which leads to {tmp_path}/pythons/python3"):
        run_where_seen(ends("passed"), sent, PLACE)


@pytest.mark.parametrize("gone", ["project", "run", "cache"])
def test_a_failure_on_a_node_that_lost_sight_of_a_folder_is_not_the_notebooks(
    gone: str, sent: Job, tmp_path: Path
) -> None:
    def lose() -> None:
        (tmp_path / gone).rename(tmp_path / "elsewhere")
        (tmp_path / gone).mkdir()  # as where a mount has ended

    with pytest.raises(UnfitPlaceError, match=r"node n1 (does not see|has lost sight of) "):
        run_where_seen(ends("failed", lose), sent, PLACE)


def test_a_pass_stands_without_the_files_that_went_with_the_runs_folder(sent: Job) -> None:
    found = run_where_seen(ends("passed", lambda: shutil.rmtree(sent.run_dir)), sent, PLACE)
    assert (found.status, found.executed, found.log) == ("passed", "", "")
    assert found.reason == "its executed copy is lost: node n1 does not see the run's folder any more"
