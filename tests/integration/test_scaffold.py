"""What `envsolver init` writes loads without a fault, and places every notebook where it was."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from fakes import envsolver
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.integration


BLOCK = '# /// script\n# dependencies = ["six==1.16.0"]\n# ///\nimport six'


NOTEBOOKS = {
    "docs/plain.ipynb": "import six, mine",
    "docs/[1] a 'b'.ipynb": "%pip install six==1.15.0\nimport six",
    "docs/1 a 'b'.ipynb": "import idna",
    "docs/block.ipynb": BLOCK,
    "docs/broken block.ipynb": BLOCK.replace("]", ""),
    "lost.ipynb": "import surely_no_such_package_anywhere",
    "address.ipynb": "%pip install git+https://localhost/x.git",
    "empty.ipynb": "",
}


def placement(root: Path) -> dict[str, str]:
    return {
        row["notebook"]: row["group"] or row["verdict"] for row in json.loads(envsolver(root, "list", "--json").stdout)
    }


@pytest.mark.parametrize("packaged", [True, False])
def test_what_init_writes_places_every_notebook_where_it_was(tmp_path: Path, *, packaged: bool) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "mine.py").touch()
    if packaged:
        (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\ndynamic = ["version"]\n', encoding="utf-8")
    for path, source in NOTEBOOKS.items():
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), tmp_path / path)
    before = placement(tmp_path)
    assert sorted(path for path, home in before.items() if home == "environment") == [
        "address.ipynb",
        "docs/broken block.ipynb",
    ]
    # A module that nobody knows is left to the run, which says what is missing.
    assert before["lost.ipynb"] != "environment"
    assert len(set(before.values())) == 3
    told = envsolver(tmp_path, "init").stdout
    assert "\nnot placed: address.ipynb: " in told
    assert "not placed: lost.ipynb" not in told
    assert "surely-no-such-package-anywhere" not in told
    assert placement(tmp_path) == before
    file = tmp_path / ("pyproject.toml" if packaged else "envsolver.toml")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("# [", "[").replace("# skip", "skip"), encoding="utf-8")
    homes = {path: "skipped" if home == "environment" else home for path, home in before.items()}
    assert placement(tmp_path) == homes
