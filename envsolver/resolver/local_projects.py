"""Solve for a local project without building it, and put it in the place of all releases of it.

A project whose `pyproject.toml` lists its dependencies needs no build to be solved for, though its version may only
be known from one: uv gets a stand-in that says the same. So what takes minutes to compile is compiled once, for the
environment. And whatever depends on some release of the project gets the project as it is here, since that is
what is under test, whatever version it calls itself in a checkout without tags.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.notebooks import Requirement
from envsolver.core.projects import project_name
from envsolver.resolver.project_metadata import ProjectMetadata, needs_no_build, read_metadata, stated_metadata
from envsolver.resolver.requirement_text import local_path, parse

_EXTRAS = re.compile(r"\[[^\[\]]*\]$")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalProjects:
    """What uv is asked in the place of local projects."""

    lines: Mapping[str, str] = field(default_factory=dict)
    """What to ask for, by the requirement's text."""
    overrides: tuple[str, ...] = ()
    """Lines that put the projects in the place of their releases."""
    back: Mapping[str, str] = field(default_factory=dict)
    """The requirement that a line of uv's answer stands for."""

    def restore(self, lock: str) -> str:
        """Return a lock's text with the projects themselves in the place of what uv was asked."""
        return "".join(f"{self.back.get(line.strip(), line)}\n" for line in lock.splitlines())


def stand_in(requirements: Iterable[Requirement], root: Path, folder: Path, *, build: bool = True) -> LocalProjects:
    """Return what to ask uv in the place of the local projects among some requirements.

    Parameters
    ----------
    root
        What their paths are relative to.
    folder
        An empty directory, for what uv reads.
    build
        Whether uv may build a project; if not, all that its files say counts.
    """
    lines: dict[str, str] = {}
    back: dict[str, str] = {}
    overrides: list[str] = []
    asked_for = tuple(requirements)
    for number, (place, texts) in enumerate(sorted(_by_place(asked_for, root).items())):
        name = project_name(place)
        extras = set().union(*map(_extras, texts), _extras_by_name(asked_for, name))
        said = stated_metadata(place) if build else read_metadata(place)
        if said is not None and not build and not all(map(needs_no_build, said.texts)):
            said = None
        stub = None if said is None else _stub(said, folder / str(number))
        if stub is None and extras:
            # An extra may hold others, which an override would have to name.
            continue
        target = stub or place
        wanted = sorted(_with_inner(said, extras))
        asked = f"[{','.join(wanted)}]" if wanted else ""
        overrides.append(f"{name}{asked} @ {target.as_uri()}")
        # Editable wins where both are asked for, as it does in uv.
        plain = next((t for t in texts if t.startswith("-")), texts[0])
        uri = target.as_uri()
        back |= dict.fromkeys(
            (f"{name} @ {uri}", f"-e {target}", f"-e {uri}", uri, str(target)), _EXTRAS.sub("", plain)
        )
        if stub is not None:
            lines |= dict.fromkeys(texts, f"-e {stub}{asked}")
    return LocalProjects(lines=lines, overrides=tuple(overrides), back=back)


def _by_place(requirements: Iterable[Requirement], root: Path) -> dict[Path, list[str]]:
    """Return the texts that ask for a local project, by its directory."""
    found: dict[Path, list[str]] = {}
    for text in sorted({r.text for r in requirements}):
        path = local_path(text)
        place = None if path is None else Path(os.path.normpath(root / Path(path).expanduser()))
        if place is not None and project_name(place) is not None:
            found.setdefault(place, []).append(text)
    return found


def _extras(text: str) -> set[str]:
    found = _EXTRAS.search(text)
    return {extra.strip() for extra in found[0][1:-1].split(",") if extra.strip()} if found else set()


def _extras_by_name(requirements: Iterable[Requirement], name: str | None) -> set[str]:
    """Return the extras of a project that are asked for by its name, as by ``mine[docs]`` in a dependency group."""
    parsed = (parse(requirement.text) for requirement in requirements)
    return {extra for each in parsed if each and name and _same(each.name, name) for extra in each.extras}


def _with_inner(said: ProjectMetadata | None, extras: set[str]) -> set[str]:
    """Return some extras of a project and those that they hold, as ``all`` may hold ``mine[a,b]``."""
    held = {} if said is None else {str(canonicalize_name(extra)): texts for extra, texts in said.extras.items()}
    found, waiting = set(extras), [str(canonicalize_name(extra)) for extra in extras]
    while waiting:
        for text in held.get(waiting.pop(), ()):
            parsed = parse(text)
            if parsed is not None and said is not None and _same(parsed.name, said.name):
                waiting += [str(canonicalize_name(extra)) for extra in parsed.extras - found]
                found |= parsed.extras
    return found


def _same(name: str, other: str) -> bool:
    return canonicalize_name(name) == canonicalize_name(other)


def _stub(said: ProjectMetadata, folder: Path) -> Path:
    """Write a project that says what another one depends on."""
    folder.mkdir(parents=True)
    lines = ["[project]", f"name = {json.dumps(said.name)}", f"version = {json.dumps(said.version or '0')}"]
    lines += [f"requires-python = {json.dumps(said.requires_python)}"] if said.requires_python else []
    lines += [f"dependencies = {json.dumps(said.dependencies)}", "[project.optional-dependencies]"]
    lines += [f"{json.dumps(extra)} = {json.dumps(texts)}" for extra, texts in said.extras.items()]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
