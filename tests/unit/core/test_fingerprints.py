"""Promise: two fingerprints are equal only when all is the same, and otherwise it is told what differs."""

from __future__ import annotations

import pytest

from envsolver.core.fingerprints import ABSENT, Fingerprint, Look, difference


def test_the_same_differs_in_nothing() -> None:
    one = Fingerprint(facts={"code": "a"}, states={Look("file", "x"): "1", Look("modules", ".", "a/b"): ""})
    assert difference(one, Fingerprint(facts=dict(one.facts), states=dict(one.states))) == ""


@pytest.mark.parametrize(
    ("old", "new", "phrase"),
    [
        ({"code": "a"}, {"code": "b"}, "its code changed"),
        ({"settings": "a"}, {"settings": "b"}, "its settings changed"),
        ({"package numpy": "2.4.5"}, {"package numpy": "2.4.6"}, "numpy 2.4.5 became 2.4.6"),
        ({"package numpy": "2.4.5"}, {}, "numpy 2.4.5 is gone"),
        ({}, {"package numpy": "2.4.5"}, "numpy 2.4.5 is new"),
        ({"variable LANG": "a"}, {"variable LANG": "b"}, "variable LANG changed"),
        ({"service beam": "a"}, {}, "service beam changed"),
        ({"platform": "a"}, {"platform": "b"}, "the platform changed"),
        ({"format": "1"}, {"format": "2"}, "envsolver changed"),
        ({"environment": "1"}, {"environment": "2"}, "its environment changed"),
        ({"hindrance": "it read a large file"}, {}, "it read a large file"),
    ],
)
def test_what_changed_of_what_is_run_is_told(old: dict[str, str], new: dict[str, str], phrase: str) -> None:
    assert difference(Fingerprint(facts=old), Fingerprint(facts=new)) == phrase


def test_a_package_in_another_version_is_named_before_those_that_came_or_went_with_it() -> None:
    old = {"package flexcache": "0.3", "package pint": "0.25.3"}
    new = {"package aaa": "1", "package pint": "0.19"}
    assert difference(Fingerprint(facts=old), Fingerprint(facts=new)) == "pint 0.25.3 became 0.19"
    old, new = {"code": "1", **old}, {"code": "2", **new}
    assert difference(Fingerprint(facts=old), Fingerprint(facts=new)) == "its code changed"


@pytest.mark.parametrize(
    ("look", "old", "new", "phrase"),
    [
        (Look("file", "data/wall.csv"), "1", "2", "data/wall.csv changed"),
        (Look("file", "data/wall.csv"), "1", ABSENT, "data/wall.csv is gone"),
        (Look("ask", "data/wall.csv"), ABSENT, "file of 2 bytes", "data/wall.csv is there now"),
        (Look("list", "data"), "a\nb", "a\nb\nx.csv", "new file data/x.csv in a folder that it lists"),
        (Look("list", "data"), "a\nb", "a", "data/b is gone from a folder that it lists"),
        (Look("list", "."), "a", "a\nb/", "new file b in a folder that it lists"),
        (Look("list", "data"), "sha256:1", "sha256:2", "files came or went in data, which it lists"),
        (Look("list", "data"), "a", ABSENT, "data is gone"),
        (Look("modules", "nb", "a/b"), "", "a.py", "nb/a.py, which its imports would find, came or went"),
        (Look("link", "l"), "a", "b", "the link l leads elsewhere"),
        (Look("tree", "."), "1", "2", "something in the project changed, and what is read there cannot be seen"),
    ],
)
def test_what_changed_of_what_was_read_is_told(look: Look, old: str, new: str, phrase: str) -> None:
    before, now = Fingerprint(states={look: old}), Fingerprint(states={look: new})
    assert difference(before, now) == phrase


def test_a_place_whose_state_is_not_known_differs() -> None:
    assert difference(Fingerprint(states={Look("file", "x"): "1"}), Fingerprint()) == "x is gone"
