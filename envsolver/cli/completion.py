"""What a shell offers for arguments: notebooks, groups, Pythons, profiles and runs of the project.

Click writes the shells' scripts; these functions say what there is. Where a project cannot be read, nothing is offered.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import click

from envsolver.core.errors import EnvsolverError
from envsolver.core.paths import LATEST, RUNS, STATE

Completion: TypeAlias = Callable[[click.Context, click.Parameter, str], list[str]]


def _offering(find: Callable[[Path], Iterable[str]]) -> Completion:
    """Return a completion of click's, of what is found in the directory that the command works on."""

    @functools.wraps(find)
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            found = list(find(context.find_root().params.get("directory") or Path()))
        except (EnvsolverError, OSError):
            return []
        return [word for word in found if word.startswith(incomplete)]

    return complete


@_offering
def notebooks(directory: Path) -> Iterable[str]:
    """List the notebooks, as paths from the directory."""
    from envsolver.config.load import find_root, load_config
    from envsolver.notebooks.select import find_notebooks

    root = find_root(directory)
    return (os.path.relpath(root / path, directory.resolve()) for path in find_notebooks(load_config(root)))


@_offering
def groups(directory: Path) -> Iterable[str]:
    """List the groups that are configured, or have a file."""
    from envsolver.config.load import find_root, load_config

    return sorted(load_config(find_root(directory)).groups)


@_offering
def pythons(directory: Path) -> Iterable[str]:
    """List the configured versions of Python."""
    from envsolver.config.load import find_root, load_config

    return (*load_config(find_root(directory)).python, "all")


@_offering
def profiles(directory: Path) -> Iterable[str]:
    """List where notebooks can run."""
    from envsolver.config.load import find_root
    from envsolver.config.profiles import read_profiles

    return ("local", *sorted(read_profiles(find_root(directory))))


@_offering
def runs(directory: Path) -> Iterable[str]:
    """List the names of the runs that have a folder, the newest first."""
    from envsolver.config.load import find_root

    return sorted(
        (each.name for each in (find_root(directory) / STATE / RUNS).iterdir() if each.name != LATEST), reverse=True
    )
