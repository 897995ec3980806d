"""Promise: what a kernel said of its reading counts, and where that is not all, more counts, or the pass does not."""

from __future__ import annotations

import json
import time
from pathlib import Path, PurePosixPath

import pytest

from envsolver.core.fingerprints import Look, Reading
from envsolver.core.jobs import Binding, Job, Limits
from envsolver.worker import reading
from envsolver.worker.isolation import OPENED, READ
from envsolver.worker.scratch import OverlayScratch


class Place:
    """A project, and the private directory of a job in it."""

    def __init__(self, tmp_path: Path) -> None:
        self.root, self.base = tmp_path / "project", tmp_path / "private"
        self.root.mkdir()
        self.base.mkdir()
        self.scratch = OverlayScratch(self.base, self.root, PurePosixPath())
        self.job = Job(
            id="n", notebook="n.ipynb", group="core", python="3.11", root=str(self.root), run_dir=str(tmp_path),
            run_id="r", limits=Limits(timeout=1.0, cell_timeout=1.0), binding=Binding(prefix=""),
        )  # fmt: skip
        self.opened(files=[], folders={}, links=[], blind=False)

    def opened(self, **found: object) -> None:
        (self.base / OPENED).write_text(json.dumps(found))

    def collect(self, *lines: object, clock_seconds: float = 0.0) -> Reading:
        (self.base / READ).write_text("".join(json.dumps(line) + "\n" for line in lines))
        clock = (time.time() + clock_seconds, time.monotonic())
        return reading.collect(self.job, self.scratch, clock=clock, began=0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_places_in_the_project_are_relative_and_others_absolute(place: Place) -> None:
    found = place.collect(["file", f"{place.root}/a.csv"], ["list", "/elsewhere"], ["finish"])
    assert (found.looks, found.hindrance) == ((Look("file", "a.csv"), Look("list", "/elsewhere")), "")


def test_what_it_wrote_before_it_read_it_is_its_own(place: Place) -> None:
    name = f"{place.root}/a.csv"
    assert place.collect(["write", name], ["file", name], ["finish"]).looks == ()
    assert place.collect(["file", name], ["write", name], ["finish"]).looks == (Look("file", "a.csv"),)


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0, 2.0])
def test_a_clock_that_was_set_while_it_ran_makes_its_pass_count_for_nothing(seconds: float, place: Place) -> None:
    assert place.collect(["finish"], clock_seconds=seconds).hindrance == "it ran while the clock was set"


def test_one_that_did_not_tell_all_may_have_read_the_whole_project(place: Place) -> None:
    found = place.collect(["file", f"{place.root}/a.csv"])
    assert (found.looks, found.hindrance) == ((Look("tree", "."),), "it ended before all that it read was known")


def test_where_more_was_opened_than_was_seen_the_whole_project_counts(place: Place) -> None:
    place.opened(files=[], folders={}, links=[], blind=True)
    assert place.collect(["finish"]).looks == (Look("tree", "."),)


def test_of_very_many_places_the_whole_project_stands_for_those_in_it(place: Place) -> None:
    lines = [["ask", f"{place.root}/{number}"] for number in range(reading.MOST_LOOKS + 1)]
    assert place.collect(["file", "/elsewhere"], *lines, ["finish"]).looks == (
        Look("tree", "."),
        Look("file", "/elsewhere"),
    )


@pytest.mark.parametrize(
    ("lines", "followed"),
    [
        ([["popen"], ["forked"]], True),
        ([["popen"], ["spawned"], ["spawn"]], True),
        ([["forked"]], True),
        ([["popen"]], False),
        ([["popen"], ["popen"], ["forked"]], False),
        ([["spawn"]], False),
        ([["popen"], ["forked"], ["spawn"]], False),
    ],
)
def test_a_program_that_starts_unfollowed_makes_a_pass_count_for_nothing(
    lines: list[list[str]], followed: bool, place: Place
) -> None:
    hindrance = place.collect(*lines, ["finish"]).hindrance
    assert hindrance == ("" if followed else "it started a program in a way that could not be followed")


def test_a_program_that_spoke_to_another_process_makes_a_pass_count_for_nothing(place: Place) -> None:
    found = place.collect(["service", "/run/other"], ["connection", "10.0.0.1", "80"], ["finish"])
    assert found.hindrance == "it started a program that spoke to /run/other"
