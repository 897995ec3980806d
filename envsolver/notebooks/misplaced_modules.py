"""Modules of the project that a notebook means but cannot find, because they lie in some other folder.

A registry mostly knows some package of such a name, which has nothing to do with it and must not be installed.
"""

from __future__ import annotations

import ast
import contextlib
import re
from functools import lru_cache
from pathlib import Path

from envsolver.core.folders import stray_modules
from envsolver.core.parsing import MalformedError, parse_python
from envsolver.notebooks.distributions import distributions_for

_DECLARING = re.compile(
    r"pyproject\.toml|setup\.(?:py|cfg)|Pipfile|.*(?:requirements|environment|constraints).*\.(?:txt|in|ya?ml)"
)


def is_stray(root: Path, module: str, names: tuple[str, ...]) -> bool:
    """Return whether an import means a module that lies elsewhere in the project, and no distribution.

    What is taken out of it must be defined there; where nothing is, the project must not declare a dependency of
    that name.

    Parameters
    ----------
    root
        The project's root, absolute.
    """
    top = module.partition(".")[0]
    places = stray_modules(root).get(top, ())
    if not places:
        return False
    if not names and "." not in module:
        return not any(_declared(root, name) for name in {top, *distributions_for(module, {})})
    return any(_has(place, module, names) for place in places)


def _has(place: Path, module: str, names: tuple[str, ...]) -> bool:
    """Return whether a module's file or package has all that is asked of it."""
    for part in module.split(".")[1:]:
        place = place / part if (place / part).is_dir() else place / f"{part}.py"
    if place.is_dir():
        inside = {name for name in names if (place / name).is_dir() or (place / f"{name}.py").is_file()}
        return set(names) - {"*"} <= inside | _defined(place / "__init__.py")
    return place.is_file() and set(names) - {"*"} <= _defined(place)


def _defined(path: Path) -> set[str]:
    """Return the names that a file binds at its top level."""
    try:
        tree = parse_python(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, MalformedError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name.partition(".")[0])
    return found


def _declared(root: Path, name: str) -> bool:
    """Return whether a file that lists dependencies holds a name."""
    spelt = "[-_.]".join(map(re.escape, re.split(r"[-_.]", name)))
    word = re.compile(rf"(?<![\w.-]){spelt}(?![\w-])", re.IGNORECASE)
    return any(word.search(text) for text in _declarations(root, root.stat().st_mtime_ns))


@lru_cache(maxsize=8)
def _declarations(root: Path, _modified: int) -> tuple[str, ...]:
    folders = [
        root,
        *(root / name for name in ("requirements", "docs", "doc", "examples", "notebooks", "binder", "ci")),
    ]
    files = (file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()))
    named = [file for file in files if _DECLARING.fullmatch(file.name) and file.is_file()]
    found = []
    for file in named:
        with contextlib.suppress(OSError):  # one that cannot be read lists nothing
            found.append(file.read_text(encoding="utf-8", errors="replace"))
    return tuple(found)
