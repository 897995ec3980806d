"""What one cell asks for."""

from __future__ import annotations

from pathlib import Path

from envsolver.core.notebooks import Origin
from envsolver.notebooks.cell_analysis import analyse_cell
from envsolver.notebooks.findings import CellFindings, NotebookState
from envsolver.notebooks.installs import InstallReader, InstallRequests


def analyse(*cells: str, cwd: str = "/p/nb") -> CellFindings:
    """Analyse cells one after the other, and return the last one's findings."""
    surroundings = NotebookState(cwd=cwd)
    return [analyse_cell(cell, surroundings) for cell in cells][-1]


def modules(*cells: str) -> list[str]:
    """Return the modules that the last cell imports; a question mark marks optional ones."""
    return [mention.module + "?" * mention.optional for mention in analyse(*cells).mentions]


def installed(source: str, root: Path = Path("/nowhere")) -> InstallRequests:
    """Return what one cell installs."""
    reader = InstallReader(root)
    for command in analyse(source, cwd=str(root)).commands:
        reader.read(command, Origin(path="a.ipynb", cell=1, line=command.line))
    return reader.result


def names(source: str) -> list[str]:
    """Return the requirements that one cell's install lines bind."""
    return [requirement.text for requirement in installed(source).installs]
