"""What is known of a notebook once it has been read."""

from __future__ import annotations

from dataclasses import dataclass

UNDECLARED = {"pkg_resources": "setuptools<82"}
"""Modules that each environment used to have, so that packages which import them mostly declare nothing, each with what
still provides it."""

NOT_INSTALLED = frozenset({"benchmarks", "docs", "examples", "test", "tests"})
"""Packages at a project's root that its distribution does not install, and whose names mean something else in a
registry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a requirement or an import was written."""

    path: str
    """File, relative to the project's root, with forward slashes."""
    cell: int | None = None
    """Number of the notebook's cell, counted from 1 over all cells; None outside notebooks."""
    line: int | None = None
    """Line in the file or in the cell, counted from 1; None where there is no line."""

    def __str__(self) -> str:
        """Return the place as people write it, such as ``a.in:3`` or ``a.ipynb, cell 2, line 1``."""
        if self.cell is None:
            return self.path if self.line is None else f"{self.path}:{self.line}"
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.path}, cell {self.cell}{line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One requirement as it was written (PEP 508 text), and where."""

    text: str
    origin: Origin
    hashes: tuple[str, ...] = ()
    """One of which its file must have, such as ``sha256:0f3a…``; empty for any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One module that a notebook imports."""

    module: str
    """Dotted name as written, such as ``scipy.stats``."""
    origin: Origin
    optional: bool = False
    """True when the notebook copes without it: the import stands in a ``try`` that catches the ImportError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A PEP 723 ``# /// script`` block found in a notebook."""

    dependencies: tuple[Requirement, ...] = ()
    requires_python: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notebook:
    """One `.ipynb` file under test, read once."""

    path: str
    """Relative to the project's root, with forward slashes."""
    fault: str | None = None
    """Why the file is not a usable notebook, or None. A notebook with a fault has no other content."""
    language: str = "python"
    """Language of the notebook's metadata, lower case; ``python`` when it says nothing."""
    code_cells: int = 0
    imports: tuple[Import, ...] = ()
    """What its code cells import, first mention of each, standard library and local modules left out."""
    installs: tuple[Requirement, ...] = ()
    """What its ``%pip install`` and ``!pip install`` lines ask for: requirements; bounds, which begin with ``-c ``; and
    options about where packages come from, which begin with two dashes."""
    refused: tuple[str, ...] = ()
    """Parts of install lines that cannot be honoured, each as a sentence with its place."""
    script: Script | None = None
    """Its PEP 723 block, if any; `script_fault` says why a block could not be read."""
    script_fault: str | None = None
    group: str | None = None
    """Its metadata ``envsolver.group``."""
    cell_timeout: float | None = None
    allow_errors: bool = False
    """Its metadata ``execution.timeout``, which is seconds for one cell, and ``execution.allow_errors``."""
    code_digest: str = ""
    """SHA-256 of its code cells' sources and tags, and of the local modules that these name, to tell whether it
    changed."""
    cells_digest: str = ""
    """SHA-256 of its code cells' sources and tags alone."""
    guarded_installs: tuple[Requirement, ...] = ()
    """Requirements of install lines that bind nothing: behind a condition such as "only on Colab", in an
    `except ImportError`, or conda's. They show which distribution the notebook means by an import."""
    own_imports: tuple[Import, ...] = ()
    """What the files of the project's own package import that the notebook's imports of it read."""
    recorded_seconds: float | None = None
    """What its cells took when it was last saved, on whatever machine that was; None when it does not say."""
