"""Promises of the preparation: an error of ours is told as ours, and the notebooks that wait for it get a verdict."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from fakes import FakeProgress

from envsolver.core.environments import Interpreter, Target
from envsolver.core.errors import UnsolvableError
from envsolver.core.settings import Config
from envsolver.resolver.locks import make_lock
from envsolver.run.context import RunContext, RunRecord
from envsolver.run.options import Options
from envsolver.run.preparation import Preparation
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution
from envsolver.run.resources import Resources
from envsolver.run.scheduler.events import EnvironmentUnavailable, Event

TARGET = Target("core", "3.11")


def events_of(tmp_path: Path, **resolution: Any) -> tuple[list[Event], RunRecord]:
    """Prepare a target that is resolved as told, and return what it posted."""
    project = Project(config=Config(root=tmp_path), cache=tmp_path / "cache")
    context = RunContext(
        project=project, options=Options(), progress=FakeProgress(), directory=tmp_path / "run", run_id="r"
    )
    record = RunRecord(context, clock=0.0)
    given: dict[str, Any] = {"notebooks": {}, "groups": {}, "interpreters": {}, "locks": {}, "faults": {}}
    resolved = Resolution(assignments=(), **{**given, **resolution})
    posted: list[Event] = []
    Preparation(context, resolved, cast("Resources", SimpleNamespace()), record, posted.append).prepare(TARGET)
    return posted, record


def test_an_unexpected_error_is_told_as_ours_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom(*_: object) -> NoReturn:
        raise TypeError("can only concatenate str")

    monkeypatch.setattr("envsolver.environments.store.Store.ensure", boom)
    interpreter = Interpreter(request="3.11", executable="/python", version="3.11.7", platform="linux")
    posted, record = events_of(tmp_path, locks={TARGET: make_lock("core", interpreter, "")})
    event = posted[-1]
    assert isinstance(event, EnvironmentUnavailable)
    assert (event.target, event.verdict) == (TARGET, "crashed")
    assert event.reason.startswith("envsolver itself failed: TypeError: can only concatenate str")
    assert event.log in event.reason
    assert "in boom" in (tmp_path / "run" / event.log).read_text(encoding="utf-8")
    assert record.errors == []


def test_what_cannot_be_solved_is_the_environments_verdict(tmp_path: Path) -> None:
    posted, record = events_of(tmp_path, faults={TARGET: UnsolvableError("no solution", tip="ask for less")})
    assert posted == [EnvironmentUnavailable(target=TARGET, reason="no solution\nask for less")]
    assert [error.message for error in record.errors] == ["no solution"]
