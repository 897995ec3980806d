"""A group is solved once for each interpreter; what cannot be solved is explained with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import written_group as group

from envsolver.core.environments import Interpreter
from envsolver.core.errors import BuildError, UnsolvableError
from envsolver.environments.uv import Uv
from envsolver.resolver.locks import solve_group
from envsolver.resolver.solve_options import SolveOptions

pytestmark = pytest.mark.integration


def test_the_real_uv_writes_hashes_no_addresses_and_no_paths(tmp_path: Path, python: Interpreter) -> None:
    lock = solve_group(group(tmp_path, "six\n"), python, uv=Uv(tmp_path), cache=None)
    names = {package.name for package in lock.packages}
    assert {"six", "ipykernel", "ipython", "traitlets"} <= names
    assert lock.text.count("--hash=sha256:") >= len(names)
    assert "://" not in lock.text
    assert str(tmp_path) not in lock.text


def test_the_real_uv_solves_for_the_oldest_versions_that_are_allowed(tmp_path: Path, python: Interpreter) -> None:
    asked = group(tmp_path, "six>=1.15\n")
    lock = solve_group(asked, python, uv=Uv(tmp_path), cache=None, terms=SolveOptions(resolution="lowest-direct"))
    versions = {package.name: package.version for package in lock.packages}
    assert versions["six"] == "1.15.0"
    assert int(versions["ipykernel"].split(".")[0]) >= 6


def test_what_was_solved_before_is_solved_without_a_network(
    tmp_path: Path, python: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = solve_group(group(tmp_path, "six\n"), python, uv=Uv(tmp_path), cache=cache)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    uv = Uv(tmp_path)
    assert solve_group(group(tmp_path, "six\n"), python, uv=uv, cache=cache) == first
    assert uv.calls == 0
    with pytest.raises(BuildError, match="the network is out of reach"):
        solve_group(group(tmp_path, "six<2\n"), python, uv=uv, cache=cache)


@pytest.mark.parametrize(
    ("text", "words", "lines"),
    [
        ("pip\nscipy>=1.14\nscipy<1.13\n", "unsatisfiable", ["requirements/a.in:2", "requirements/a.in:3"]),
        ("numpy==99\n", "there is no version of numpy==99", ["requirements/a.in:1"]),
    ],
)
def test_the_real_uv_explains_what_cannot_be_solved(
    tmp_path: Path, python: Interpreter, text: str, words: str, lines: list[str]
) -> None:
    with pytest.raises(UnsolvableError, match=words) as caught:
        solve_group(group(tmp_path, text), python, uv=Uv(tmp_path), cache=None)
    met = caught.value.message.split("These lines meet in it:")[1].split()
    assert [word.rstrip(":") for word in met if word.startswith("requirements/")] == lines
