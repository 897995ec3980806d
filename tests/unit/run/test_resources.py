"""Promises of what a run holds on to: all of it is given back, whatever happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest
from fakes import FakeProgress

from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import Config
from envsolver.run.context import RunContext
from envsolver.run.options import Options
from envsolver.run.project import Project
from envsolver.run.resources import acquire
from envsolver.run.scheduler.inline import InlineExecutor
from envsolver.run.scheduler.outcome import RunOutcome
from envsolver.run.services import Services
from envsolver.run.warm.plan import WarmPlan
from envsolver.run.warm.templates import Templates
from envsolver.worker.processes import RUN_MARK


def boom(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("boom")


@pytest.fixture
def progress() -> FakeProgress:
    return FakeProgress()


@pytest.fixture
def context(tmp_path: Path, progress: FakeProgress, monkeypatch: pytest.MonkeyPatch) -> RunContext:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    project = Project(config=Config(root=tmp_path), cache=tmp_path / "cache")
    directory = tmp_path / "run"
    directory.mkdir()
    options = Options(sequential=True)
    return RunContext(project=project, options=options, progress=progress, directory=directory, run_id="r" * 32)


def left_over(context: RunContext) -> list[Path]:
    return list((context.project.root / "tmp").iterdir())


@pytest.mark.parametrize("part", [Services, Templates, InlineExecutor], ids=lambda part: part.__name__)
def test_what_cannot_be_given_back_keeps_nothing_else(
    part: type, context: RunContext, progress: FakeProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[type] = []
    for each, name in ((Services, "stop"), (Templates, "stop"), (InlineExecutor, "close")):
        monkeypatch.setattr(each, name, lambda *_, each=each, **__: given_back.append(each))
    monkeypatch.setattr(part, "close" if part is InlineExecutor else "stop", boom)
    with acquire(context, WarmPlan(), rebuild=lambda _: False) as resources:
        assert os.environ[RUN_MARK] == context.run_id
        resources.ending.outcome = RunOutcome(results=())
    assert set(given_back) == {Services, Templates, InlineExecutor} - {part}
    assert RUN_MARK not in os.environ
    assert left_over(context) == []
    (note,) = progress.notes
    assert "RuntimeError: boom" in note
    (log,) = (context.directory / "logs").glob("envsolver-error-*.log")
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_what_was_acquired_is_given_back_when_the_next_part_cannot_be(
    context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(Services, "stop", lambda _: stopped.append("services"))
    monkeypatch.setattr(Templates, "__init__", boom)
    with pytest.raises(RuntimeError, match="boom"), acquire(context, WarmPlan(), rebuild=lambda _: False):
        pass
    assert stopped == ["services"]
    assert RUN_MARK not in os.environ
    assert left_over(context) == []


def test_no_temporary_directory_is_one_clear_error(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise OSError(28, "No space left on device", "/tmp/envsolver-x")  # noqa: S108  # nothing is made

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(ConfigurationError) as raised, acquire(context, WarmPlan(), rebuild=lambda _: False):
        pass
    assert "TMPDIR" in raised.value.tip
    assert "No space left on device: '/tmp/envsolver-x'" in raised.value.message
