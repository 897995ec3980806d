"""Notebooks that no configuration places say what they ask for, and get the fewest environments that serve them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fakes import notebook, required

from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv
from envsolver.resolver.demands import demand_of
from envsolver.resolver.derive import derive
from envsolver.resolver.locks import solve_group
from envsolver.resolver.oracle import UvOracle

pytestmark = pytest.mark.integration


def test_real_notebooks_are_placed_by_uv_and_solved_without_another_question(tmp_path: Path) -> None:
    uv = Uv(tmp_path)
    python = find_interpreter(uv, sys.executable)
    oracle = UvOracle(uv, python, cache=tmp_path / "cache")
    given = [
        notebook("a.ipynb", imports=["six"]),
        notebook("b.ipynb", installs=required("urllib3>=2", path="b.ipynb")),
        notebook("c.ipynb", installs=required("requests==2.28.0", path="c.ipynb")),
        notebook("d.ipynb", installs=required("numpy==99", path="d.ipynb")),
    ]
    demands = [demand_of(one, distributions=lambda module: (module,)) for one in given]
    derived = derive(demands, interpreter=python, oracle=oracle, root=tmp_path)
    assert sorted(group.name for group in derived.groups) == ["requests", "urllib3"]
    assert derived.assignments[3].reason.startswith("numpy==99 (d.ipynb, cell 1, line 1) does not exist: change")
    (conflict,) = derived.conflicts
    assert conflict.sentence == (
        "requests==2.28.0 (c.ipynb, cell 1, line 1) needs urllib3>=1.21.1,<1.27; "
        "b.ipynb, cell 1, line 1 asks for urllib3>=2"
    )
    calls = uv.calls
    for group in derived.groups:
        assert solve_group(group, python, uv=uv, cache=tmp_path / "cache").packages
    again = derive(demands, interpreter=python, oracle=UvOracle(uv, python, cache=tmp_path / "cache"), root=tmp_path)
    assert again.groups == derived.groups
    assert uv.calls == calls
