"""Promise: whatever a parser runs into becomes one phrase, with its place where that can be known."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from envsolver.core.files import read_json, write_json
from envsolver.core.parsing import (
    MalformedError,
    decode,
    parse_json,
    parse_python,
    parse_requirement,
    parse_specifiers,
    parse_toml,
    read_text,
    table_of,
)

DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_json, "{\n'a'", "not JSON: Expecting property name enclosed in double quotes in line 2, column 1"),
        (parse_json, "[" * 100_000, "not usable JSON: nested too deeply"),
        (parse_json, f"[1,\n{DIGITS}]", "not usable JSON: holds a whole number of more than 4300 digits in line 2"),
        (parse_toml, "a = [\n1", "Unclosed array"),
        (parse_toml, "\na = 1 2", "Expected newline or end of document after a statement in line 2, column 7"),
        (parse_toml, "a = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        (parse_toml, f"\na = {DIGITS}", "holds a whole number of more than 4300 digits in line 2"),
        (parse_python, "import a\n  b", "not valid Python: unexpected indent in line 2"),
        (parse_python, "x = " + " + ".join("1" * 100_000), "not usable Python: nested too deeply"),
        (parse_python, "x = '\ud800'", "not usable Python: UnicodeEncodeError"),
        (parse_requirement, f"a; {'(' * 500}python_version>'3'{')' * 500}", "(Marker expression is )?nested"),
        (parse_requirement, "a b", "Expected"),
        (parse_specifiers, "1.2", "Invalid specifier: '1.2'"),
        (decode, b"a\n\xe9", "not UTF-8 text: byte 0xe9 in line 2"),
    ],
)
def test_odd_text_is_told_with_its_place(parse: Callable[[str | bytes], object], text: str | bytes, said: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse(text)
    assert re.match(said, str(caught.value))


def test_odd_strings_in_code_warn_nobody() -> None:
    assert parse_python("x = '\\d'").body  # warnings are errors here


@pytest.mark.parametrize("name", ["a folder", "a\0b"])
def test_what_cannot_be_opened_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "a folder").mkdir()
    with pytest.raises(MalformedError):
        read_text(tmp_path / name)


def test_a_byte_order_mark_is_let_pass(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa")
    assert read_text(tmp_path / "a") == "a"


@pytest.mark.parametrize("data", [{}, [], {"a": []}, {"a": {"b": 1}}, None])
def test_a_table_that_is_none_holds_nothing(data: object) -> None:
    assert table_of(data, "a", "b") == {}


@pytest.mark.parametrize("damage", ["", "[1]", '{"a": 1}', '{"a": 2, "sha256": "0"}', "{" * 100_000])
def test_a_damaged_file_of_a_cache_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text(damage)
    assert read_json(path) == {}


def test_a_changed_value_in_a_file_of_a_cache_is_found_out(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"size": 10})
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace("10", "19"))
    assert read_json(tmp_path / "a.json") == {}
