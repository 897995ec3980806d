"""Promise: a pass is remembered with all that it depends on, and nothing that is damaged is taken for one."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

import pytest

from envsolver.core.fingerprints import Fingerprint, Look
from envsolver.core.results import Result, ResultKey
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


def test_digests_are_remembered(passes: Passes) -> None:
    passes.keep_digests({"x": ("stamp", "digest")})
    passes.keep_digests({"x": ("later", "other"), "y": ("stamp", "digest")})
    assert passes.digests() == {"x": ("later", "other"), "y": ("stamp", "digest")}
