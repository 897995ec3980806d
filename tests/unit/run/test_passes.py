"""Promise: a pass is remembered with all that it depends on, and nothing that is damaged is taken for one."""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envsolver.core.fingerprints import Fingerprint, Look
from envsolver.core.results import Result, ResultKey, WarningPlace
from envsolver.core.verdicts import Verdict
from envsolver.run.history import History
from envsolver.run.passes import Passes

KEY = ResultKey("a.ipynb", "core", "3.11")
PRINT = Fingerprint(facts={"code": "1"}, states={Look("file", "d/\udcff"): "x", Look("modules", ".", "a/b"): "a.py"})


def result() -> Result:
    return Result(notebook=KEY.notebook, group=KEY.group, python=KEY.python, status="passed", started="2026-01-01")


@pytest.fixture
def passes(tmp_path: Path) -> Passes:
    return Passes(tmp_path / "history.sqlite")


def test_a_pass_comes_back_as_it_was(passes: Passes) -> None:
    passes.keep(result(), PRINT, "run-1")
    found = passes.known()[KEY]
    assert (found.fingerprint, found.run, found.started) == (PRINT, "run-1", "2026-01-01")


def test_a_pass_comes_back_with_its_warnings(passes: Passes) -> None:
    warned = WarningPlace(category="UserWarning", message="m", path="a.py", line=3, count=2)
    passes.keep(replace(result(), warnings=(warned,), warning_count=2), PRINT, "run-1")
    found = passes.known()[KEY]
    assert (found.warnings, found.warning_count) == ((warned,), 2)


def test_a_later_pass_takes_the_place_of_an_earlier(passes: Passes) -> None:
    passes.keep(result(), Fingerprint(), "run-1")
    passes.keep(result(), PRINT, "run-2")
    assert passes.known()[KEY].run == "run-2"


def test_a_pass_can_be_forgotten(passes: Passes) -> None:
    passes.keep(result(), PRINT, "run-1")
    passes.drop(KEY)
    assert passes.known() == {}


@pytest.mark.parametrize("damage", [b"\0", "text", None, 7, zlib.compress(b""), zlib.compress(b"[]")])
def test_a_damaged_row_is_no_pass(damage: object, passes: Passes, tmp_path: Path) -> None:
    passes.keep(result(), PRINT, "run-1")
    with sqlite3.connect(tmp_path / "history.sqlite") as connection:
        connection.execute("CREATE TABLE other AS SELECT * FROM pass")
        connection.execute("DROP TABLE pass")
        connection.execute("UPDATE other SET fingerprint = ?", (damage,))
        connection.execute("ALTER TABLE other RENAME TO pass")
    assert passes.known() == {}


def test_a_file_that_is_no_history_holds_no_pass(passes: Passes, tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 99)
    assert (passes.known(), passes.digests()) == ({}, {})


def ran(place: Path, hour: int, status: Verdict = "passed", **more: Any) -> None:
    """Let a notebook run on a machine with a history of its own."""
    outcome = replace(result(), status=status, started=f"2026-01-01T{hour:02}:00:00+00:00", environment="e", **more)
    History(place).add(outcome, "d")
    if status == "passed":
        Passes(place).keep(outcome, PRINT, f"run-{hour}")
    else:
        Passes(place).drop(outcome.key)


@pytest.mark.parametrize(
    ("own", "others", "kept"),
    [
        (("passed", 1), ("passed", 2), "run-2"),
        (("passed", 2), ("passed", 1), "run-2"),
        (("passed", 1), ("failed", 2), None),
        (("failed", 2), ("passed", 1), None),
        (("failed", 1), ("passed", 2), "run-2"),
        (None, ("passed", 1), "run-1"),
        (("passed", 1), None, "run-1"),
    ],
)
def test_of_two_histories_that_are_joined_the_last_run_of_a_notebook_is_believed(
    own: tuple[Verdict, int] | None, others: tuple[Verdict, int] | None, kept: str | None, tmp_path: Path
) -> None:
    for name, outcome in (("own", own), ("other", others)):
        Passes(tmp_path / name).keep_digests({f"/{name}": ("stamp", "digest")})
        if outcome is not None:
            ran(tmp_path / name, outcome[1], outcome[0])
    for _ in range(2):
        assert Passes(tmp_path / "own").absorb(tmp_path / "other")
    found = Passes(tmp_path / "own").known().get(KEY)
    assert (found and found.run) == kept
    assert (KEY in History(tmp_path / "own").failed()) is (kept is None)
    assert Passes(tmp_path / "own").digests().keys() == {"/own"}
    (record,) = History(tmp_path / "own").records()
    assert record.runs == sum(outcome is not None for outcome in (own, others))


@pytest.mark.parametrize("foreign", [b"no database" * 999, b"", "PRAGMA user_version = 7", "CREATE TABLE pass (x)"])
def test_a_history_that_is_none_is_left_out_whole(foreign: bytes | str, tmp_path: Path) -> None:
    ran(tmp_path / "own", 1)
    other = tmp_path / "other"
    if isinstance(foreign, bytes):
        other.write_bytes(foreign)
    else:
        ran(other, 2, notebook="b.ipynb")
        with sqlite3.connect(other) as connection:
            connection.executescript(f"DROP TABLE pass; {foreign};")
    assert not Passes(tmp_path / "own").absorb(other)
    assert Passes(tmp_path / "own").known().keys() == {KEY}
    assert len(History(tmp_path / "own").records()) == 1


def test_digests_are_remembered(passes: Passes) -> None:
    passes.keep_digests({"x": ("stamp", "digest")})
    passes.keep_digests({"x": ("later", "other"), "y": ("stamp", "digest")})
    assert passes.digests() == {"x": ("later", "other"), "y": ("stamp", "digest")}
