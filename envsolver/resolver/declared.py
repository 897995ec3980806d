"""What a project's own files name: the distributions that a person has vouched for.

Read are requirement files, the tables of `pyproject.toml`, `setup.cfg` and `setup.py`, `environment.yml`, `pixi.toml`
and `Pipfile`, where a project keeps them: at its root, in a few folders of that purpose, and beside the notebook.
Nothing is run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from envsolver.core.folders import METADATA_FILES
from envsolver.core.parsing import MalformedError, decode_requirements, parse_toml, read_text, table_of
from envsolver.core.projects import pyproject
from envsolver.resolver.groups import logical_lines
from envsolver.resolver.project_metadata import read_metadata
from envsolver.resolver.requirement_text import parse

_FOLDERS = ("requirements", "docs", "doc", "examples", "notebooks", "tutorials", "binder", ".binder", "ci")
_REQUIREMENTS = re.compile(r".*(?:requirements|deps|dependencies).*\.(?:txt|in|pip)|install\.txt", re.IGNORECASE)
_CONDA = re.compile(r".*env.*\.ya?ml", re.IGNORECASE)
_CONDA_ITEM = re.compile(r"\s*-\s*[\"']?(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:[=<>!~ ;\"'#].*)?$")
_PARENTHESES = re.compile(r"\s+--\w.*$")
_INDENTED_PIP = re.compile(r"\s*-\s*pip\s*:\s*$")


def names_alike(module: str) -> tuple[str, ...]:
    """Return the names of distributions that are spelt like a module or a part of it, the longest first."""
    parts = module.split(".")
    found = (canonicalize_name(".".join(parts[:length])).strip("-") for length in range(len(parts), 0, -1))
    return tuple(name for name in found if name)


def declared(root: Path, folder: Path) -> Mapping[str, str]:
    """Return the requirements that a project's files name for the notebooks of a folder, by distribution.

    What stands nearest to the notebooks comes first.
    """
    near = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
    found: dict[str, str] = {}
    for place in dict.fromkeys([*near, *(root / name for name in _FOLDERS)]):
        for name, text in _in_folder(place).items():
            found.setdefault(name, text)
    return found


def _in_folder(folder: Path) -> Mapping[str, str]:
    try:
        with os.scandir(folder) as listing:
            named = sorted((entry.name, entry.stat().st_mtime_ns) for entry in listing if _is_list(entry.name))
    except OSError:
        return {}
    return _read_folder(folder, tuple(named)) if named else {}


def _is_list(name: str) -> bool:
    return bool(
        name in {*METADATA_FILES, "Pipfile", "pixi.toml"}
        or _REQUIREMENTS.fullmatch(name)
        or _CONDA.fullmatch(name)
        or name.endswith(".in")
    )


@lru_cache(maxsize=256)
def _read_folder(folder: Path, named: tuple[tuple[str, int], ...]) -> Mapping[str, str]:
    """Read a folder's lists once, as long as they stay the same; many notebooks share them."""
    found: dict[str, str] = {}
    for text in _texts(folder, [name for name, _ in named]):
        requirement = parse(text)
        if requirement is not None:
            found.setdefault(canonicalize_name(requirement.name), text)
    return found


def _texts(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield what the files of a folder name, as requirements."""
    said = read_metadata(folder) if (folder / "setup.py").is_file() or (folder / "setup.cfg").is_file() else None
    yield from said.texts if said is not None else ()
    for name in names:
        try:
            if name == "pyproject.toml":
                yield from _of_pyproject(folder)
            elif name == "pixi.toml":
                yield from _of_pixi(parse_toml(read_text(folder / name)))
            elif name == "Pipfile":
                table = parse_toml(read_text(folder / name))
                yield from (*table_of(table, "packages"), *table_of(table, "dev-packages"))
            elif _CONDA.fullmatch(name):
                yield from _of_conda(read_text(folder / name))
            elif name.endswith((".txt", ".in", ".pip")):
                lines = logical_lines(decode_requirements((folder / name).read_bytes()))
                yield from (_PARENTHESES.sub("", line) for _, line in lines if not line.startswith("-"))
        except (OSError, MalformedError):
            continue  # One that cannot be read names nothing.


def _of_pyproject(folder: Path) -> Iterator[str]:
    """Yield what a `pyproject.toml` names, whichever tool reads it."""
    table = pyproject(folder)
    project = table_of(table, "project")
    lists = [project.get("dependencies"), *table_of(project, "optional-dependencies").values()]
    lists += table_of(table, "dependency-groups").values()
    lists += [table_of(table, "tool", "uv").get("dev-dependencies")]
    lists += table_of(table, "tool", "pdm", "dev-dependencies").values()
    for environment in table_of(table, "tool", "hatch", "envs").values():
        lists += [table_of(environment).get("dependencies"), table_of(environment).get("extra-dependencies")]
    for texts in lists:
        yield from (text for text in texts if isinstance(text, str)) if isinstance(texts, list) else ()
    poetry = table_of(table, "tool", "poetry")
    tables = [table_of(poetry, "dependencies"), table_of(poetry, "dev-dependencies")]
    tables += [table_of(group, "dependencies") for group in table_of(poetry, "group").values()]
    for names in tables:
        yield from (name for name in names if name != "python")
    yield from _of_pixi(table_of(table, "tool", "pixi"))


def _of_pixi(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a table of pixi's names, and its features: conda's and pip's packages by name alone."""
    for each in (table, *table_of(table, "feature").values()):
        for name in ("dependencies", "pypi-dependencies"):
            yield from table_of(each, name)


def _of_conda(text: str) -> Iterator[str]:
    """Yield what an `environment.yml` names: conda's packages by name alone, pip's as they stand."""
    pip: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if pip is not None and line.strip() and indent <= pip:
            pip = None
        if _INDENTED_PIP.match(line):
            pip = indent
        elif pip is not None and line.lstrip().startswith("- "):
            yield line.split("#")[0].strip().removeprefix("- ").strip("\"' ")
        elif item := _CONDA_ITEM.match(line):
            yield item[1]
