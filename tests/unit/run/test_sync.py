"""Promise of `sync`: what can be built is built, and the faults of all other groups come together."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeUv, a_project

from envsolver.core.errors import BuildError, ConfigurationError, UnsolvableError
from envsolver.run.sync import sync


def test_all_groups_are_built_for_the_default_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = a_project(tmp_path, monkeypatch, a="six\n", b="numpy\n")
    built = sync(project)
    assert [(e.group, e.python, e.built) for e in built] == [("a", "3.11.1", True), ("b", "3.11.1", True)]


def test_only_the_groups_and_pythons_asked_for_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = a_project(tmp_path, monkeypatch, a="six\n", b="numpy\n")
    built = sync(project, groups=["b"], pythons=["3.10", "3.12"])
    assert [(e.group, e.python) for e in built] == [("b", "3.10.1"), ("b", "3.12.1")]


def test_a_group_that_has_no_solution_keeps_no_other_from_being_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(tmp_path, monkeypatch, a="lost==99\n", b="numpy\n", c="crash\n")
    with pytest.raises(UnsolvableError) as caught:
        sync(project)
    assert "group a" in caught.value.message
    assert "Failed to build `crash`" in caught.value.message
    (environment,) = sync(project, groups=["b"])
    assert not environment.built


def test_every_group_that_cannot_be_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = a_project(tmp_path, monkeypatch, a="six\n", b="numpy\n")
    assert isinstance(project.uv, FakeUv)
    project.uv.failure = BuildError("no space left")
    with pytest.raises(BuildError) as caught:
        sync(project)
    assert [name in caught.value.message for name in ("group a", "group b")] == [True, True]


@pytest.mark.parametrize(("groups", "pythons"), [(["typo"], []), ([], ["3.9"])])
def test_what_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: list[str], pythons: list[str]
) -> None:
    project = a_project(tmp_path, monkeypatch, a="six\n")
    with pytest.raises(ConfigurationError, match=r"typo|3\.9"):
        sync(project, groups=groups, pythons=pythons)
