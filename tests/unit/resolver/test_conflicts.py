"""A conflict is explained in one sentence that names both lines that meet."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from envsolver.core.environments import Assignment, Group, Interpreter, Lock, Package
from envsolver.core.notebooks import Origin, Requirement
from envsolver.environments.uv import Uv
from envsolver.resolver.conflicts import compare, explain, items_of, plain_conflicts
from envsolver.resolver.explanations import Link, read_links, sentence
from envsolver.resolver.groups import derive_group
from envsolver.resolver.locks import make_lock
from envsolver.resolver.oracle import Finding, UvOracle
from envsolver.resolver.specifiers import applies, contradiction, is_empty, python_allowed
from envsolver.run.project import open_project
from envsolver.run.resolution import Resolution
from envsolver.run.workflow import _configured_conflicts

PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")


def asked(text: str, line: int = 1, file: str = "a") -> Requirement:
    return Requirement(text=text, origin=Origin(path=f"requirements/{file}.in", line=line))


def group(name: str, *texts: str, constraints: tuple[str, ...] = ()) -> Group:
    lines = [asked(text, number, name) for number, text in enumerate(texts, start=1)]
    bounds = [asked(text, number, f"{name}-limits") for number, text in enumerate(constraints, start=1)]
    return derive_group(name, lines, root=Path(), constraints=bounds)


class FakeOracle:
    """Gives the finding that is written down for a set of items; all else is solvable."""

    def __init__(self, findings: Mapping[frozenset[str], Finding]) -> None:
        self.findings = findings
        self.asked: list[frozenset[str]] = []

    def solve(self, items: frozenset[str]) -> Finding:
        self.asked.append(items)
        return self.findings.get(items, Finding(solved=True, packages=(Package(name="six", version="1"),)))


@pytest.mark.parametrize(
    ("bounds", "empty"),
    [
        ("<2,>=2", True),
        (">=1,<2", False),
        ("==1.*,>=1.5", False),
        ("==1.*,>=2", True),
        ("~=1.4.2,>=1.5", True),
        (">1,<1.0.1", False),
        ("==1.13,==1.11", True),
        ("!=1.0,>=1.0,<=1.0", True),
        (">=2,<2.0.1,!=2.0", False),
        ("===odd,===other", True),
        ("===odd", False),
        (">1!0,<3", True),
        (">=3,<3.0", True),
        ("<2,>1.99", False),
        ("", False),
        ("<0.0.1", False),
        (">=2.0rc1,<2.0.0.1", False),
    ],
)
def test_bounds_that_no_version_satisfies_are_told_from_others(bounds: str, empty: bool) -> None:
    assert is_empty(SpecifierSet(bounds)) is empty


@pytest.mark.parametrize(
    ("texts", "least"),
    [
        (["numpy<2", "numpy>=2", "scipy"], ("numpy<2", "numpy>=2")),
        (["NumPy<2", "num_py>=2"], ()),
        (["scikit_learn<1", "Scikit-Learn[x]>=1"], ("Scikit-Learn[x]>=1", "scikit_learn<1")),
        (["numpy>=1", "numpy<3", "numpy!=2.0"], ()),
        (["numpy>=2; python_version < '3.10'", "numpy<2"], ()),
        (["numpy>=2; python_version >= '3.10'", "numpy<2"], ("numpy<2", "numpy>=2; python_version >= '3.10'")),
        (["numpy>2,<1", "scipy"], ("numpy>2,<1",)),
        (["numpy>=1,<=1", "numpy!=1", "numpy<5"], ("numpy!=1", "numpy>=1,<=1")),
        (["./numpy", "-e .", "a @ https://host/a.whl"], ()),
    ],
)
def test_a_direct_contradiction_is_seen_in_the_texts_alone(texts: list[str], least: tuple[str, ...]) -> None:
    assert contradiction(texts, PYTHON) == least


def test_markers_are_those_of_the_interpreter_and_not_of_this_process() -> None:
    assert applies("a; python_full_version == '3.11.7' and implementation_name == 'cpython'", PYTHON)
    assert not applies("a; python_version >= '3.12'", PYTHON)
    assert python_allowed(None, PYTHON)
    assert not python_allowed(">=3.12", PYTHON)


EXPLANATIONS = {
    "chain": (
        "Because botorch==0.10.0 depends on gpytorch==1.11 and you require botorch==0.10.0, we can conclude that you\n"
        "require gpytorch==1.11.\nAnd because you require gpytorch==1.13, we can conclude that your requirements are"
    ),
    "marker": "Because pandas==2.3.3 depends on numpy{python_full_version < '3.12'}>=1.23.2 and you require it,",
    "drawn together": (
        "Because b>=0.1,<=0.2 depends on p>=2.7 and b>=0.3 depends on p>=2.9, we can conclude that b>=0.1 "
        "depends on p>=2.7."
    ),
    "many": "Because all of:\n    nb>=7.0.0,<=7.1.0\n    nb>=7.2.1\ndepend on jinja2>=3.0 and nb==7.2.0 was yanked",
}


@pytest.mark.parametrize(
    ("case", "links"),
    [
        ("chain", [("botorch", "gpytorch", "==1.11")]),
        ("marker", [("pandas", "numpy", ">=1.23.2")]),
        ("drawn together", [("b", "p", ">=2.7")]),
        ("many", [("nb", "jinja2", ">=3.0")]),
    ],
)
def test_the_dependencies_in_uvs_words_are_read(case: str, links: list[tuple[str, str, str]]) -> None:
    assert read_links(EXPLANATIONS[case]) == tuple(Link(package=p, needs=n, bounds=b) for p, n, b in links)


@pytest.mark.parametrize(
    ("requirements", "explanation", "said"),
    [
        (
            [asked("botorch==0.10.0", 3, "ml"), asked("gpytorch==1.13", 2, "gp")],
            EXPLANATIONS["chain"],
            "botorch==0.10.0 (requirements/ml.in:3) needs gpytorch==1.11; requirements/gp.in:2 asks for gpytorch==1.13",
        ),
        (
            [asked("numpy<2"), asked("numpy>=2", 2)],
            "",
            "requirements/a.in:1 asks for numpy<2; requirements/a.in:2 asks for numpy>=2",
        ),
        (
            [asked("a"), asked("c<1", 2)],
            "Because a>=1 depends on b>=2 and b>=2 depends on c>=3",
            "a (requirements/a.in:1) needs b>=2, which needs c>=3; requirements/a.in:2 asks for c<1",
        ),
        (
            [asked("a"), asked("b", 2)],
            "Because a depends on c<1 and b depends on c>=1",
            "a (requirements/a.in:1) needs c<1; b (requirements/a.in:2) needs c>=1",
        ),
        (
            [asked("scipy>=1.18")],
            "Because the current Python version (3.11.7) does not satisfy and scipy>=1.18 depends on Python>=3.12, so",
            "scipy>=1.18 (requirements/a.in:1) needs Python>=3.12, and this is Python 3.11.7",
        ),
        (
            [asked("numpy==99")],
            "Because there is no version of numpy==99 and you require numpy==99, we can",
            "numpy==99 (requirements/a.in:1) does not exist",
        ),
        (
            [asked("numpi")],
            "Because numpi was not found in the package registry and you require numpi, we can",
            "numpi (requirements/a.in:1) is in no registry",
        ),
        (
            [asked("torch==1.4.0")],
            "Because torch==1.4.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require torch",
            "torch==1.4.0 (requirements/a.in:1) has no wheels with a matching Python ABI tag",
        ),
        (
            [asked("a==1")],
            "Because there is no version of b==7 and a==1 depends on b==7, we can",
            "a==1 (requirements/a.in:1) needs b==7, which does not exist",
        ),
        (
            [asked("a"), asked("b", 2)],
            "Because of odd words",
            "a (requirements/a.in:1) and b (requirements/a.in:2) cannot be installed together: Because of odd words",
        ),
    ],
    ids=[
        "chain",
        "direct",
        "longer chain",
        "common need",
        "python",
        "version",
        "package",
        "builds",
        "need",
        "unforeseen",
    ],
)
def test_a_conflict_is_one_sentence_with_the_lines_that_meet(
    requirements: list[Requirement], explanation: str, said: str
) -> None:
    assert sentence(requirements, explanation, Path()) == said


def test_a_place_in_a_notebook_is_named_like_one_in_a_file() -> None:
    cell = Requirement(text="numpy<2", origin=Origin(path="a.ipynb", cell=2, line=1))
    assert sentence([cell, asked("numpy>=2")], "", Path()) == (
        "a.ipynb, cell 2, line 1 asks for numpy<2; requirements/a.in:1 asks for numpy>=2"
    )


def test_where_nothing_is_asked_for_the_kernel_is_what_cannot_be_installed() -> None:
    assert sentence([], "File not found: bounds.txt", Path()) == (
        "ipykernel cannot be installed: File not found: bounds.txt"
    )


def test_two_groups_that_can_share_say_what_that_saves() -> None:
    def sizes(lock: Lock) -> Mapping[str, int]:
        return {"six": 10, lock.group: 5}

    locks = {name: make_lock(name, PYTHON, f"six==1\n{name}==1\n") for name in "ab"}
    pair = compare((group("b", "six"), locks["b"]), (group("a", "six"), locks["a"]), FakeOracle({}), Path(), sizes)
    assert (pair.groups, pair.shareable, pair.packages_saved, pair.bytes_saved) == (("a", "b"), True, 3, 10)


def test_bytes_are_unknown_until_both_environments_are_built() -> None:
    lock = make_lock("a", PYTHON, "six==1\n")
    pair = compare((group("a"), lock), (group("b"), lock), FakeOracle({}), Path(), lambda _: {})
    assert pair.bytes_saved is None


def test_what_is_known_to_solve_is_not_asked_again() -> None:
    union = frozenset({"a", "b", "c", "d"})
    findings = {
        union: Finding(solved=False, explanation="Because a depends on c<1", suspects=frozenset({"a", "c"})),
        frozenset({"a", "c"}): Finding(solved=False, explanation="Because a depends on c<1"),
    }
    oracle = FakeOracle(findings)
    groups = [group("x", "a", "b"), group("y", "c", "d")]
    conflict = explain(groups, oracle, findings[union], Path())
    assert [r.text for r in conflict.requirements] == ["a", "c"]
    assert oracle.asked == [frozenset({"a", "c"})]


def test_what_every_environment_holds_may_be_what_meets() -> None:
    finding = Finding(solved=False, explanation="Because ipykernel>=7 depends on jupyter-client>=8 and you require")
    conflict = explain([group("x", "jupyter-client<7")], FakeOracle({}), finding, Path())
    assert conflict.sentence == (
        "ipykernel (every environment) needs jupyter-client>=8; requirements/x.in:1 asks for jupyter-client<7"
    )


def test_constraints_take_part_without_being_asked_for() -> None:
    assert set(items_of(group("x", "a", constraints=("b<2",)))) == {"a", "-c b<2"}


@pytest.fixture(scope="module")
def real() -> UvOracle:
    """Return an oracle that asks the real uv for the interpreter of these tests."""
    uv = Uv(Path(__file__).parent)
    return UvOracle(uv, uv.find_interpreter(sys.executable), cache=None)


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


@pytest.mark.integration
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


@pytest.mark.integration
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


@pytest.mark.integration
def test_an_answer_of_uv_is_remembered_for_the_next_run(tmp_path: Path) -> None:
    items = [frozenset({"six"}), frozenset({"six", "numpy==99"})]
    calls = []
    for _ in range(2):
        uv = Uv(tmp_path)
        oracle = UvOracle(uv, uv.find_interpreter(sys.executable), cache=tmp_path / "cache")
        before = uv.calls
        assert [oracle.solve(some).solved for some in items] == [True, False]
        calls.append(uv.calls - before)
    assert calls == [2, 0]


def test_groups_whose_texts_exclude_each_other_are_told_without_asking_anyone() -> None:
    groups = [
        group("paper", "scipy", "numpy<2"),
        group("core", "numpy>=2", "matplotlib"),
        group("ml", "torch", constraints=("numpy>=2.1",)),
        group("web", "flask"),
    ]
    assert plain_conflicts(groups, PYTHON, Path()) == (
        "core and paper: requirements/core.in:1 asks for numpy>=2; requirements/paper.in:2 asks for numpy<2",
        "ml and paper: requirements/ml-limits.in:1 asks for numpy>=2.1; requirements/paper.in:2 asks for numpy<2",
    )


def test_a_runs_report_tells_the_conflicts_of_the_written_groups_that_it_used(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.envsolver]\nnotebooks = ["*.ipynb"]\n')
    (tmp_path / "requirements").mkdir()
    for name, text in {"core": "numpy>=2\n", "paper": "scipy\nnumpy<2\n", "unused": "numpy==1.26.4\n"}.items():
        (tmp_path / "requirements" / f"{name}.in").write_text(text)
    resolution = Resolution(notebooks={}, groups={}, interpreters={"3.11": PYTHON}, locks={}, faults={}, assignments=())
    chosen = [Assignment(notebook=f"{name}.ipynb", group=name, why="") for name in ("core", "paper")]
    assert _configured_conflicts(open_project(tmp_path), resolution, chosen) == (
        "core and paper: requirements/core.in:1 asks for numpy>=2; requirements/paper.in:2 asks for numpy<2",
    )
