"""Promise: a notebook never changes an environment, and what the environment satisfies passes as satisfied."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from envsolver.environments.in_environment import PYTHONPATH
from envsolver.worker import kernel_env

LIBRARY = PYTHONPATH

METADATA = {
    "alpha-1.5": "Name: alpha\nVersion: 1.5\nSummary: first\nProvides-Extra: more\nProvides-Extra: none\n"
    "Requires-Dist: beta\n"
    "Requires-Dist: beta>=2; extra == 'more'\nRequires-Dist: gone; extra == 'none'",
    "Beta_Pkg-2.1rc1": "Name: Beta.Pkg\nVersion: 2.1rc1",
    "beta-2.1": "Name: beta\nVersion: 2.1",
    "from_git-1": "Name: from-git\nVersion: 1",
    "mine-2": "Name: mine\nVersion: 2",
}


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    site = tmp_path / "site"
    for name, text in METADATA.items():
        info = site / f"{name}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{text}\n", encoding="utf-8")
    url = {"url": "https://example.org/p/from-git.git", "vcs_info": {"vcs": "git"}}
    (site / "from_git-1.dist-info" / "direct_url.json").write_text(json.dumps(url), encoding="utf-8")
    here = {"url": f"file://{tmp_path}", "dir_info": {"editable": True}}
    (site / "mine-2.dist-info" / "direct_url.json").write_text(json.dumps(here), encoding="utf-8")
    monkeypatch.setenv("ENVSOLVER_PROJECT", "mine git.example.org/forks/other-name")
    monkeypatch.syspath_prepend(str(LIBRARY))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("ENVSOLVER_GROUP", "core")
    monkeypatch.setenv("ENVSOLVER_REQUIREMENTS_PLACE", "requirements/core.in")
    monkeypatch.setenv(kernel_env.INSTALL_RECORD, str(tmp_path / "record"))
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("_guard_under_test", LIBRARY / "_envsolver_guard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SATISFIED = [
    "pip install alpha",
    "pip install -q -U Alpha>=1",
    "pip install alpha==1.5 beta<3",
    "pip install --upgrade --index-url https://example.org/simple alpha",
    "pip install --index-url=https://example.org/simple alpha",
    "pip install alpha~=1.0 --no-deps --user",
    "pip install beta_pkg",
    "pip install beta.pkg>=2",
    "pip install alpha[more]",
    "pip install nosuch;python_version<'3'",
    "pip install --upgrade pip setuptools wheel",
    "pip install git+https://example.org/p/from-git.git@main",
    "pip install from-git@git+https://example.org/p/from-git",
    "pip install -r fine.txt",
    "pip install -rfine.txt",
    "pip install -e project",
    "pip install ./project",
    "pip --quiet install alpha",
    "uv pip install alpha",
    "uv add alpha",
    "conda install -y -c conda-forge alpha=1.5 conda-forge::beta",
    "mamba install alpha==1.5",
    "easy_install alpha",
    "pip uninstall -y nosuch",
    "pip install -c bounds.txt alpha",
    "pip install --dry-run nosuch",
    "pip install -r wide.txt",
    "pip install mine==99",
    "pip install git+https://example.org/Team/Mine.git@v1",
    "pip install git+https://me@git.example.org/forks/other-name",
    "pip install mine@git+https://example.org/elsewhere/mine",
    "pip install https://example.org/team/mine/archive/main.zip",
    "pip list",
    "pip freeze",
    "pip show alpha",
    "pip --version",
    "pip install --help",
]

REFUSED = {
    "pip install nosuch": "nosuch (it is not installed)",
    "pip install alpha>=2": "alpha>=2 (version 1.5 is installed)",
    "pip install alpha nosuch": "nosuch",
    "pip install alpha[none]": "its extra none needs gone",
    "pip install git+https://example.org/p/other.git": "not installed from that URL",
    "pip install alpha@https://example.org/alpha.whl": "not installed from that URL",
    "pip install -r lacking.txt": "nosuch>=3",
    "pip install -c low.txt alpha": "beta<2 (version 2.1 is installed)",
    "pip install -r bounded.txt": "beta<2 (version 2.1 is installed)",
    "pip install --target libs alpha": "--target (it installs elsewhere)",
    "pip install git+https://example.org/team/minerals": "not installed from that URL",
    "pip install -e .": "it is not installed",
    "pip install pip>=99": "pip>=99",
    "pip install not~valid~": "not a valid requirement",
    "uv pip install nosuch": "installs with uv",
    "conda install -y nosuch=1.2": "nosuch==1.2.*",
    "conda update nosuch": "nosuch",
    "pip uninstall -y alpha": "would change the environment",
}


@pytest.fixture
def files(tmp_path: Path) -> None:
    (tmp_path / "fine.txt").write_text(
        "# all\nalpha>=1  # yes\n\n-r nested/more.txt\n--no-binary :all:\n", encoding="utf-8"
    )
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested" / "more.txt").write_text("beta \\\n  <3 --hash=sha256:00\n", encoding="utf-8")
    (tmp_path / "bounds.txt").write_text("gone<1\nbeta<3\nfrom-git>1\n", encoding="utf-8")
    (tmp_path / "low.txt").write_text("beta<2\n", encoding="utf-8")
    (tmp_path / "bounded.txt").write_text("-c low.txt\nalpha\n", encoding="utf-8")
    (tmp_path / "wide.txt").write_text("alpha\n", encoding="utf-16")
    (tmp_path / "lacking.txt").write_text("alpha\nnosuch>=3\n", encoding="utf-8")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pyproject.toml").write_text("[project]\nname = 'alpha'\n", encoding="utf-8")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("call", SATISFIED)
def test_what_is_satisfied_passes(guard: ModuleType, tmp_path: Path, call: str) -> None:
    tool, *arguments = call.split()
    assert guard.run(tool, arguments) == 0
    assert not (tmp_path / "record").exists()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("call", REFUSED)
def test_what_is_not_satisfied_is_refused_and_recorded(
    guard: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    tool, *arguments = call.split()
    assert guard.run(tool, arguments) == 1
    message = json.loads((tmp_path / "record").read_text(encoding="utf-8"))["message"]
    assert REFUSED[call] in message
    assert message in capsys.readouterr().err


def test_the_message_names_the_group_and_the_line_to_add(guard: ModuleType, tmp_path: Path) -> None:
    guard.run("pip", ["install", "nosuch>=2"])
    message = json.loads((tmp_path / "record").read_text(encoding="utf-8"))["message"]
    assert "group 'core'" in message
    assert message.endswith("Add to requirements/core.in:\n    nosuch>=2")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("pip install -e ..", "-e ."),
        ("pip install ../lib[all]", "-e ./lib[all]"),
        ("pip install ../gone-1.whl", "./gone-1.whl"),
        ("pip install -c ../low.txt alpha", "beta<2"),
        ("conda install nosuch=1.2", "nosuch==1.2.*"),
    ],
)
def test_the_line_to_add_means_in_the_groups_file_what_the_cell_means(
    guard: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, line: str
) -> None:
    for folder in ("requirements", "lib", "demos"):
        (tmp_path / folder).mkdir()
    (tmp_path / "requirements/core.in").touch()
    monkeypatch.chdir(tmp_path / "demos")
    tool, *arguments = call.split()
    assert guard.run(tool, arguments) == 1
    record = json.loads((tmp_path / "record").read_text(encoding="utf-8"))
    assert record["requirements"] == [line]
    assert record["message"].endswith(f"Add to requirements/core.in:\n    {line}")


@pytest.mark.parametrize("call", ["pip install not~valid~", "pip install -t libs alpha", "pip uninstall -y alpha"])
def test_no_line_is_advised_where_none_helps(guard: ModuleType, tmp_path: Path, call: str) -> None:
    tool, *arguments = call.split()
    guard.run(tool, arguments)
    record = json.loads((tmp_path / "record").read_text(encoding="utf-8"))
    assert record["requirements"] == []
    assert "Add to" not in record["message"]


@pytest.mark.parametrize("call", ["pip cache purge", "uv sync", "pip install", "pip install -r absent.txt"])
def test_what_cannot_be_done_says_so_without_blaming_the_notebook(
    guard: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    tool, *arguments = call.split()
    assert guard.run(tool, arguments) == 1
    assert capsys.readouterr().err
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("pip list", "alpha"),
        ("pip freeze", "alpha==1.5"),
        ("pip list --format=json", '{"name": "alpha", "version": "1.5"}'),
        ("pip show alpha", "Version: 1.5"),
        ("pip install alpha", "Requirement already satisfied: alpha"),
    ],
)
def test_reading_the_environment(guard: ModuleType, capsys: pytest.CaptureFixture[str], call: str, says: str) -> None:
    tool, *arguments = call.split()
    guard.run(tool, arguments)
    assert says in capsys.readouterr().out


# In a kernel
