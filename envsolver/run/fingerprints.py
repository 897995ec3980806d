"""What a notebook's outcome depends on beside its environment, as one digest: its code, and the code that it finds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from envsolver.core.digests import digest, file_digest
from envsolver.core.environments import Group
from envsolver.resolver.own_project import own_project
from envsolver.resolver.requirement_text import local_path
from envsolver.run.resolution import Resolution

_IMPORTABLE = (".py", ".so", ".pyd")


def input_digests(resolution: Resolution, root: Path) -> dict[str, str]:
    """Return a SHA-256 for each notebook, by path.

    It changes with the notebook's code cells, with the local modules that it imports, and with the sources of projects
    that its group installs editable, such as the repository's own package.

    Parameters
    ----------
    root
        The project's root.
    """
    sources = {name: _editable_sources(group, root) for name, group in resolution.groups.items()}
    return {
        a.notebook: digest([resolution.notebooks[a.notebook].code_digest, *sources.get(a.group or "", ())])
        for a in resolution.assignments
    }


def _editable_sources(group: Group, root: Path) -> list[str]:
    named = {local_path(r.text) for r in group.requirements if r.text.startswith("-e")}
    return [source_digest((root / name).resolve()) for name in sorted(filter(None, named))]


@cache
def source_digest(project: Path) -> str:
    """Return the SHA-256 of what a project's own modules consist of, by name and content."""
    parts: list[str] = []
    for path in _modules(project):
        with contextlib.suppress(OSError):  # vanished meanwhile
            parts += [str(path.relative_to(project)), file_digest(path)]
    return digest(parts)


def _modules(project: Path) -> Iterator[Path]:
    own = own_project(project)
    for name in sorted(own.modules) if own is not None else ():
        for place in (project / "src", project):
            yield from (path for path in (place / f"{name}{ending}" for ending in _IMPORTABLE) if path.is_file())
            for folder, folders, files in os.walk(place / name):
                folders.sort()
                yield from (Path(folder, file) for file in sorted(files) if file.endswith(_IMPORTABLE))
