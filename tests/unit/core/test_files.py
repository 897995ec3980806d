"""A file is written whole or not at all, and what cannot be read of a cache is as good as absent."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from envsolver.core.files import read_json, write_atomically, write_json


def test_a_file_is_replaced_and_its_directory_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_atomically(path, "one\n")
    write_atomically(path, "zwei, größer\n")
    assert path.read_text(encoding="utf-8") == "zwei, größer\n"
    assert [each.name for each in path.parent.iterdir()] == ["a.txt"]


def test_what_utf_8_cannot_hold_becomes_a_question_mark(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "\ud800!")
    assert (tmp_path / "a").read_bytes() == b"?!"


def test_a_written_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("", encoding="utf-8")
    write_atomically(tmp_path / "a", "")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomically(path, "x")
    assert path.read_text(encoding="utf-8") == "x"


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a" / "below").mkdir(parents=True)
    with pytest.raises(OSError, match="a"):
        write_atomically(tmp_path / "a", "text")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_an_object_that_was_written_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1, "ü"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, "ü"]}


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{", b"\xff", b"null", b"[" * 100_000])
def test_what_is_no_object_is_read_as_an_empty_one(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    assert read_json(tmp_path / "a.json") == {}
