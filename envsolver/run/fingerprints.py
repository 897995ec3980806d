"""What a notebook's outcome depends on beside its environment, as one digest: its code, and the code that it finds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from envsolver.core.environments import Group
from envsolver.resolver.demands import own_project
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
        a.notebook: hashlib.sha256(
            f"{resolution.notebooks[a.notebook].code_digest}{sources.get(a.group or '', '')}".encode()
        ).hexdigest()
        for a in resolution.assignments
    }


def _editable_sources(group: Group, root: Path) -> str:
    named = {local_path(r.text) for r in group.requirements if r.text.startswith("-e")}
    return "".join(source_digest((root / name).resolve()) for name in sorted(filter(None, named)))


@cache
def source_digest(project: Path) -> str:
    """Return the SHA-256 of what a project's own modules consist of, by name and content."""
    digest = hashlib.sha256()
    for path in _modules(project):
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:  # vanished meanwhile
            continue
        digest.update(f"{path.relative_to(project)}:{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _modules(project: Path) -> Iterator[Path]:
    own = own_project(project)
    for name in sorted(own.modules) if own is not None else ():
        for place in (project / "src", project):
            yield from (path for path in (place / f"{name}{ending}" for ending in _IMPORTABLE) if path.is_file())
            for folder, folders, files in os.walk(place / name):
                folders.sort()
                yield from (Path(folder, file) for file in sorted(files) if file.endswith(_IMPORTABLE))
