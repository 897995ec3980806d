"""Promises of a project's own dependency sets: they are read as uv reads them, and faults name what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.core.environments import DependencySets
from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import GroupSettings
from envsolver.resolver.dependency_sets import EVERYTHING, declared_group, offered_sets, sets_of

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "mine"
version = "1"
dependencies = ["numpy"]
[project.optional-dependencies]
ml = ["torch"]
docs = ["sphinx"]
[dependency-groups]
plot = ["matplotlib>=3"]
test-notebooks = [{ include-group = "plot" }, "tabulate"]
docs = ["nbsphinx"]
broken = [{ include-group = "gone" }]
[tool.uv.dependency-groups]
plot = { requires-python = ">=3.11" }
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    return tmp_path


def written(root: Path, sets: DependencySets) -> list[tuple[str, str]]:
    return [(r.text, str(r.origin)) for r in declared_group(root, "a", sets).requirements]


def test_groups_bring_what_they_include_and_the_project_itself_with_its_extras(root: Path) -> None:
    assert written(root, DependencySets(groups=("test-notebooks",), extras=("ml",))) == [
        ("-e .[ml]", "pyproject.toml:1"),
        ("matplotlib>=3", "pyproject.toml:12"),
        ("tabulate", "pyproject.toml:13"),
    ]


@pytest.mark.parametrize("line", ["[tool.uv]\npackage = false\n", ""])
def test_of_a_project_that_is_no_package_its_dependencies_are_taken(root: Path, line: str) -> None:
    text = PYPROJECT if line else PYPROJECT.split("\n", 3)[3]
    (root / "pyproject.toml").write_text(text + line, encoding="utf-8")
    assert [text for text, _ in written(root, DependencySets(extras=("ml",)))] == ["numpy", "torch"]


def test_of_two_extras_that_name_one_package_each_has_its_own_line(root: Path) -> None:
    extras = "[project.optional-dependencies]\nold = ['idna<3']\nnew = ['idna>=3']\n"
    (root / "pyproject.toml").write_text(f"[project]\nname = 'a'\nversion = '1'\n{extras}", encoding="utf-8")
    assert written(root, DependencySets(extras=("old",))) == [("idna<3", "pyproject.toml:5")]
    assert written(root, DependencySets(extras=("new",))) == [("idna>=3", "pyproject.toml:6")]


def test_versions_of_python_that_uv_is_told_of_a_group_count(root: Path) -> None:
    assert declared_group(root, "a", DependencySets(groups=("plot",)), ">=3.10").requires_python == ">=3.10,>=3.11"


def test_all_sets_that_are_missing_are_named_together_with_those_that_are_there(root: Path) -> None:
    with pytest.raises(ConfigurationError) as told:
        declared_group(root, "a", DependencySets(groups=("dcos",), extras=("lm",)))
    assert told.value.faults == (
        "group a: pyproject.toml has no dependency group dcos; it has: broken, docs, plot, test-notebooks",
        "group a: pyproject.toml has no extra lm; it has: docs, ml",
    )


def test_a_group_that_includes_one_that_is_missing_is_a_fault_with_its_name(root: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"dependency group broken: .*gone"):
        declared_group(root, "a", DependencySets(groups=("broken",)))


def test_sets_with_telling_names_are_offered_and_those_of_one_name_together(root: Path) -> None:
    assert offered_sets(root) == {
        "test-notebooks": DependencySets(groups=("test-notebooks",)),
        "docs": DependencySets(groups=("docs",), extras=("docs",)),
    }


def test_with_a_lock_all_that_it_holds_is_offered_last(root: Path) -> None:
    (root / "uv.lock").touch()
    offered = offered_sets(root)
    assert list(offered) == ["test-notebooks", "docs", EVERYTHING]
    assert offered["docs"].lock == "uv.lock"


def test_sets_that_exclude_others_are_no_part_of_everything(root: Path) -> None:
    (root / "uv.lock").touch()
    conflicts = '[tool.uv]\nconflicts = [[{ extra = "ml" }, { group = "docs" }]]\n'
    (root / "pyproject.toml").write_text(PYPROJECT + conflicts, encoding="utf-8")
    everything = offered_sets(root)[EVERYTHING]
    assert (everything.groups, everything.extras) == (("plot", "test-notebooks", "broken"), ("docs",))


def test_the_lock_of_a_workspace_serves_its_members(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['a']\n", encoding="utf-8")
    (root / "uv.lock").touch()
    (root / "a").mkdir()
    (root / "a/pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    assert offered_sets(root / "a")["docs"].lock == "uv.lock"


def test_sets_of_the_members_count_at_the_top_of_a_workspace(root: Path) -> None:
    workspace = "[tool.uv.workspace]\nmembers = ['packages/*']\nexclude = ['packages/old']\n"
    (root / "pyproject.toml").write_text(workspace + "[dependency-groups]\nplot = ['plotly']\n", encoding="utf-8")
    (root / "uv.lock").touch()
    for name in ("core", "old"):
        (root / "packages" / name).mkdir(parents=True)
        text = PYPROJECT.replace("ml =", f"ml-{name} =")
        (root / "packages" / name / "pyproject.toml").write_text(text, encoding="utf-8")
    offered = offered_sets(root)
    assert (offered["docs"].groups, offered["docs"].extras) == (("docs",), ("docs",))
    assert "ml-core" in offered[EVERYTHING].extras
    assert "ml-old" not in offered[EVERYTHING].extras
    group = declared_group(root, "a", DependencySets(groups=("plot",), extras=("ml-core",), lock="uv.lock"))
    assert [(r.text, str(r.origin)) for r in group.requirements] == [
        ("-e ./packages/core[ml-core]", "packages/core/pyproject.toml:1"),
        ("plotly", "pyproject.toml:5"),
        ("matplotlib>=3", "packages/core/pyproject.toml:12"),
    ]
    assert group.sets is not None
    assert group.sets.members  # so that uv is asked for all of them
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml has no extra ml-old; it has: docs, ml-core"):
        declared_group(root, "a", DependencySets(extras=("ml-old",)))


def test_a_group_with_a_file_names_no_sets() -> None:
    assert sets_of(GroupSettings(requirements="requirements/a.in")) is None


@pytest.mark.parametrize(
    ("files", "place"),
    [
        (
            {"setup.py": 'setup(name="mine", extras_require={"docs": ["x"], "ml": []})'},
            "extras_require docs in setup.py",
        ),
        (
            {"setup.py": 'said = {"docs": more()}\nsetup(name="mine", extras_require=said)'},
            "extras_require docs in setup.py",
        ),
        (
            {"setup.py": 'said = {"name": "mine", "extras_require": {"docs": ["x"]}}\nsetup(**said)'},
            "extras_require docs in setup.py",
        ),
        (
            {
                "setup.cfg": "[metadata]\nname = mine\n[options]\ninstall_requires = file: a.txt\n"
                "[options.extras_require]\ndocs =\n  x\n",
                "setup.py": "setup()",
            },
            "[options.extras_require] docs in setup.cfg",
        ),
        (
            {
                "pyproject.toml": '[project]\nname = "mine"\ndynamic = ["version", "optional-dependencies"]\n',
                "setup.cfg": "[options.extras_require]\ndocs = x\n",
                "setup.py": "",
            },
            "[options.extras_require] docs in setup.cfg",
        ),
    ],
)
def test_extras_of_older_files_are_offered_with_their_place(tmp_path: Path, files: dict[str, str], place: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    sets = offered_sets(tmp_path)["docs"]
    group = declared_group(tmp_path, "docs", sets)
    assert (sets.extras, group.place) == (("docs",), place)
    assert [(r.text, (tmp_path / r.origin.path).is_file()) for r in group.requirements] == [("-e .[docs]", True)]


@pytest.mark.parametrize(
    "text",
    [
        "setup(name='mine', extras_require=found())",
        "said = {'extras_require': {'docs': []}}\nsaid.clear()\nsetup(name='mine', **said)",
        "said = {'extras_require': {'docs': []}, **more}\nsetup(name='mine', **said)",
        "setup(name='mine', extras_require={'docs': []})\nsetup(name='other')",
    ],
)
def test_extras_that_only_a_run_of_setup_py_tells_are_not_offered(tmp_path: Path, text: str) -> None:
    (tmp_path / "setup.py").write_text(text, encoding="utf-8")
    assert offered_sets(tmp_path) == {}


def test_extras_of_setup_py_beside_a_table_that_lists_them_are_not_offered(root: Path) -> None:
    (root / "setup.py").write_text("setup(extras_require={'examples': ['x']})", encoding="utf-8")
    assert "examples" not in offered_sets(root)
