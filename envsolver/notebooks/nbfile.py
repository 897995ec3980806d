"""Read the text of an `.ipynb` file into cells, without the cost of a full validation; name what is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envsolver.core.errors import UnusableNotebookError
from envsolver.core.parsing import ODD_INPUT, MalformedError, decode, half_character, parse_json, phrase_of
from envsolver.notebooks.saved_times import recorded_seconds
from envsolver.notebooks.walk import actual_name

_OLDEST, _NEWEST = 3, 4
_LFS = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = re.compile(rb"\s*<(?:!doctype html|html)\b", re.IGNORECASE)
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)
# Kernels whose name says the language, for notebooks that say it nowhere else. Python's are not here: Python is what
# a notebook is unless it says otherwise.
_KERNELS = {
    "ir": "r", "julia": "julia", "xcpp": "c++", "bash": "bash", "javascript": "javascript", "octave": "octave",
    "scala": "scala", "sagemath": "sagemath", "matlab": "matlab", "rust": "rust", "gophernotes": "go", "xr": "r",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell; `number` counts from 1 over all cells of the file."""

    number: int
    kind: str
    source: str
    tags: tuple[str, ...] = ()
    seconds: float | None = None
    """What it took when the notebook was last saved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotebookFile:
    """What a file holds that matters before it runs."""

    metadata: dict[str, Any]
    cells: tuple[Cell, ...]
    language: str


def read_notebook_file(path: Path) -> NotebookFile:
    """Read a notebook in nbformat 3 or 4.

    Raises
    ------
    UnusableNotebookError
        With one phrase that says what is wrong, and where.
    """
    document = _document(path)
    version = document.get("nbformat")
    if not isinstance(version, int) or isinstance(version, bool):
        raise UnusableNotebookError("not a notebook: it has no `nbformat` number")
    if version < _OLDEST:
        raise UnusableNotebookError(f"nbformat {version} is too old; 3 and 4 are read. Save it again with Jupyter")
    if version > _NEWEST:
        raise UnusableNotebookError(f"nbformat {version} is newer than 4, the newest that is read")
    metadata = document.get("metadata", {})
    if not isinstance(metadata, dict):
        raise UnusableNotebookError("not a notebook: its `metadata` is not an object")
    cells = tuple(_cell(raw, number) for number, raw in enumerate(_raw_cells(document, version), start=1))
    return NotebookFile(metadata=metadata, cells=cells, language=_language(metadata))


def _document(path: Path) -> dict[str, Any]:
    """Read the file's JSON object."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UnusableNotebookError(_why_missing(path)) from None
    except ODD_INPUT as error:
        raise UnusableNotebookError(phrase_of(error)) from error
    if not data.strip():
        raise UnusableNotebookError("the file is empty")
    if data.startswith(_LFS):
        raise UnusableNotebookError("a Git LFS pointer, not the notebook itself; fetch it with `git lfs pull`")
    if _WEB_PAGE.match(data):
        raise UnusableNotebookError("a web page, not a notebook; put the notebook itself there")
    try:
        text = decode(data)
    except MalformedError as error:
        raise UnusableNotebookError(str(error)) from error
    try:
        document = parse_json(text)
    except MalformedError as error:
        if conflict := _CONFLICT.search(text):
            line = text.count("\n", 0, conflict.start()) + 1
            raise UnusableNotebookError(f"holds merge conflict marks, the first in line {line}") from error
        raise UnusableNotebookError(str(error)) from error
    if not isinstance(document, dict):
        raise UnusableNotebookError("not a notebook: its JSON is not an object")
    return document


def _raw_cells(document: dict[str, Any], version: int) -> list[Any]:
    """Return the cells of all worksheets; nbformat 4 has no worksheets any more."""
    if version == _NEWEST:
        return _list(document, "cells")
    cells: list[Any] = []
    for sheet in _list(document, "worksheets"):
        if not isinstance(sheet, dict):
            raise UnusableNotebookError("not a notebook: a worksheet is not an object")
        cells.extend(_list(sheet, "cells"))
    return cells


def _list(container: dict[str, Any], name: str) -> list[Any]:
    """Return a list that must be there."""
    if name not in container:
        raise UnusableNotebookError(f"not a notebook: `{name}` is missing")
    value = container[name]
    if not isinstance(value, list):
        raise UnusableNotebookError(f"not a notebook: `{name}` is not a list")
    return value


def _cell(raw: object, number: int) -> Cell:
    """Read one cell."""
    if not isinstance(raw, dict):
        raise UnusableNotebookError(f"not a notebook: cell {number} is not an object")
    kind = raw.get("cell_type")
    if not isinstance(kind, str):
        raise UnusableNotebookError(f"not a notebook: cell {number} has no `cell_type`")
    source = raw.get("source", raw.get("input", ""))
    try:
        text = "".join(source) if isinstance(source, list) else source
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise UnusableNotebookError(f"not a notebook: the source of cell {number} is not text")
    if kind == "code" and (line := half_character(text)) is not None:
        raise UnusableNotebookError(
            f"holds half a character, which no kernel can be sent, in cell {number}, line {line}"
        )
    metadata = raw.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    tags = metadata.get("tags")
    kept = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return Cell(number=number, kind=kind, source=text, tags=kept, seconds=recorded_seconds(metadata))


def _language(metadata: dict[str, Any]) -> str:
    """Return the language that the metadata names, lower case; the name of a Python kernel is no language."""
    for name in _language_names(metadata):
        lowered = name.strip().lower()
        if lowered:
            return "python" if re.fullmatch(r"i?python[ \d.]*", lowered) else lowered
    kernel = metadata.get("kernelspec")
    kernel_name = kernel.get("name") if isinstance(kernel, dict) else None
    stem = re.split(r"[-_ \d]", kernel_name, maxsplit=1)[0].lower() if isinstance(kernel_name, str) else ""
    return _KERNELS.get(stem, "python")


def _language_names(metadata: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of the metadata that name a language."""
    for table, key in (("kernelspec", "language"), ("language_info", "name")):
        values = metadata.get(table)
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, str):
            yield value


def _why_missing(path: Path) -> str:
    """Say why there is no such file; one whose name is not text goes by another, which no file has."""
    if os.path.lexists(actual_name(os.fspath(path))):
        return "the name of the file, or of its folder, is not UTF-8 text; rename it"
    return "there is no such file"
