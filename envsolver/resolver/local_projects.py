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
from typing import Any

from packaging.utils import canonicalize_name

from envsolver.core.notebooks import Requirement
from envsolver.resolver.requirement_text import local_path, parse, project_name, pyproject

_SAID = ("name", "version", "requires-python", "dependencies")
_EXTRAS = re.compile(r"\[[^\[\]]*\]$")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalProjects:
    """What uv is asked in the place of local projects.

    Attributes
    ----------
    lines
        What to ask for, by the requirement's text.
    overrides
        Lines that put the projects in the place of their releases.
    back
        The requirement that a line of uv's answer stands for.
    """

    lines: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    back: Mapping[str, str] = field(default_factory=dict)

    def restore(self, lock: str) -> str:
        """Return a lock's text with the projects themselves in the place of what uv was asked."""
        return "".join(f"{self.back.get(line.strip(), line)}\n" for line in lock.splitlines())


def stand_in(requirements: Iterable[Requirement], root: Path, folder: Path) -> LocalProjects:
    """Return what to ask uv in the place of the local projects among some requirements.

    Parameters
    ----------
    root
        What their paths are relative to.
    folder
        An empty directory, for what uv reads.
    """
    extras: dict[Path, set[str]] = {}
    texts: dict[Path, list[str]] = {}
    for text in sorted({r.text for r in requirements}):
        path = local_path(text)
        place = None if path is None else Path(os.path.normpath(root / Path(path).expanduser()))
        if place is None or project_name(place) is None:
            continue
        texts.setdefault(place, []).append(text)
        extras.setdefault(place, set()).update(_extras(text))
    lines: dict[str, str] = {}
    back: dict[str, str] = {}
    overrides: list[str] = []
    for number, place in enumerate(sorted(texts)):
        name = project_name(place)
        stub = _stub(place, folder / str(number))
        if stub is None and extras[place]:
            # An extra may hold others, which an override would have to name.
            continue
        target = stub or place
        wanted = sorted(_with_inner(place, str(name), extras[place]))
        asked = f"[{','.join(wanted)}]" if wanted else ""
        overrides.append(f"{name}{asked} @ {target.as_uri()}")
        # Editable wins where both are asked for, as it does in uv.
        plain = next((t for t in texts[place] if t.startswith("-")), texts[place][0])
        for line in (
            f"{name} @ {target.as_uri()}",
            f"-e {target}",
            f"-e {target.as_uri()}",
            target.as_uri(),
            f"{target}",
        ):
            back[line] = _EXTRAS.sub("", plain)
        if stub is not None:
            lines |= dict.fromkeys(texts[place], f"-e {stub}{asked}")
    return LocalProjects(lines=lines, overrides=tuple(overrides), back=back)


def _extras(text: str) -> set[str]:
    found = _EXTRAS.search(text)
    return {extra.strip() for extra in found[0][1:-1].split(",") if extra.strip()} if found else set()


def _with_inner(place: Path, name: str, extras: set[str]) -> set[str]:
    """Return some extras of a project and those that they hold, as ``all`` may hold ``mine[a,b]``."""
    table = pyproject(place).get("project", {}).get("optional-dependencies", {})
    held = {str(canonicalize_name(extra)): texts for extra, texts in table.items()}
    found, waiting = set(extras), [str(canonicalize_name(extra)) for extra in extras]
    while waiting:
        for text in held.get(waiting.pop(), ()):
            parsed = parse(text)
            if parsed is not None and canonicalize_name(parsed.name) == name:
                waiting += [str(canonicalize_name(extra)) for extra in parsed.extras - found]
                found |= parsed.extras
    return found


def _stub(place: Path, folder: Path) -> Path | None:
    """Write a project that says what another one depends on; None where only a build tells that."""
    table = pyproject(place)
    project = table.get("project", {})
    dynamic = set(project.get("dynamic", ()))
    # uv itself reads what stands in its own table.
    if "name" not in project or not dynamic.isdisjoint({"dependencies", "optional-dependencies"}) or _sources(table):
        return None
    if "{" in json.dumps([project.get("dependencies"), *project.get("optional-dependencies", {}).values()]):
        # Some build backends put values in there.
        return None
    if "dependencies" not in project and (place / "setup.py").is_file():
        # An old setup.py may say them beside a table that does not.
        return None
    folder.mkdir(parents=True)
    lines = [
        "[project]",
        f"name = {json.dumps(project['name'])}",
        f"version = {json.dumps(project.get('version', '0'))}",
    ]
    for key in ("requires-python", "dependencies"):
        lines += [f"{key} = {json.dumps(project[key])}"] if key in project else []
    lines.append("[project.optional-dependencies]")
    lines += [f"{json.dumps(k)} = {json.dumps(v)}" for k, v in project.get("optional-dependencies", {}).items()]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _sources(table: Mapping[str, Any]) -> bool:
    return bool(table.get("tool", {}).get("uv", {}).get("sources"))
