"""What a local project says of itself in its files, so that nothing of it must run to be solved for.

`pyproject.toml` is taken at its word where it lists the dependencies. Where nothing may be built, `setup.cfg` and the
plain arguments of `setup.py` are read too; whatever is computed there stays unknown.
"""

from __future__ import annotations

import ast
import configparser
import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envsolver.core.parsing import ODD_INPUT, MalformedError, parse_python, read_text, table_of
from envsolver.core.projects import project_name, pyproject
from envsolver.resolver.requirement_text import parse

_ASKED = frozenset({"install_requires", "extras_require", "python_requires", "version"})
_EXTRAS = "options.extras_require"
_REMOTE = ("https://", "http://", "git+")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectMetadata:
    """What a solve needs to know of a project; `version` and `requires_python` are None where it does not say them."""

    name: str
    version: str | None = None
    requires_python: str | None = None
    dependencies: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """All requirements, those of extras too."""
        return (*self.dependencies, *(text for texts in self.extras.values() for text in texts))


def needs_no_build(text: str) -> bool:
    """Return whether uv, with builds switched off, runs nothing for a requirement; it may for a local directory."""
    parsed = parse(text)
    return parsed is not None and (parsed.url is None or parsed.url.startswith(_REMOTE))


def stated_metadata(place: Path) -> ProjectMetadata | None:
    """Return what a project's `pyproject.toml` says by itself; None where only a build shows its dependencies."""
    table = pyproject(place)
    project = table_of(table, "project")
    dynamic = project.get("dynamic", [])
    if not isinstance(dynamic, list) or any(name in dynamic for name in ("dependencies", "optional-dependencies")):
        return None
    # uv itself reads what stands in its own table.
    if table_of(table, "tool", "uv", "sources"):
        return None
    if "dependencies" not in project and (place / "setup.py").is_file():
        # An old setup.py may say them beside a table that does not.
        return None
    found = _metadata(
        project.get("name"),
        project.get("version"),
        project.get("requires-python"),
        project.get("dependencies", []),
        project.get("optional-dependencies", {}),
    )
    # Some build backends put values in there.
    return None if found is None or "{" in json.dumps(found.texts) else found


def read_metadata(place: Path) -> ProjectMetadata | None:
    """Return what all of a project's files say without being run; None where only a build shows that."""
    if table_of(pyproject(place), "project"):
        return stated_metadata(place)
    said = _setup_call(place)
    name = project_name(place)
    if said is None or name is None:
        return None
    sections = _setup_cfg(place)
    if sections is None:
        return None
    options = {**sections, **said}
    return _metadata(
        name,
        options.get("version"),
        options.get("python_requires"),
        options.get("install_requires", []),
        options.get("extras_require", {}),
    )


def setup_extras(place: Path) -> dict[str, str]:
    """Return the extras that `setup.py` and `setup.cfg` name, each with its file; what they ask for may be computed."""
    said = _setup_arguments(place) or {}
    found: dict[str, str] = {}
    with contextlib.suppress(configparser.Error, MalformedError):
        found |= dict.fromkeys(_sections(place).get(_EXTRAS, ()), "setup.cfg")
    value = said.get("extras_require")
    keys = value.keys if isinstance(value, ast.Dict) else []
    names = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return found | dict.fromkeys(names, "setup.py")


def _metadata(
    name: object, version: object, requires_python: object, dependencies: object, extras: object
) -> ProjectMetadata | None:
    """Return metadata if each value has the type that it should have."""
    if not isinstance(name, str) or not _are_texts(dependencies) or not isinstance(extras, dict):
        return None
    if not all(isinstance(extra, str) and _are_texts(texts) for extra, texts in extras.items()):
        return None
    return ProjectMetadata(
        name=name,
        version=version if isinstance(version, str) else None,
        requires_python=requires_python if isinstance(requires_python, str) else None,
        dependencies=tuple(dependencies),  # type: ignore[arg-type]  # `_are_texts` has looked
        extras={extra: tuple(texts) for extra, texts in extras.items()},
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _setup_call(place: Path) -> dict[str, Any] | None:
    """Return the plain arguments of the one call of ``setup`` in `setup.py`; None where they are not plain."""
    arguments = _setup_arguments(place)
    if arguments is None:
        return None
    return {name: _plain(value) for name, value in arguments.items() if name in _ASKED}


def _setup_arguments(place: Path) -> dict[str, ast.expr] | None:
    """Return the arguments of the one call of ``setup`` in `setup.py`, with the values of variables for their names.

    None where there are several calls, or arguments of which only a run would tell.
    """
    try:
        tree = parse_python(read_text(place / "setup.py"))
    except FileNotFoundError:
        return {}
    except MalformedError:
        return None
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "setup"]
    if len(calls) != 1:
        return None
    named = _assigned_once(tree)
    found: dict[str, ast.expr] = {}
    for keyword in calls[0].keywords:
        entries = {keyword.arg: keyword.value} if keyword.arg else _entries(keyword.value, named, tree)
        if entries is None:
            return None
        found |= {name: _valued(value, named) for name, value in entries.items()}
    return found


def _entries(value: ast.expr, named: Mapping[str, ast.expr], tree: ast.Module) -> dict[str, ast.expr] | None:
    """Return what ``**arguments`` stands for, where that is a dictionary written out and used for nothing else."""
    if isinstance(value, ast.Name):
        uses = sum(isinstance(node, ast.Name) and node.id == value.id for node in ast.walk(tree))
        if uses != len(("its assignment", "the call")):
            return None
    table = _valued(value, named)
    if not isinstance(table, ast.Dict):
        return None
    pairs = zip(table.keys, table.values, strict=True)
    entries = {str(key.value): each for key, each in pairs if isinstance(key, ast.Constant)}
    return entries if len(entries) == len(table.keys) else None


def _assigned_once(tree: ast.Module) -> dict[str, ast.expr]:
    """Return what the variables hold that are bound in one place of a file, which is at its top."""
    bound = Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load))
    found: dict[str, ast.expr] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if bound[name] == 1:
                found[name] = value
    return found


def _valued(value: ast.expr, named: Mapping[str, ast.expr]) -> ast.expr:
    """Return an expression, or that of the variable that it is, where that is bound once."""
    return named.get(value.id, value) if isinstance(value, ast.Name) else value


def _plain(value: ast.expr) -> object:
    """Return the value of an expression; None where it is computed."""
    try:
        return ast.literal_eval(value)
    except (*ODD_INPUT, TypeError):
        return None


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _sections(place: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the sections of `setup.cfg`; none where it is not there.

    Raises
    ------
    MalformedError, configparser.Error
        It cannot be read.
    """
    parser = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(FileNotFoundError):
        parser.read_string(read_text(place / "setup.cfg"))
    return {name: dict(parser[name]) for name in parser.sections()}


def _setup_cfg(place: Path) -> dict[str, Any] | None:
    """Return what `setup.cfg` says under the names that `setup.py` uses; None where it names other files."""
    try:
        sections = _sections(place)
    except (configparser.Error, MalformedError):
        return None
    if not sections:
        return {}
    options, extras = sections.get("options", {}), sections.get(_EXTRAS, {})
    listed = [options.get("install_requires", ""), *extras.values()]
    if any(text.strip().startswith(("file:", "attr:")) for text in listed):
        return None
    found: dict[str, Any] = {"install_requires": _lines(listed[0])}
    found["extras_require"] = {name: _lines(text) for name, text in extras.items()}
    return found | {name: options[name] for name in ("python_requires",) if name in options}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace(";\n", "\n").splitlines() if line.strip()]
