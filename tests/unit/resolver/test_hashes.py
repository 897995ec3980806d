"""Promise: a hash that a requirement gives is never dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import required, some_python, written_group

from envsolver.core.errors import UnsolvableError
from envsolver.core.notebooks import Origin
from envsolver.core.parsing import given_hashes
from envsolver.notebooks.cell_analysis import analyse_cell
from envsolver.notebooks.findings import NotebookState
from envsolver.notebooks.installs import InstallReader
from envsolver.resolver.demands import NotebookRequirements, merged
from envsolver.resolver.hashes import with_given_hashes
from envsolver.resolver.locks import lock_of

LOCK = "idna==3.4 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nsix==1.0 \\\n    --hash=sha256:cc\n"


@pytest.mark.parametrize(
    ("hashes", "kept"),
    [
        (["sha256:bb"], ["sha256:bb"]),
        (["sha256:bb", "sha256:dd"], ["sha256:bb"]),
        (["sha512:ee"], ["sha512:ee"]),
        ([], ["sha256:aa", "sha256:bb"]),
    ],
)
def test_a_lock_keeps_the_hashes_that_are_given(tmp_path: Path, hashes: list[str], kept: list[str]) -> None:
    given = "".join(f" --hash={each}" for each in hashes)
    group = written_group(tmp_path, f"Idna==3.4{given}\nsix\n")
    lines = lock_of(group, some_python("3.11"), LOCK, tmp_path).text.replace("\\\n", " ").splitlines()
    assert given_hashes(lines[0]) == tuple(kept)
    assert next(line for line in lines if line.startswith("six")).split() == ["six==1.0", "--hash=sha256:cc"]


def test_what_was_solved_and_has_another_hash_is_a_fault_with_its_place() -> None:
    (asked,) = required("idna==3.4")
    with pytest.raises(UnsolvableError) as caught:
        with_given_hashes(LOCK, [replace(asked, hashes=("sha256:dd",))])
    assert caught.value.message == "idna==3.4 has none of the hashes that a.ipynb, cell 1, line 1 gives"


def test_hashes_of_a_notebooks_requirements_reach_the_solve(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(
        "idna==3.4 \\\n    --hash=sha256:aa \\\n    --hash sha256:bb\nsix\n", encoding="utf-8"
    )
    reader = InstallReader(tmp_path)
    for command in analyse_cell("%pip install -r r.txt", NotebookState(cwd=str(tmp_path))).commands:
        reader.read(command, Origin(path="a.ipynb", cell=1, line=1))
    plain = NotebookRequirements(notebook="0.ipynb", requirements=required("idna==3.4"))
    hashed = NotebookRequirements(notebook="a.ipynb", requirements=tuple(reader.result.installs))
    assert {r.text: r.hashes for r in merged([hashed, plain])} == {"idna==3.4": ("sha256:aa", "sha256:bb"), "six": ()}
