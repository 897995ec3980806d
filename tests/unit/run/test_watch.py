"""Promise: a save in the middle of a round ends it, and a file that is written all the time keeps none from its end."""

from __future__ import annotations

from envsolver.run.scheduler.events import Event
from envsolver.run.watch import WatchSession


def test_a_file_stops_one_round_until_one_has_come_to_its_end() -> None:
    session = WatchSession()
    posted: list[Event] = []

    def begin() -> None:
        session.begin()
        posted.clear()
        session.attend(posted.append)

    begin()
    session.saved({"a.log"})
    assert len(posted) == 1
    begin()
    session.saved({"a.log"})
    assert posted == []
    session.saved({"a.log", "b.ipynb"})
    assert len(posted) == 1
    session.ended()
    begin()
    session.saved({"a.log"})
    assert len(posted) == 1


def test_a_save_before_a_rounds_jobs_begin_stops_it_as_well() -> None:
    session = WatchSession()
    posted: list[Event] = []
    session.begin()
    session.saved({"a.ipynb"})
    session.attend(posted.append)
    assert len(posted) == 1


def test_what_begins_a_round_stops_it_when_it_is_saved_once_more() -> None:
    session = WatchSession()
    posted: list[Event] = []
    session.begin()
    session.ended()
    session.saved({"a.ipynb"})
    session.wait()
    session.begin()
    session.attend(posted.append)
    assert posted == []
    session.saved({"a.ipynb"})
    assert len(posted) == 1
