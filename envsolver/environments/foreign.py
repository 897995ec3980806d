"""Environments that somebody else builds: used as they are, and never changed."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.environments import Interpreter, Lock, Package
from envsolver.core.errors import BuildError

_KERNEL = "ipykernel"
_LIBRARY = re.compile(r"python(\d+\.\d+)t?")


def python_of(prefix: Path) -> str | None:
    """Return the minor version of an environment's Python, such as ``3.12``; None where it has none."""
    named = (_LIBRARY.fullmatch(folder.name) for folder in sorted(prefix.glob("lib/python*")))
    return next((found[1] for found in named if found), None)


def foreign_lock(group: str, prefix: Path, interpreter: Interpreter) -> Lock:
    """Return what is installed in an environment, as the lock of a group that is this environment.

    Raises
    ------
    BuildError
        It has no kernel.
    """
    folders = [str(folder) for folder in prefix.glob("lib/python*/site-packages")]
    versions: dict[str, str] = {}
    for found in importlib.metadata.distributions(path=folders):
        if found.metadata["Name"]:
            versions.setdefault(str(canonicalize_name(found.metadata["Name"])), found.version)
    if _KERNEL not in versions:
        raise BuildError(
            f"group {group}: the environment {prefix} has no {_KERNEL}, which runs notebooks",
            tip=f"Add {_KERNEL} where it is built, such as with `pixi add {_KERNEL}`; envsolver changes nothing in it.",
        )
    others = sorted(file.name for file in prefix.glob("conda-meta/*.json"))
    lines = [f"# {prefix}", *(f"# {name}" for name in others), *(f"{n}=={v}" for n, v in sorted(versions.items()))]
    return Lock(
        group=group,
        interpreter=replace(interpreter, executable=str(prefix / "bin" / "python")),
        text="\n".join(lines) + "\n",
        packages=tuple(Package(name=name, version=version) for name, version in sorted(versions.items())),
        prefix=str(prefix),
    )
