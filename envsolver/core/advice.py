"""Settings of the configuration that cure a fault, with the place where each belongs, as parts of sentences."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path


def table_place(name: str, root: Path) -> str:
    """Return a table of the configuration, and the file where it belongs."""
    if (root / "pyproject.toml").is_file() and not (root / "envsolver.toml").is_file():
        return f"[tool.envsolver.{name}] of pyproject.toml"
    return f"[{name}] of envsolver.toml"


def notebook_place(notebook: str, root: Path) -> str:
    """Return the table of one notebook's settings, and the file where it belongs."""
    return table_place(f"notebook.{json.dumps(notebook)}", root)


def skipping(notebook: str, root: Path) -> str:
    """Return how to leave a notebook out, as the end of a sentence."""
    return f'skip the notebook with `skip = "<reason>"` in {notebook_place(notebook, root)}'


def leaving_cell_out(notebook: str, root: Path) -> str:
    """Return how to leave one of a notebook's cells out, as the end of a sentence."""
    return f'leave its cell out with `skip-cells = ["<text of it>"]` in {notebook_place(notebook, root)}'


def trial_install(text: str, python: str) -> str:
    """Return a command that installs a requirement in no environment that anybody has, and says why it cannot."""
    editable = re.sub(r"^(?:-e|--editable)[\s=]+", "", text)
    option = "--with" if editable == text else "--with-editable"
    return f"uv run --no-project --python {shlex.quote(python)} {option} {shlex.quote(editable)} python -V"
