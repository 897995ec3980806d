"""What a folder says of the Python project in it: read from its files, of which none is run."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from envsolver.core.folders import METADATA_FILES
from envsolver.core.notebooks import NOT_INSTALLED
from envsolver.core.parsing import MalformedError, parse_toml, read_text, table_of

_SECTION = re.compile(r"^\[metadata\]\s*$(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_SETTING = re.compile(r"^name\s*[=:]\s*['\"]?([A-Za-z0-9._-]+)", re.MULTILINE)
_CALL = re.compile(r"\bsetup\s*\(")
_ARGUMENT = re.compile(r"\bname\s*=\s*['\"]([A-Za-z0-9._-]+)['\"]", re.IGNORECASE)


def pyproject(directory: Path) -> dict[str, Any]:
    """Return what a directory's `pyproject.toml` holds, which is not to be changed; nothing where none can be read."""
    return _pyproject(directory, _stamp(directory / "pyproject.toml"))


@lru_cache(maxsize=256)
def _pyproject(directory: Path, _stamp_of_it: object) -> dict[str, Any]:
    try:
        return parse_toml(read_text(directory / "pyproject.toml"))
    except (OSError, MalformedError):
        return {}


def project_name(directory: Path) -> str | None:
    """Return the normalised name of the Python project in `directory`, or None when there is none.

    A `setup.py` that computes the name is a project all the same: its only package's name is the likeliest, and else
    the folder's.
    """
    return _project_name(directory, tuple(_stamp(directory / file) for file in METADATA_FILES))


@lru_cache(maxsize=256)
def _project_name(directory: Path, _stamps: tuple[object, ...]) -> str | None:
    table = pyproject(directory)
    flit = table_of(table, "tool", "flit", "metadata")
    stated = (
        table_of(table, "project").get("name"),
        table_of(table, "tool", "poetry").get("name"),
        flit.get("dist-name") or flit.get("module"),
    )
    name = next((each for each in stated if each is not None), None)
    if name is None:
        name = _name_in_setup_cfg(directory) or _name_in_setup_py(directory)
    return str(canonicalize_name(name)) if isinstance(name, str) else None


def _name_in_setup_cfg(directory: Path) -> str | None:
    section = _SECTION.search(_text(directory / "setup.cfg"))
    found = section and _SETTING.search(section[1])
    return found[1] if found else None


def _name_in_setup_py(directory: Path) -> str | None:
    text = _text(directory / "setup.py")
    if not _CALL.search(text):
        return None
    if found := _ARGUMENT.search(text):
        return found[1]
    places = (directory / "src", directory)
    packages = {file.parent.name for place in places for file in place.glob("*/__init__.py")} - NOT_INSTALLED
    return packages.pop() if len(packages) == 1 else directory.name


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


def _text(path: Path) -> str:
    """Return a file's text; empty where it cannot be read, of which uv says what is wrong with it."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
