"""A conflict is explained in one sentence that names both lines that meet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from fakes import FakeOracle, group
from fakes import line_of as asked

from envsolver.core.environments import Assignment, Interpreter, Lock, Package
from envsolver.core.notebooks import Origin, Requirement
from envsolver.resolver.conflicts import compare, explain, items_of, plain_conflicts
from envsolver.resolver.explanations import Link, read_links, sentence
from envsolver.resolver.locks import make_lock
from envsolver.resolver.oracle import Finding
from envsolver.resolver.specifiers import applies, contradiction, python_allowed
from envsolver.run.project import open_project
from envsolver.run.resolution import Resolution
from envsolver.run.workflow import configured_conflicts

SIX = Finding(solved=True, packages=(Package(name="six", version="1"),))


def answering(findings: Mapping[frozenset[str], Finding]) -> FakeOracle:
    """Return an oracle that knows some findings; all else is solvable."""
    return FakeOracle(lambda items: findings.get(items, SIX))


PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")


@pytest.mark.parametrize(
    ("bounds", "empty"),
    [
        ("<2,>=2", True),
        (">=1,<2", False),
        ("==1.*,>=1.5", False),
        ("==1.*,>=2", True),
        ("~=1.4.2,>=1.5", True),
        (">1,<1.0.1", False),
        ("!=1.0,>=1.0,<=1.0", True),
        ("==1.0,==1.0+cpu", False),
        ("===odd,===other", True),
        ("===odd", False),
        ("===odd,>=1", True),
        ("===1.0,==1.0", False),
        (">1!0,<3", True),
        (">=3,<3.0", True),
        ("<0.0.1", False),
        ("==2.0a1", False),
        (">=2.0rc1,<2.0.0.1", False),
        (">=2.0a1,<2.0", True),
        (">1.0a1,<1.0a2", False),  # 1.0a2.dev1
        (">1.0,<1.0.post1", True),
    ],
)
def test_bounds_that_no_version_satisfies_are_a_contradiction(bounds: str, empty: bool) -> None:
    assert contradiction([f"numpy{bounds}"], PYTHON) == ((f"numpy{bounds}",) if empty else ())


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
    pair = compare((group("b", "six"), locks["b"]), (group("a", "six"), locks["a"]), answering({}), Path(), sizes)
    assert (pair.groups, pair.shareable, pair.packages_saved, pair.bytes_saved) == (("a", "b"), True, 3, 10)


def test_bytes_are_unknown_until_both_environments_are_built() -> None:
    lock = make_lock("a", PYTHON, "six==1\n")
    pair = compare((group("a"), lock), (group("b"), lock), answering({}), Path(), lambda _: {})
    assert pair.bytes_saved is None


def test_what_is_known_to_solve_is_not_asked_again() -> None:
    union = frozenset({"a", "b", "c", "d"})
    findings = {
        union: Finding(solved=False, explanation="Because a depends on c<1", suspects=frozenset({"a", "c"})),
        frozenset({"a", "c"}): Finding(solved=False, explanation="Because a depends on c<1"),
    }
    oracle = answering(findings)
    groups = [group("x", "a", "b"), group("y", "c", "d")]
    conflict = explain(groups, oracle, findings[union], Path())
    assert [r.text for r in conflict.requirements] == ["a", "c"]
    assert oracle.asked == [frozenset({"a", "c"})]


def test_what_every_environment_holds_may_be_what_meets() -> None:
    finding = Finding(solved=False, explanation="Because ipykernel>=7 depends on jupyter-client>=8 and you require")
    conflict = explain([group("x", "jupyter-client<7")], answering({}), finding, Path())
    assert conflict.sentence == (
        "ipykernel (every environment) needs jupyter-client>=8; requirements/x.in:1 asks for jupyter-client<7"
    )


def test_constraints_take_part_without_being_asked_for() -> None:
    assert set(items_of(group("x", "a", constraints=("b<2",)))) == {"a", "-c b<2"}


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
    assert configured_conflicts(open_project(tmp_path), resolution, chosen) == (
        "core and paper: requirements/core.in:1 asks for numpy>=2; requirements/paper.in:2 asks for numpy<2",
    )
