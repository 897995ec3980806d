"""What is built from source is named once it takes long."""

from __future__ import annotations

import threading

import pytest

from envsolver.environments import source_builds
from envsolver.environments.source_builds import SourceBuilds


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_long_build_is_told_of_each_time_that_it_has_taken_twice_as_long(clock: Clock) -> None:
    builds = SourceBuilds(print, clock=clock)
    builds.hear("   Building arch @ file:///home/me/arch\n")
    said = []
    for clock.now in (14.0, 15.0, 29.0, 30.0, 59.0, 200.0, 239.0):
        said.append(builds.due())
    line = "building from source: arch ({} so far)"
    assert said == ["", line.format("15 s"), "", line.format("30 s"), "", line.format("3 min 20 s"), ""]


def test_only_what_is_being_built_is_named(clock: Clock) -> None:
    builds = SourceBuilds(print, clock=clock)
    for line in ("   Building b==1\n", "Resolved 2 packages\n", "   Building a.c==2\n", "   Building done==3\n"):
        builds.hear(line)
    builds.hear("      Built done==3\n")
    clock.now = 20.0
    assert builds.due() == "building from source: a.c (20 s so far), b (20 s so far)"


def test_it_is_said_while_the_build_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_builds, "FIRST_SECONDS", 0.001)
    said = threading.Event()
    builds = SourceBuilds(lambda _: said.set())
    with builds.watched():
        builds.hear("   Building slow==1\n")
        assert said.wait(30)
