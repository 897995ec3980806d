"""What the analysis of code cells finds, and what one cell leaves to the next."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportStatement:
    """One import as it stands in a cell."""

    module: str
    """Dotted name of the module."""
    line: int
    names: tuple[str, ...] = ()
    """What a ``from`` takes out of it; these may be modules too."""
    optional: bool = False
    level: int = 0
    """How many dots stand before the module; 0 for an absolute import."""
    deferred: bool = False
    """It stands in a function, which may never be called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command of the shell, or of pip and conda, that a cell runs."""

    text: str
    """The shell's text; may hold several commands and several lines. ``{x}`` and ``$x`` stand for values."""
    line: int
    cwd: str
    """The folder in which it runs, absolute."""
    guarded: bool = False
    """Whether a condition of the cell decides if it runs."""


@dataclass(kw_only=True, slots=True)
class NotebookState:
    """What earlier cells left behind that later ones build on."""

    cwd: str
    """The notebook's working directory, absolute; ``%cd`` and ``os.chdir`` move it."""
    names: dict[str, str] = field(default_factory=dict)
    """Variables that hold paths."""
    flags: dict[str, bool] = field(default_factory=dict)
    """Variables that were last set to plain True or False."""
    search_path: list[str] = field(default_factory=list)
    """Directories that the notebook makes importable, absolute."""
    search_tails: list[str] = field(default_factory=list)
    """What such directories end in, of which the beginning cannot be known."""

    def absolute(self, path: str) -> str:
        """Return a path as the notebook's code would find it."""
        return os.path.normpath(os.path.join(self.cwd, os.path.expanduser(path)))  # noqa: PTH111,PTH118 - texts

    def move(self, path: str) -> None:
        """Change the working directory, from which modules are importable too."""
        self.cwd = self.absolute(path)
        self.search_path.append(self.cwd)


@dataclass(kw_only=True, slots=True)
class CellFindings:
    """What a cell's source says."""

    mentions: list[ImportStatement] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    """Files that it writes with ``%%writefile``, as named there."""
    ran: list[str] = field(default_factory=list)
    """Scripts and notebooks that it runs with ``%run``, absolute; the ending may be missing."""
