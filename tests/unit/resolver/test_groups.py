"""Requirements files are read as pip and uv read them, and every fault has its place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from envsolver.core.environments import Group
from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import Config, GroupSettings
from envsolver.resolver.groups import check_group_names, expand, logical_lines, read_group
from envsolver.resolver.requirement_text import content_digest, local_path, requirement_name


def group(root: Path, files: Mapping[str, str], name: str = "a", **settings: Any) -> Group:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    groups = {name: GroupSettings(**settings)} if settings else {}
    return read_group(Config(root=root, groups=groups), name)


def written(found: Group) -> list[tuple[str, str]]:
    return [(r.text, str(r.origin)) for r in found.requirements]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("numpy\n\n# words\nscipy # why\n", [(1, "numpy"), (4, "scipy")]),
        ("numpy \\\n  >=2 \\\n  ,<3\nscipy", [(1, "numpy    >=2    ,<3"), (4, "scipy")]),
        ("a @ https://host/x#egg=a\n", [(1, "a @ https://host/x#egg=a")]),
        ("numpy \\\n# words\nscipy", [(1, "numpy"), (3, "scipy")]),
        ("numpy \\", [(1, "numpy")]),
        ("\\\n", []),
        ("", []),
    ],
)
def test_lines_are_joined_and_comments_are_cut(text: str, lines: list[tuple[int, str]]) -> None:
    assert [(number, line.replace("  ", " ")) for number, line in logical_lines(text)] == [
        (number, line.replace("  ", " ")) for number, line in lines
    ]


def test_each_requirement_keeps_its_file_and_line(tmp_path: Path) -> None:
    found = group(tmp_path, {"requirements/a.in": "numpy<2\n\nscipy[extra]; python_version > '3.9'\n"})
    assert written(found) == [
        ("numpy<2", "requirements/a.in:1"),
        ("scipy[extra]; python_version > '3.9'", "requirements/a.in:3"),
    ]


def test_nested_files_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    found = group(
        tmp_path,
        {
            "requirements/a.in": "-r shared/b.in\n--constraint=../limits.txt\n",
            "requirements/shared/b.in": "-rc.in\n",
            "requirements/shared/c.in": "numpy\n",
            "limits.txt": "numpy<2\n-r more.txt\n",
            "more.txt": "scipy<1.13\n",
        },
    )
    assert written(found) == [("numpy", "requirements/shared/c.in:1")]
    assert [(r.text, str(r.origin)) for r in found.constraints] == [
        ("numpy<2", "limits.txt:1"),
        ("scipy<1.13", "more.txt:1"),
    ]


def test_a_file_included_twice_counts_once(tmp_path: Path) -> None:
    found = group(tmp_path, {"requirements/a.in": "-r b.in\n-r b.in\n", "requirements/b.in": "numpy\n"})
    assert len(found.requirements) == 1


def test_all_faults_come_together_with_their_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        group(
            tmp_path,
            {
                "requirements/a.in": "numpy=>2\n-r b.in\n-c missing.txt\n-e ./nowhere\n-r\n",
                "requirements/b.in": "scipy\n-r a.in\n",
            },
        )
    faults = caught.value.faults
    assert faults[0].startswith("requirements/a.in:1: 'numpy=>2' is not a valid requirement")
    assert faults[1] == (
        "requirements/b.in:2: the file includes itself (requirements/a.in -> requirements/b.in -> requirements/a.in)"
    )
    assert faults[2:] == (
        "requirements/a.in:3: there is no file requirements/missing.txt",
        "requirements/a.in:4: there is no ./nowhere",
        "requirements/a.in:5: -r needs a file",
    )


def test_a_group_without_its_file_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no file requirements/a\.in"):
        read_group(Config(root=tmp_path), "a")


def test_the_configuration_may_name_another_file(tmp_path: Path) -> None:
    found = group(tmp_path, {"deps.txt": "numpy\n"}, requirements="deps.txt", requires_python=">=3.11")
    assert (found.file, found.requires_python) == ("deps.txt", ">=3.11")


def test_options_of_uv_and_hashes_are_no_requirements(tmp_path: Path) -> None:
    found = group(
        tmp_path, {"requirements/a.in": "--pre\n-f ./wheels\nnumpy==2.0 \\\n --hash=sha256:00 --hash=sha256:11\n"}
    )
    assert [r.text for r in found.requirements] == ["numpy==2.0"]


def test_variables_are_put_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMPY_BOUND", "<2")
    found = group(tmp_path, {"requirements/a.in": "numpy${NUMPY_BOUND}\n"})
    assert found.requirements[0].text == "numpy<2"
    assert expand("${UNKNOWN_NAME}", {}) == "${UNKNOWN_NAME}"


@pytest.mark.parametrize(
    "change",
    [
        {"requirements/a.in": "-r b.in\n-c c.txt\n-e .\nscipy\n"},
        {"requirements/b.in": "numpy<2\n"},
        {"c.txt": "x"},
        {"requirements/c.txt": "numpy<3\n"},
        {"pyproject.toml": "[project]\nname = 'mine'\ndependencies = ['six']\n"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_follows_everything_that_a_solve_reads(tmp_path: Path, change: Mapping[str, str]) -> None:
    files = {
        "requirements/a.in": "-r b.in\n-c c.txt\n-e .\n",
        "requirements/b.in": "numpy\n",
        "requirements/c.txt": "scipy<2\n",
        "pyproject.toml": "[project]\nname = 'mine'\n",
    }
    before = group(tmp_path, files).digest
    assert group(tmp_path, files).digest == before
    after = group(tmp_path, files | dict(change)).digest
    assert (after == before) is ("c.txt" in change)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("-e .", "."),
        ("-e .[extra]", "."),
        ("--editable=./sub", "./sub"),
        ("./sub[x] ; python_version > '3'", "./sub"),
        ("mine @ file:///home/a%20b", "/home/a b"),
        ("./dist/a-1.0-py3-none-any.whl", "./dist/a-1.0-py3-none-any.whl"),
        ("numpy<2", None),
        ("numpy[extra]", None),
        ("a @ https://host/a.whl", None),
        ("git+https://host/a/b", None),
        ("-c ./sub", None),
        ("--find-links ./sub", None),
        ("https://host/a.whl", None),
    ],
)
def test_local_projects_are_told_from_names(text: str, path: str | None) -> None:
    assert local_path(text) == path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Scikit_Learn[x]>=1", "scikit-learn"),
        ("-e .", "my-own"),
        ("./dist/Foo_Bar-1.0-py3-none-any.whl", "foo-bar"),
        ("git+https://host/a/b#egg=Bar", "bar"),
        ("git+https://host/a/B_c.git@main", "b-c"),
        ("-c Numpy<2", "numpy"),
        ("--extra-index-url https://host/a/b", None),
    ],
)
def test_a_requirement_says_which_distribution_it_asks_for(tmp_path: Path, text: str, name: str | None) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "My.Own"\n', encoding="utf-8")
    assert requirement_name(tmp_path, text) == name


def test_an_old_project_says_its_name_in_its_setup_file(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("from setuptools import setup\nsetup(name='Old_One', version='1')\n", "utf-8")
    assert requirement_name(tmp_path, "-e .") == "old-one"


def test_a_copied_project_depends_on_its_sources_and_an_editable_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("", encoding="utf-8")
    (tmp_path / "code.py").write_text("a = 1", encoding="utf-8")
    copied, editable = (content_digest(tmp_path, editable=e) for e in (False, True))
    (tmp_path / "code.py").write_text("a = 22", encoding="utf-8")
    os.utime(tmp_path / "code.py", ns=(1, 1))
    assert content_digest(tmp_path, editable=False) != copied
    assert content_digest(tmp_path, editable=True) == editable


@pytest.mark.parametrize(
    ("names", "known", "faults"),
    [
        ([], ["a"], []),
        (["b", "a"], ["a", "b"], []),
        (["ml"], ["b", "a"], ["--group ml: there is no such group; the groups are: a, b"]),
        (["x", "a", "y"], ["a"], [f"--group {n}: there is no such group; the groups are: a" for n in "xy"]),
        (["ml"], [], ["--group ml: there is no such group; the groups are: none"]),
    ],
)
def test_every_name_of_a_group_that_does_not_exist_is_a_fault(
    names: list[str], known: list[str], faults: list[str]
) -> None:
    try:
        check_group_names(names, known)
        found: tuple[str, ...] = ()
    except ConfigurationError as error:
        found = error.faults
    assert list(found) == faults
