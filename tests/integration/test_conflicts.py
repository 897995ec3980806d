"""A conflict is explained in one sentence that names both lines that meet."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fakes import group

from envsolver.core.notebooks import Origin
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv
from envsolver.resolver.conflicts import explain, items_of
from envsolver.resolver.oracle import UvOracle

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def real() -> UvOracle:
    """Return an oracle that asks the real uv for the interpreter of these tests."""
    uv = Uv(Path(__file__).parent)
    return UvOracle(uv, find_interpreter(uv, sys.executable), cache=None)


REAL = {
    ("botorch==0.10.0", "gpytorch==1.13"): "botorch==0.10.0 (requirements/a.in:2) needs gpytorch==1.11",
    ("numpy<2", "numpy>=2"): "requirements/a.in:2 asks for numpy<2; requirements/b.in:1 asks for numpy>=2",
    ("tensorflow==2.15.0", "numpy>=2"): "tensorflow==2.15.0 (requirements/a.in:2) needs numpy>=1.23.5,<2.0.0",
    ("numba==0.58.1", "numpy>=1.27"): "numba==0.58.1 (requirements/a.in:2) needs numpy>=1.22,<1.27",
    ("scipy==1.9.0", "numpy>=1.26,<2"): "scipy==1.9.0 (requirements/a.in:2) needs numpy>=1.18.5,<1.25.0",
    ("pandas==2.3.3", "numpy==1.21.6"): "pandas==2.3.3 (requirements/a.in:2) needs numpy",
    ("numpy<2", "matplotlib==3.10.0; python_version >= '3.10'", "contourpy<1"): "needs contourpy>=1.0.1",
    ("urllib3>=2", "requests==2.28.0"): "requests==2.28.0 (requirements/b.in:1) needs urllib3>=1.21.1,<1.27",
    ("click<8", "flask==3.0.0"): "flask==3.0.0 (requirements/b.in:1) needs click>=8.1.3",
    ("jinja2<3", "nbconvert==7.16.0"): "nbconvert==7.16.0 (requirements/b.in:1) needs jinja2>=3.0",
    ("sqlalchemy<2", "ipython-sql==0.5.0"): "ipython-sql==0.5.0 (requirements/b.in:1) needs sqlalchemy>=2.0",
    ("protobuf<4", "grpcio-status==1.62.0"): "grpcio-status==1.62.0 (requirements/b.in:1) needs protobuf>=4.21.6",
    ("pydantic<2", "fastapi==0.130.0"): "fastapi==0.130.0 (requirements/b.in:1) needs pydantic>=2.7.0",
    ("attrs<21", "jsonschema==4.23.0"): "jsonschema==4.23.0 (requirements/b.in:1) needs attrs>=22.2.0",
    ("jupyter-client<7", "ipykernel==7.0.0"): "ipykernel==7.0.0 (requirements/b.in:1) needs jupyter-client>=8.0.0",
}


@pytest.mark.parametrize("texts", REAL, ids=" against ".join)
def test_a_real_conflict_names_both_lines_that_meet(real: UvOracle, texts: tuple[str, ...]) -> None:
    groups = [group("a", "six", *texts[:-1]), group("b", texts[-1], "packaging")]
    items = frozenset(item for given in groups for item in items_of(given))
    finding = real.solve(items)
    assert not finding.solved
    conflict = explain(groups, real, finding, Path(__file__).parent)
    assert REAL[texts] in conflict.sentence
    first, second = conflict.requirements
    assert first.origin.path == "requirements/a.in"
    assert second.origin == Origin(path="requirements/b.in", line=1)
    assert str(first.origin) in conflict.sentence
    assert str(second.origin) in conflict.sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("numpy==99", "numpy==99 (requirements/a.in:2) does not exist"),
        ("numpy==1.16.0; python_version < '3'", ""),
        ("torch==1.4.0", "torch==1.4.0 (requirements/a.in:2) has no wheels with a matching"),
    ],
)
def test_a_group_without_a_solution_names_its_line(real: UvOracle, text: str, said: str) -> None:
    given = group("a", "six", text)
    finding = real.solve(frozenset(items_of(given)))
    assert finding.solved is (said == "")
    if said:
        assert explain([given], real, finding, Path(__file__).parent).sentence.startswith(said)


def test_an_answer_of_uv_is_remembered_for_the_next_run(tmp_path: Path) -> None:
    items = [frozenset({"six"}), frozenset({"six", "numpy==99"})]
    calls = []
    for _ in range(2):
        uv = Uv(tmp_path)
        oracle = UvOracle(uv, find_interpreter(uv, sys.executable), cache=tmp_path / "cache")
        before = uv.calls
        assert [oracle.solve(some).solved for some in items] == [True, False]
        calls.append(uv.calls - before)
    assert calls == [2, 0]
