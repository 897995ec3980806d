"""A local project is solved for without a build where its files say enough, and comes before its releases."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fakes import required

from envsolver.resolver.local_projects import stand_in
from envsolver.resolver.own_project import own_project
from envsolver.resolver.requirement_text import content_digest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BACKEND = '[build-system]\nrequires = []\nbuild-backend = "explodes"\nbackend-path = ["."]\n'
STATIC = '[project]\nname = "six"\ndynamic = ["version"]\nrequires-python = ">=3.10"\ndependencies = ["idna>=3"]\n'


def project(root: Path, text: str, *, setup: bool = False) -> Path:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    if setup:
        (root / "setup.py").touch()
    return root


def test_a_stand_in_says_what_the_project_depends_on(tmp_path: Path) -> None:
    text = STATIC + '[project.optional-dependencies]\n"a b" = ["attrs<\\"9\\""]\n'
    root = project(tmp_path, text)
    local = stand_in(required("-e .[x]", "numpy"), root, tmp_path / "made")
    (line,) = local.lines.values()
    stub = Path(line.removeprefix("-e ").removesuffix("[x]"))
    told = tomllib.loads((stub / "pyproject.toml").read_text(encoding="utf-8"))
    assert told["project"] == {
        "name": "six",
        "version": "0",
        "requires-python": ">=3.10",
        "dependencies": ["idna>=3"],
        "optional-dependencies": {"a b": ['attrs<"9"']},
    }
    assert local.overrides == (f"six[x] @ {stub.as_uri()}",)
    assert local.restore(f"idna==3\nsix @ {stub.as_uri()}\n") == "idna==3\n-e .\n"


def test_extras_that_an_extra_holds_are_asked_for_too(tmp_path: Path) -> None:
    extras = '[project.optional-dependencies]\nall = ["Six[a]", "idna"]\na = ["six[b,all]"]\nb = ["attrs"]\nc = []\n'
    local = stand_in(required("-e .[all]"), project(tmp_path, STATIC + extras), tmp_path / "made")
    assert local.overrides[0].startswith("six[a,all,b] @ file:")


def test_extras_that_are_asked_for_by_the_projects_name_count(tmp_path: Path) -> None:
    extras = '[project.optional-dependencies]\ndocs = ["sphinx"]\n'
    local = stand_in(
        required("-e .", "Six[docs]", "idna[other]"), project(tmp_path, STATIC + extras), tmp_path / "made"
    )
    assert local.overrides[0].startswith("six[docs] @ file:")


def test_extras_that_only_a_build_knows_are_left_to_uv(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("setup(name='six', extras_require={'all': ['six[a]']})", encoding="utf-8")
    assert stand_in(required("-e .[all]"), tmp_path, tmp_path / "made").overrides == ()


@pytest.mark.parametrize(
    ("text", "setup"),
    [
        ('[project]\nname = "six"\ndynamic = ["version", "dependencies"]\n', False),
        ('[project]\nname = "six"\nversion = "1"\n', True),
        (STATIC + '[tool.uv.sources]\nidna = { path = "../idna" }\n', False),
        ('[tool.poetry]\nname = "six"\n', False),
        ('[project]\nname = "six"\nversion = "1"\ndependencies = ["a @ {root:uri}/a"]\n', False),
    ],
    ids=["dynamic dependencies", "an old setup.py", "sources of uv", "another table", "values of a backend"],
)
def test_a_project_that_only_a_build_knows_is_left_to_uv(tmp_path: Path, text: str, *, setup: bool) -> None:
    root = project(tmp_path, text, setup=setup)
    local = stand_in(required("-e ."), root, tmp_path / "made")
    assert local.lines == {}
    assert local.overrides == (f"six @ {root.as_uri()}",)
    assert local.restore(f"six @ {root.as_uri()}\n") == "-e .\n"


def test_a_folder_without_a_name_is_asked_for_as_it_is(tmp_path: Path) -> None:
    local = stand_in(required("./part", "numpy"), tmp_path, tmp_path / "made")
    assert (local.lines, local.overrides) == ({}, ())


def test_a_project_whose_editable_form_needs_its_build_tools_is_installed_as_a_copy(tmp_path: Path) -> None:
    own = own_project(project(tmp_path, '[build-system]\nbuild-backend = "mesonpy"\n' + STATIC))
    assert own is not None
    assert own.text == "."


def test_a_copy_is_not_made_anew_for_a_changed_notebook(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    before = content_digest(tmp_path, editable=False)
    (tmp_path / "a.ipynb").touch()
    assert content_digest(tmp_path, editable=False) == before
    (tmp_path / "b.py").touch()
    assert content_digest(tmp_path, editable=False) != before


def test_what_a_project_tells_envsolver_itself_makes_no_environment_anew(tmp_path: Path) -> None:
    digests = set()
    for settings in ("", "[tool.envsolver]\ntimeout = 60\n", '[tool.envsolver.notebook."a.ipynb"]\nskip = "slow"\n'):
        project(tmp_path, STATIC + "[tool.other]\nkey = 2026-01-01\n" + settings)
        digests.add(content_digest(tmp_path, editable=True))
    assert len(digests) == 1
    project(tmp_path, STATIC + "[tool.other]\nkey = 2026-01-02\n")
    assert content_digest(tmp_path, editable=True) not in digests
