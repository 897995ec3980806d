"""One door to each kind of text that other people write: JSON, TOML, Python, requirements.

A parser answers odd input with whatever error it ran into. Here each becomes a `MalformedError` with one phrase and,
where it can be known, the line; so one odd file is that file's fault and never the end of a command.
"""

from __future__ import annotations

import ast
import codecs
import json
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

ODD_INPUT = (ValueError, RecursionError, MemoryError, ArithmeticError, SyntaxError, OSError, re.error)
"""What reading and parsing raise because of what is read; `UnicodeError`, `JSONDecodeError` and their kin are in it."""

_MOST_DIGITS = 4300  # what Python converts at most, unless set otherwise
_NUMBER = re.compile(rf"\d{{{_MOST_DIGITS + 1}}}")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, the longer before those that they begin with."""
_HALF = re.compile(r"[\ud800-\udfff]")


class MalformedError(ValueError):
    """A text is not what it should be.

    Attributes
    ----------
    phrase
        What is wrong, without the place.
    line, column
        Where, counted from 1; None when that is unknown.
    """

    def __init__(self, phrase: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(phrase + (f" in line {line}" if line else "") + (f", column {column}" if column else ""))
        self.phrase = phrase
        self.line = line
        self.column = column


def phrase_of(error: BaseException) -> str:
    """Return what one of the errors of `ODD_INPUT` says, in words for a person."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "too large or too deep for this machine's memory"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if "integer string conversion" in str(error):
        return f"holds a whole number of more than {_MOST_DIGITS} digits"
    first = next(iter(str(error).splitlines()), "")
    return first if isinstance(error, MalformedError) else ": ".join(filter(None, (type(error).__name__, first)))


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8; a byte order mark is let pass.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    MalformedError
        It cannot be read, or is not UTF-8.
    """
    try:
        return decode(path.read_bytes())
    except (FileNotFoundError, MalformedError):
        raise
    except ODD_INPUT as error:
        raise MalformedError(phrase_of(error)) from error


def decode(data: bytes) -> str:
    """Return bytes as text in UTF-8; a byte order mark is let pass.

    Raises
    ------
    MalformedError
        They are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The mark's three bytes are not counted.
        raw = error.object[error.start]
        line = error.object.count(b"\n", 0, error.start) + 1
        raise MalformedError(f"not UTF-8 text: byte 0x{raw:02x}", line=line) from error


def decode_requirements(data: bytes) -> str:
    """Return the bytes of a requirements file as text: UTF-8, or what its byte order mark says, as pip reads them.

    Raises
    ------
    MalformedError
        They are neither.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                raise MalformedError(f"not the {encoding.upper()} text that its first bytes announce") from error
    return decode(data)


def parse_json(text: str) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    MalformedError
        It is no JSON that Python can hold.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise MalformedError(f"not JSON: {error.msg}", line=error.lineno, column=error.colno) from error
    except ODD_INPUT as error:
        raise MalformedError(f"not usable JSON: {phrase_of(error)}", line=_long_number(text)) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return the table that a TOML text holds.

    Raises
    ------
    MalformedError
        It is no TOML that Python can hold.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        line, column = [*map(int, re.findall(r"\d+", place)), 0, 0][:2]
        raise MalformedError(message, line=line or None, column=column or None) from error
    except ODD_INPUT as error:
        raise MalformedError(phrase_of(error), line=_long_number(text)) from error


def parse_python(text: str | bytes) -> ast.Module:
    """Return the syntax tree of a Python text, without any warning of what is odd in it.

    Raises
    ------
    MalformedError
        It cannot be parsed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise MalformedError(f"not valid Python: {error.msg}", line=error.lineno) from error
    except ODD_INPUT as error:
        raise MalformedError(f"not usable Python: {phrase_of(error)}") from error


def given_hashes(line: str) -> tuple[str, ...]:
    """Return the hashes that a line of a requirements file asks of what it installs, such as ``sha256:0f3a…``."""
    return tuple(re.findall(r"\s--hash[=\s]\s*(\S+)", line))


def parse_requirement(text: str) -> Requirement:
    """Return a requirement such as ``numpy>=1.26``.

    Raises
    ------
    MalformedError
        It is none (PEP 508).
    """
    from packaging.requirements import Requirement  # forked workers load this module, and need none of that

    try:
        return Requirement(text)
    except ODD_INPUT as error:
        raise MalformedError(_first_line(error)) from error


def parse_specifiers(text: str) -> SpecifierSet:
    """Return a set of version specifiers such as ``>=3.10,<3.13``.

    Raises
    ------
    MalformedError
        It is none (PEP 440).
    """
    from packaging.specifiers import SpecifierSet

    try:
        return SpecifierSet(text)
    except ODD_INPUT as error:
        raise MalformedError(_first_line(error)) from error


def table_of(data: object, *names: str) -> dict[str, Any]:
    """Return the table that stands in a table under some names, one within the other; empty where there is none."""
    for name in names:
        data = data.get(name) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def half_character(text: str) -> int | None:
    """Return the line of the first half of a surrogate pair, which no encoding can carry; None when all is text."""
    found = _HALF.search(text)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _first_line(error: BaseException) -> str:
    return phrase_of(error) if isinstance(error, (RecursionError, MemoryError)) else str(error).split("\n", 1)[0]


def _long_number(text: str) -> int | None:
    """Return the line of the first number that has too many digits."""
    found = _NUMBER.search(text)
    return None if found is None else text.count("\n", 0, found.start()) + 1
