"""Notebooks that no configuration places say what they ask for, and get the fewest environments that serve them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import excluding, notebook, required

from envsolver.core.environments import Assignment, Interpreter, Lock
from envsolver.core.notebooks import Import, Notebook, Origin, Requirement, Script
from envsolver.core.settings import Config, GroupSettings
from envsolver.resolver.demands import demand_of
from envsolver.resolver.derive import ONLY, Derived, derive, name_parts, serves
from envsolver.resolver.groups import canonical, derive_group, read_group
from envsolver.resolver.locks import make_lock
from envsolver.resolver.own_project import OwnProject, own_project
from envsolver.resolver.scaffold import initial_configuration, initial_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")
TABLE = {"cv2": ("opencv-python", "opencv-python-headless"), "sklearn": ("scikit-learn",), "IPython": ("ipython",)}
OWN = OwnProject(name="mine", modules=frozenset({"mine", "mine_extra"}))


def distributions(module: str) -> tuple[str, ...]:
    top = module.split(".", maxsplit=1)[0]
    return TABLE.get(top, (top,))


def texts(given: Notebook, own: OwnProject | None = None) -> list[str]:
    return [r.text for r in demand_of(given, distributions=distributions, own=own).requirements]


def run(*notebooks: Notebook, conflicts: Iterable[Iterable[str]] = (), **more: Any) -> Derived:
    demands = [demand_of(given, distributions=distributions) for given in notebooks]
    return derive(
        demands,
        interpreter=PYTHON,
        oracle=excluding([frozenset(conflict) for conflict in conflicts]),
        root=Path(),
        **more,
    )


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("NumPy >= 2, <3", "numpy<3,>=2"),
        ("Scikit_Learn[b,a]", "scikit-learn[a,b]"),
        ("-e   .", "-e ."),
        ("x ; python_version<'3'", 'x; python_version < "3"'),
    ],
)
def test_requirements_that_say_the_same_are_the_same(text: str, form: str) -> None:
    assert canonical(text) == form


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (notebook(imports=["sklearn.svm", "numpy.linalg", "numpy"]), ["numpy", "scikit-learn"]),
        (notebook(imports=["numpy"], optional=["torch"]), ["numpy"]),
        (notebook(imports=["numpy", "torch"], installs=required("torch==2.0", "six")), ["numpy", "six", "torch==2.0"]),
        (notebook(imports=["cv2"], installs=required("opencv-python-headless")), ["opencv-python-headless"]),
        (notebook(imports=["cv2"], guarded_installs=required("opencv-python-headless<5")), ["opencv-python-headless"]),
        (notebook(imports=["IPython.display", "ipykernel"]), []),
        (notebook(imports=["torch"], script=Script(dependencies=required("NumPy<2"))), ["numpy<2"]),
        (notebook(imports=["mine.part", "numpy"]), ["mine", "numpy"]),
    ],
    ids=["names", "optional", "installs", "candidate", "meant", "kernel", "script", "own unknown"],
)
def test_what_a_notebook_asks_for(given: Notebook, asked: list[str]) -> None:
    assert texts(given) == asked


@pytest.mark.parametrize(
    "given",
    [
        notebook(imports=["mine.part"]),
        notebook(optional=["mine_extra"]),
        notebook(installs=required("Mine>=1")),
        notebook(script=Script(dependencies=required("mine"))),
    ],
    ids=["import", "import from the root", "install", "script"],
)
def test_the_projects_own_package_is_asked_for_as_it_is_here(given: Notebook) -> None:
    assert texts(given, OWN) == ["-e ."]


def test_what_the_own_packages_files_import_is_left_to_its_dependencies() -> None:
    origin = Origin(path="mine/part.py", line=3)
    given = notebook(imports=["numpy"], optional=["mine"])
    given = replace(given, imports=(*given.imports, Import(module="obscure", origin=origin)))
    assert texts(given, OWN) == ["-e .", "numpy"]
    assert texts(given) == ["numpy", "obscure"]


HEADLESS = "opencv-python-headless"
NAMED = {"tinylib": "tinylib>=2", "google-cloud-odd": "google-cloud-odd", HEADLESS: HEADLESS}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (notebook(imports=["made_one", "numpy"]), ["numpy"]),
        (notebook(imports=["made_one.part"], installs=required("six")), ["six"]),
        (notebook(imports=["tinylib.sub"]), ["tinylib>=2"]),
        (notebook(imports=["google.cloud.odd"]), ["google-cloud-odd"]),
        (notebook(imports=["tinylib"], installs=required("tinylib==3")), ["tinylib==3"]),
        (notebook(imports=["tinylib"], guarded_installs=required("tinylib<3")), ["tinylib"]),
        (notebook(imports=["made_one"], guarded_installs=required("Made_One<3")), ["made-one"]),
        (notebook(optional=["tinylib"]), []),
        (notebook(imports=["cv2"]), ["opencv-python-headless"]),
        (notebook(imports=["pkg_resources"]), ["setuptools<82"]),
        (notebook(imports=["pkg_resources"], installs=required("setuptools")), ["setuptools", "setuptools<82"]),
    ],
    ids=str,
)
def test_only_what_somebody_named_is_asked_for(given: Notebook, asked: list[str]) -> None:
    known = {"numpy": ("numpy",), "cv2": TABLE["cv2"], "pkg_resources": ("setuptools<82",)}
    demand = demand_of(given, distributions=lambda module: known.get(module.partition(".")[0], ()), declared=NAMED)
    assert [r.text for r in demand.requirements] == asked


def test_the_own_package_is_one_however_it_is_asked_for() -> None:
    given = notebook(imports=["mine"], installs=required("-e .[extra]"))
    own = OwnProject(name="mine", modules=frozenset({"mine"}), text=".")
    assert texts(given, own) == [".", ".[extra]"]


def test_each_requirement_remembers_its_cell_and_line() -> None:
    demand = demand_of(notebook(installs=required("six", "numpy<2")), distributions=distributions)
    assert [str(r.origin) for r in demand.requirements] == ["a.ipynb, cell 1, line 2", "a.ipynb, cell 1, line 1"]


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["src/mine/__init__.py", "tests/x.py"], {"mine"}),
        (["mine/__init__.py", "tool.py", "setup.py"], {"mine", "tool"}),
        ([], {"my_own"}),
    ],
)
def test_the_own_package_and_its_modules_are_found(tmp_path: Path, files: list[str], modules: set[str]) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "My.Own"\n', encoding="utf-8")
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    own = own_project(tmp_path)
    assert own is not None
    assert own.name == "my-own"
    assert own.modules >= modules


def test_a_folder_that_is_no_project_has_no_package(tmp_path: Path) -> None:
    assert own_project(tmp_path) is None


def test_one_environment_serves_all_that_agree() -> None:
    derived = run(notebook("a.ipynb", imports=["numpy"]), notebook("b.ipynb", imports=["torch"]))
    assert [(group.name, [r.text for r in group.requirements]) for group in derived.groups] == [
        (ONLY, ["numpy", "torch"])
    ]
    assert {a.group for a in derived.assignments} == {ONLY}
    assert derived.conflicts == ()


def test_notebooks_that_name_other_sources_of_packages_share_with_no_others() -> None:
    line = "--extra-index-url https://x.org/simple"
    derived = run(
        notebook("a.ipynb", imports=["numpy"]),
        notebook("b.ipynb", installs=required("torch", line)),
        notebook("c.ipynb", installs=required("scipy", line)),
    )
    assert [(group.name, [r.text for r in group.requirements], group.options) for group in derived.groups] == [
        ("numpy", ["numpy"], ()),
        ("scipy", ["scipy", "torch"], (line,)),
    ]


def test_a_bound_applies_to_the_notebooks_environment_and_asks_for_nothing() -> None:
    (group,) = run(notebook("a.ipynb", installs=required("torch", "-c Numpy<2"))).groups
    assert ([r.text for r in group.requirements], [r.text for r in group.constraints]) == (["torch"], ["numpy<2"])


def test_notebooks_that_cannot_share_are_apart_and_it_is_said_why() -> None:
    derived = run(
        notebook("a.ipynb", imports=["six"], installs=required("numpy<2")),
        notebook("b.ipynb", installs=required("numpy>=2", path="b.ipynb")),
        conflicts=[["numpy<2", "numpy>=2"]],
    )
    assert [a.group for a in derived.assignments] == ["numpy-lt2", "numpy-ge2"]
    assert [conflict.sentence for conflict in derived.conflicts] == [
        "a.ipynb, cell 1, line 1 asks for numpy<2; b.ipynb, cell 1, line 1 asks for numpy>=2"
    ]


def test_two_notebooks_with_the_same_block_share_an_environment() -> None:
    block = Script(dependencies=required("numpy<2", "scipy"))
    other = Script(dependencies=required("scipy", "NumPy <2", path="b.ipynb"))
    derived = run(notebook("a.ipynb", script=block), notebook("b.ipynb", script=other))
    assert len(derived.groups) == 1
    assert derived.assignments[0].group == derived.assignments[1].group


@pytest.mark.parametrize(
    ("given", "verdict", "reason"),
    [
        (notebook(refused=("cell 1, line 2: git+https://host/x: an address",)), "environment", "git+https"),
        (notebook(script_fault="cell 1: not TOML"), "environment", "not TOML"),
        (notebook(imports=["nowhere"]), "environment", "nowhere (a.ipynb, cell 2, line 1)"),
        (notebook(script=Script(requires_python=">=3.12")), "skipped", "it needs Python >=3.12, and this is 3.11.7"),
    ],
    ids=["address", "block", "package", "python"],
)
def test_one_that_cannot_be_served_gets_its_reason_and_the_others_run(
    given: Notebook, verdict: str, reason: str
) -> None:
    derived = run(given, notebook("b.ipynb", imports=["numpy"]), conflicts=[["nowhere"]])
    first, second = derived.assignments
    assert (first.group, first.verdict) == (None, verdict)
    assert reason in first.reason
    assert second.group == ONLY
    assert derived.conflicts == ()


LOCKS: dict[str, Lock] = {
    "small": make_lock("small", PYTHON, "numpy==1.26.4\n"),
    "large": make_lock("large", PYTHON, "numpy==2.1\ntorch==2.0\nscipy==1\n"),
}


@pytest.mark.parametrize(
    ("given", "group"),
    [
        (notebook(imports=["numpy"]), "small"),
        (notebook(installs=required("numpy>=2")), "large"),
        (notebook(installs=required("numpy>=3")), ONLY),
        (notebook(imports=["six"]), ONLY),
        (notebook(installs=required("six; python_version < '3'")), "small"),
    ],
    ids=["smallest", "bounds", "no bounds", "missing", "marker"],
)
def test_a_configured_group_is_used_where_it_serves(given: Notebook, group: str) -> None:
    derived = run(given, locks=LOCKS)
    assert derived.assignments[0].group == group
    assert len(derived.groups) == (group == ONLY)


def test_a_lock_that_holds_the_own_package_serves_notebooks_that_import_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\n', encoding="utf-8")
    lock = make_lock("a", PYTHON, f"-e {tmp_path.as_uri()}\nnumpy==2\n")
    demand = demand_of(notebook(imports=["mine"]), distributions=distributions, own=own_project(tmp_path))
    assert serves(lock, demand, PYTHON, tmp_path)


@pytest.mark.parametrize(
    ("parts", "conflicts", "names"),
    [
        ([{"a", "b"}], [], (ONLY,)),
        ([{"torch", "numpy"}, {"tensorflow", "numpy"}], [{"torch", "tensorflow"}], ("torch", "tensorflow")),
        (
            [{"numpy<2"}, {"numpy==2.1"}, {"numpy~=1.20,!=1.21"}],
            [],
            ("numpy-lt2", "numpy-2.1", "numpy-not1.21-compat1.20"),
        ),
        ([{"a", "z<1"}, {"a", "z"}], [{"z<1", "y"}], ("z-lt1", "z")),
        ([{"a==1.*"}, {"a==2+local"}], [], ("a-1", "a-2-local")),
        ([{"a", "b"}, {"a"}], [], ("b", "group")),
    ],
)
def test_a_group_is_named_after_what_sets_it_apart(
    parts: list[set[str]], conflicts: list[set[str]], names: tuple[str, ...]
) -> None:
    assert name_parts([frozenset(p) for p in parts], [frozenset(c) for c in conflicts], Path()) == names


def test_names_are_unique_and_leave_out_those_taken() -> None:
    parts = [frozenset({"a<1"}), frozenset({"b"})]
    assert name_parts(parts, [], Path(), taken=["a", "b"]) == ("a-2", "b-2")


def test_the_order_of_the_notebooks_changes_nothing() -> None:
    given = [notebook(f"{n}.ipynb", installs=required(f"numpy=={n % 3}", "six", path=f"{n}.ipynb")) for n in range(7)]
    conflicts = [[f"numpy=={a}", f"numpy=={b}"] for a, b in [(0, 1), (0, 2), (1, 2)]]
    one, other = run(*given, conflicts=conflicts), run(*reversed(given), conflicts=conflicts)
    assert one.groups == other.groups
    assert one.assignments == tuple(reversed(other.assignments))


def test_what_init_writes_gives_the_same_groups_again() -> None:
    origin = Origin(path="docs/a b.ipynb", cell=1, line=2)
    group = derive_group("numpy-1.26", [Requirement(text="numpy<2", origin=origin)], root=Path())
    assignments = [
        Assignment(notebook="docs/a b.ipynb", group="numpy-1.26", why=""),
        Assignment(notebook="docs/ü.ipynb", group="numpy-1.26", why=""),
        Assignment(notebook="[1].ipynb", group="numpy-1.26", why=""),
        Assignment(notebook="c.ipynb", group=None, why="", verdict="environment", reason="no\nway"),
        Assignment(notebook="r.ipynb", group=None, why="", verdict="skipped", reason="it is written in R"),
    ]
    files = initial_files([group], assignments)
    assert files == {
        "requirements/numpy-1.26.in": (
            "# What 3 notebooks of group numpy-1.26 ask for.\nnumpy<2  # docs/a b.ipynb, cell 1, line 2\n"
        )
    }
    text = initial_configuration([group], assignments, notebooks=["docs/**/*.ipynb"], python=["3.11"])
    table = tomllib.loads(text)["tool"]["envsolver"]
    assert table["notebooks"] == ["docs/**/*.ipynb"]
    assert table["groups"] == {"numpy-1.26": {"notebooks": ["docs/a b.ipynb", "docs/ü.ipynb", "[[]1].ipynb"]}}
    assert "# c.ipynb: no way\n" in text
    assert "r.ipynb" not in text
    opened = tomllib.loads(text.replace("# [", "[").replace("# skip", "skip"))["tool"]["envsolver"]
    assert opened["notebook"] == {"c.ipynb": {"skip": "no way"}}


def test_what_is_written_down_for_a_group_keeps_its_bounds_and_options(tmp_path: Path) -> None:
    asked = required("torch", "-c numpy<2", "--pre", "--extra-index-url https://x.org/simple")
    group = derive_group("ml", asked, root=tmp_path)
    for path, text in initial_files([group], []).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    read = read_group(Config(root=tmp_path, groups={"ml": GroupSettings()}), "ml")
    assert [r.text for r in read.requirements] == ["torch"]
    assert [r.text for r in read.constraints] == ["numpy<2"]
    assert set(read.options) == {"--pre", "--extra-index-url https://x.org/simple"}
