"""Promises of the preparation: an error of ours is told as ours, and the notebooks that wait for it get a verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from fakes import FakeProgress

from envsolver.core.environments import Assignment, Environment, Group, Interpreter, Lock, Target
from envsolver.core.errors import BuildError, UnsolvableError
from envsolver.core.notebooks import Origin, Requirement
from envsolver.core.settings import Config
from envsolver.environments.store import Store
from envsolver.resolver.groups import derive_group
from envsolver.resolver.locks import make_lock
from envsolver.run.context import RunContext, RunRecord
from envsolver.run.options import Options
from envsolver.run.preparation import Preparation
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution
from envsolver.run.resources import Resources
from envsolver.run.scheduler.events import EnvironmentReady, EnvironmentUnavailable, Event, Message

TARGET = Target("core", "3.11")
PYTHON = Interpreter(request="3.11", executable="/python", version="3.11.7", platform="linux")


def events_of(tmp_path: Path, **resolution: Any) -> tuple[list[Event], RunRecord]:
    """Prepare a target that is resolved as told, and return what it posted."""
    project = Project(config=Config(root=tmp_path), cache=tmp_path / "cache")
    context = RunContext(
        project=project, options=Options(), progress=FakeProgress(), directory=tmp_path / "run", run_id="r"
    )
    record = RunRecord(context, clock=0.0)
    given: dict[str, Any] = {"notebooks": {}, "groups": {}, "interpreters": {}, "locks": {}, "faults": {}}
    resolved = Resolution(**{"assignments": (), **given, **resolution})
    posted: list[Event] = []
    none = SimpleNamespace(start=lambda *_: {}, start_for=lambda *_: None)
    resources = cast("Resources", SimpleNamespace(services=none, templates=none))
    Preparation(context, resolved, resources, record, posted.append).prepare(TARGET)
    return posted, record


def test_an_unexpected_error_is_told_as_ours_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom(*_: object, **__: object) -> NoReturn:
        raise TypeError("can only concatenate str")

    monkeypatch.setattr("envsolver.environments.store.Store.ensure", boom)
    group = derive_group("core", [], root=tmp_path)
    posted, record = events_of(tmp_path, groups={"core": group}, locks={TARGET: make_lock("core", PYTHON, "")})
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


NO_R = "the environment of group core could not be built:\nFailed to build `no-r==1`\nError: there is no R"


def lock_of(_: Project, group: Group, interpreter: Interpreter) -> Lock:
    """Pin what is asked for; what is called wrapper needs no-r, and slow has nothing to do with it."""
    names = {requirement.text for requirement in group.requirements}
    names |= {"no-r"} if "wrapper" in names else set()
    return make_lock(group.name, interpreter, "".join(f"{name}==1\n" for name in sorted(names)))


def build(_: Store, lock: Lock, *, say: Callable[[str], None]) -> Environment:
    """Build all but what holds no-r or broken."""
    say(f"building from source: {lock.group}")
    names = {package.name for package in lock.packages}
    if "no-r" in names:
        raise BuildError(NO_R)
    if "broken" in names:
        raise BuildError("Failed to download and build `broken==1`\nno")
    return Environment(key="k", group=lock.group, python="3.11", prefix=Path("/env"))


def prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, set[str]], of_a_set: tuple[str, ...] = ()
) -> tuple[dict[str, str], list[str], bool]:
    """Prepare a group; return the reasons of those that cannot run, what was said, and whether the others can."""
    monkeypatch.setattr(Project, "lock", lock_of)
    monkeypatch.setattr(Store, "ensure", build)
    texts = sorted(set().union(of_a_set, *asked.values()))
    group = derive_group("core", [Requirement(text=t, origin=Origin(path=f"{t}.ipynb")) for t in texts], root=tmp_path)
    posted, _ = events_of(
        tmp_path,
        groups={"core": group},
        interpreters={"3.11": PYTHON},
        locks={TARGET: lock_of(cast("Project", None), group, PYTHON)},
        assignments=tuple(Assignment(notebook=name, group="core", why="") for name in asked),
        asked={name: frozenset(texts) for name, texts in asked.items()},
    )
    reasons: dict[str, str] = {}
    for event in posted:
        if isinstance(event, EnvironmentUnavailable):
            reasons.update(dict.fromkeys(event.notebooks or asked, event.reason))
    said = [event.text for event in posted if isinstance(event, Message)]
    return reasons, said, any(isinstance(event, EnvironmentReady) for event in posted)


def test_a_package_that_cannot_be_built_keeps_only_those_from_running_that_lead_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"a.ipynb": {"six", "wrapper"}, "b.ipynb": {"six"}, "c.ipynb": {"broken"}}
    reasons, said, ready = prepared(tmp_path, monkeypatch, asked)
    assert ready
    assert set(reasons) == {"a.ipynb", "c.ipynb"}
    first, *rest = reasons["a.ipynb"].split("\n")
    trial = "`uv run --no-project --python 3.11 --with wrapper python -V`"
    assert first == f"wrapper (wrapper.ipynb) cannot be installed: Error: there is no R; see why {trial} fails here"
    assert rest == NO_R.split("\n")
    assert said.count("core: building from source: core") == 3
    assert "core: building it again, for 2 that do without wrapper" in said
    assert "core: building it again, for 1 that do without broken" in said


def test_where_all_notebooks_lead_to_it_nothing_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons, said, ready = prepared(tmp_path, monkeypatch, {"a.ipynb": {"wrapper"}, "b.ipynb": {"wrapper", "six"}})
    assert not ready
    assert reasons == {"a.ipynb": NO_R, "b.ipynb": NO_R}
    assert not any("again" in text for text in said)


def test_what_only_a_set_of_the_project_brings_keeps_no_notebook_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"a.ipynb": {"six"}}
    reasons, said, ready = prepared(tmp_path, monkeypatch, asked, of_a_set=("broken",))
    assert ready
    assert not reasons
    assert "core: building it again, for 1 that do without broken" in said
