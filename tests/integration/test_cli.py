"""Promises of the command line: quick help, clear errors, the exit code of each kind."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from fakes import envsolver
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.integration


def test_without_configuration_a_notebook_has_what_every_jupyter_brings(tmp_path: Path) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell("%run other.ipynb")]), tmp_path / "a.ipynb")
    done = envsolver(tmp_path, "init")
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "requirements" / "notebooks.in").read_text()
    assert {line.split()[0] for line in written.splitlines()[1:]} == {"ipywidgets", "nbformat"}
