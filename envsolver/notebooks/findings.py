"""What the analysis of code cells finds, and what one cell leaves to the next."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportStatement:
    """One import as it stands in a cell.

    Attributes
    ----------
    module
        Dotted name of the module.
    names
        What a ``from`` takes out of it; these may be modules too.
    level
        How many dots stand before the module; 0 for an absolute import.
    """

    module: str
    line: int
    names: tuple[str, ...] = ()
    optional: bool = False
    level: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command of the shell, or of pip and conda, that a cell runs.

    Attributes
    ----------
    text
        The shell's text; may hold several commands and several lines. ``{x}`` and ``$x`` stand for values.
    guarded
        Whether a condition of the cell decides if it runs.
    """

    text: str
    line: int
    guarded: bool = False


@dataclass(kw_only=True, slots=True)
class NotebookState:
    """What earlier cells left behind that later ones build on.

    Attributes
    ----------
    cwd
        The notebook's working directory, absolute; ``%cd`` and ``os.chdir`` move it.
    names
        Variables that hold paths.
    flags
        Variables that were last set to plain True or False.
    search_path
        Directories that the notebook makes importable, absolute.
    search_tails
        What such directories end in, of which the beginning cannot be known.
    """

    cwd: str
    names: dict[str, str] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    search_path: list[str] = field(default_factory=list)
    search_tails: list[str] = field(default_factory=list)

    def absolute(self, path: str) -> str:
        """Return a path as the notebook's code would find it."""
        return os.path.normpath(os.path.join(self.cwd, os.path.expanduser(path)))  # noqa: PTH111,PTH118 - texts

    def move(self, path: str) -> None:
        """Change the working directory, from which modules are importable too."""
        self.cwd = self.absolute(path)
        self.search_path.append(self.cwd)


@dataclass(kw_only=True, slots=True)
class CellFindings:
    """What a cell's source says.

    Attributes
    ----------
    written
        Files that it writes with ``%%writefile``, as named there.
    ran
        Scripts and notebooks that it runs with ``%run``, absolute; the ending may be missing.
    """

    mentions: list[ImportStatement] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
