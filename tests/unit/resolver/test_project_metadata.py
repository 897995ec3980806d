"""Promise: what a local project says plainly is read without running it, and what it computes stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeUv, refused, solved

from envsolver.core.environments import Group, Interpreter
from envsolver.core.notebooks import Origin, Requirement
from envsolver.resolver.locks import NOT_BUILT, solve
from envsolver.resolver.project_metadata import needs_no_build, read_metadata
from envsolver.resolver.requirement_text import build_backend
from envsolver.resolver.solve_options import SolveOptions

PYTHON = Interpreter(request="3.11", executable="/bin/python3.11", version="3.11.7", platform="cpython-linux-x86_64")
CFG = "[metadata]\nname = mine\n[options]\ninstall_requires =\n  idna>=3\n  six\n[options.extras_require]\nx = attrs\n"


@pytest.mark.parametrize(
    ("files", "dependencies"),
    [
        ({"pyproject.toml": "[project]\nname = 'mine'\ndependencies = ['idna']"}, ("idna",)),
        ({"pyproject.toml": "[project]\nname = 'mine'\ndynamic = ['dependencies']"}, None),
        ({"pyproject.toml": "[project]\nname = 'mine'", "setup.py": "setup()"}, None),
        ({"pyproject.toml": "[project]\nname = 'mine'\ndependencies = 5"}, None),
        ({"pyproject.toml": "[project]\nname = 'mine'\n[project.optional-dependencies]\nx = [1]"}, None),
        ({"pyproject.toml": "project = 3\ntool = []"}, None),
        ({"pyproject.toml": "[tool.uv.sources]\na = { path = 'sub' }\n[project]\nname = 'mine'"}, None),
        ({"setup.cfg": CFG}, ("idna>=3", "six")),
        ({"setup.cfg": CFG, "setup.py": "import setuptools\nsetuptools.setup()"}, ("idna>=3", "six")),
        ({"setup.cfg": CFG, "setup.py": "setup(install_requires=['attrs'])"}, ("attrs",)),
        ({"setup.cfg": CFG.replace("\n  idna>=3\n  six", " file: requirements.txt")}, None),
        ({"setup.cfg": "[[[["}, None),
        ({"setup.py": "setup(name='mine', install_requires=['idna'])"}, ("idna",)),
        ({"setup.py": "NEEDED = ['idna']\nsetup(name='mine', install_requires=NEEDED)"}, ("idna",)),
        ({"setup.py": "NEEDED = ['idna']\nNEEDED += more()\nsetup(name='mine', install_requires=NEEDED)"}, None),
        ({"setup.py": "setup(name='mine')"}, ()),
        ({"setup.py": "setup(name='mine', install_requires=read())"}, None),
        ({"setup.py": "setup(name='mine', **more)"}, None),
        ({"setup.py": "if x:\n  setup(name='mine')\nelse:\n  setup(name='mine', install_requires=['a'])"}, None),
        ({"setup.py": "setup(name='mine', install_requires=[" + "-" * 3000 + "1])"}, None),
        ({}, None),
    ],
)
def test_only_what_stands_there_plainly_is_known(
    tmp_path: Path, files: dict[str, str], dependencies: tuple[str, ...] | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = read_metadata(tmp_path)
    assert (found.dependencies if found else None) == dependencies


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("numpy>=1", True),
        ("a @ https://h/a.tar.gz", True),
        ("a @ git+https://h/a", True),
        ("a @ file:///a", False),
        ("a @ ./a", False),
        ("a@./a", False),
        ("a @ ${PROJECT_ROOT}/a", False),
        ("-e .", False),
        ("./a", False),
        ("a b c", False),
    ],
)
def test_only_a_name_or_a_distant_archive_is_handed_to_uv_where_nothing_may_run(text: str, harmless: bool) -> None:
    assert needs_no_build(text) == harmless


NO_WHEEL = refused(
    "error: No solution found when resolving dependencies\n"
    "hint: Wheels are required for `old` because building from source is disabled for all packages",
)


def group(*texts: str, options: tuple[str, ...] = ()) -> Group:
    asked = tuple(Requirement(text=text, origin=Origin(path="a")) for text in texts)
    return Group(name="a", file="", requirements=asked, digest="d", options=options)


@pytest.mark.parametrize("given", [group("-e ./sub"), group("six", options=("-r file:///x",))])
def test_uv_is_not_even_asked_where_it_could_run_something(tmp_path: Path, given: Group) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "setup.py").write_text("setup(name='sub', install_requires=read())")
    uv = FakeUv(tmp_path, NO_WHEEL)
    outcome = solve(given, PYTHON, uv=uv, cache=None, terms=SolveOptions(build=False))
    assert (outcome.text, outcome.proved, uv.asked) == (None, False, [])


def test_a_package_that_only_a_build_knows_proves_no_conflict(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, NO_WHEEL)
    outcome = solve(group("old"), PYTHON, uv=uv, cache=None, terms=SolveOptions(build=False))
    assert (outcome.text, outcome.proved) == (None, False)
    assert outcome.explanation.startswith(f"{NOT_BUILT}: only a build shows what old depends on")


def test_what_a_solve_with_builds_found_is_what_is_known(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, solved("old==1\n"))
    first = solve(group("old"), PYTHON, uv=uv, cache=tmp_path, terms=SolveOptions())
    assert solve(group("old"), PYTHON, uv=uv, cache=tmp_path, terms=SolveOptions(build=False)) == first
    assert len(uv.asked) == 1


@pytest.mark.parametrize("table", [f"build-backend = 0x{'f' * 4000}", "build-backend = []", "requires = 1"])
def test_an_odd_build_backend_is_none(tmp_path: Path, table: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'mine'\n[build-system]\n{table}\n")
    assert build_backend(tmp_path) == ""
