"""What the command line asks of coverage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageOptions:
    """What is asked of coverage."""

    source: tuple[str, ...] = ()
    """Packages, and directories relative to the project's root, to measure; empty for what its configuration says, else
    the project."""
    branch: bool | None = None
    """Whether branches are measured; None for what its configuration says."""
    config: str = ""
    """Its configuration file, relative to the project's root; empty for what it finds there."""
    append: bool = False
    """Whether what was measured before is kept."""
    combine: bool = True
    """Whether the data are combined into the project's data file; else they stay in the run's folder."""


def from_root(name: str, root: Path, cwd: Path) -> str:
    """Return a source as kernels understand it: a directory from the project's root, anything else as it is."""
    place = (cwd / name).resolve()
    return place.relative_to(root).as_posix() if place.is_dir() and place.is_relative_to(root) else name
