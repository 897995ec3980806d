"""What notebooks install is there when they run: the project however it is spelt, bounds, sources, other addresses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("installs")]

GIT = shutil.which("git") or "git"

PYPROJECT = """
[project]
name = "my-lib"
version = "1"
[project.optional-dependencies]
more = ["six"]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

# A build backend that needs nothing: an editable package is a file that names the sources' folder.
BACKEND = """
import pathlib, zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    files = {
        "my_lib.pth": str(pathlib.Path("src").resolve()),
        "my_lib-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: my-lib\\nVersion: 1\\nProvides-Extra: more\\n"
        "Requires-Dist: six; extra == 'more'\\n",
        "my_lib-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files["my_lib-1.dist-info/RECORD"] = "".join(f"{name},,\\n" for name in files)
    with zipfile.ZipFile(pathlib.Path(directory, "my_lib-1-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "my_lib-1-py3-none-any.whl"

build_wheel = build_editable
"""
CHECKOUT = "import my_lib, pathlib\nassert my_lib.WHERE == 'checkout'"


def wheel(folder: Path, name: str, version: str, code: str) -> None:
    """Write a wheel of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in files)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Return the verdict and the reason of each notebook of one project, whose path is an odd one."""
    root = tmp_path_factory.mktemp("a") / "odd #1 100%25 [x]"
    (root / "src" / "my_lib").mkdir(parents=True)
    (root / "src" / "my_lib" / "__init__.py").write_text("WHERE = 'checkout'\n", encoding="utf-8")
    (root / "src" / "my_lib" / "more.py").write_text("import six\n", encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    for name in ("tool_a", "tool_b", "tool_c", "tool_d"):
        for version in ("1", "2", "3a1"):
            wheel(root / "wheels", name, version, f"VERSION = {version[0]}")
    (root / "bounds.txt").write_text("idna<3.5\ntool_c<2\n", encoding="utf-16")
    (root / "nested.txt").write_text("-c bounds.txt\nidna\n", encoding="utf-16")
    other = root.parent / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text(
        PYPROJECT.replace("my-lib", "other-lib").partition("[build-system]")[0], encoding="utf-8"
    )
    (other / "other_lib.py").touch()
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([GIT, "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=other, check=True)
    low = "import idna\nassert tuple(map(int, idna.__version__.split('.')))[:2] < (3, 5), idna.__version__"
    notebooks = {
        "address": ["!pip install git+https://example.invalid/somebody/my-lib.git", CHECKOUT],
        "named": ["%pip install 'my_lib[more] @ git+https://example.invalid/x/y'", f"import six\n{CHECKOUT}"],
        "path": ["!pip install ..[more]", f"import six\n{CHECKOUT}"],
        "version": ["%pip install my-lib==99", CHECKOUT],
        "extra": ["import my_lib.more"],
        "bounds": ["!pip install -c ../bounds.txt idna", low],
        "nested": ["%pip install -r ../nested.txt", low],
        "links": ["!pip install -f ../wheels tool_a", "import tool_a\nassert tool_a.VERSION == 2"],
        "early": ["!pip install -f ../wheels --pre tool_b", "import tool_b\nassert tool_b.VERSION == 3"],
        "bound-links": [
            "!pip install -q --find-links=../wheels -c ../bounds.txt tool_c",
            "import tool_c\nassert tool_c.VERSION == 1",
        ],
        "archive": ["%pip install ../wheels/tool_d-1-py3-none-any.whl", "import tool_d"],
        "git": [f"!pip install 'git+file://{other.as_posix()}'", "import other_lib"],
        "unreachable": ["!pip install git+https://example.invalid/somebody/else.git", "1"],
        "elsewhere": ["!pip install --target libs idna", "1"],
        "plain": ["1"],
    }
    for name, cells in notebooks.items():
        path = root / "demos" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), path)
    environ = {**os.environ, "ENVSOLVER_CACHE_DIR": str(root.parent / "cache")}
    subprocess.run([sys.executable, "-m", "envsolver", "run"], cwd=root, env=environ, check=False, timeout=280)
    results = json.loads((root / ".envsolver/runs/latest/results.json").read_text(encoding="utf-8"))["results"]
    return {Path(r["notebook"]).stem: (r["status"], r["reason"]) for r in results}


@pytest.mark.parametrize("name", ["address", "named", "path", "version", "extra"])
def test_the_checkout_is_there_however_it_is_spelt(verdicts: dict[str, tuple[str, str]], name: str) -> None:
    assert verdicts[name] == ("passed", "")


@pytest.mark.parametrize("name", ["bounds", "nested", "links", "early", "bound-links", "archive"])
def test_options_decide_what_is_installed(verdicts: dict[str, tuple[str, str]], name: str) -> None:
    assert verdicts[name] == ("passed", "")


def test_another_repository_is_installed_from_its_address(verdicts: dict[str, tuple[str, str]]) -> None:
    assert verdicts["git"] == ("passed", "")


def test_an_address_out_of_reach_is_one_notebooks_reason(verdicts: dict[str, tuple[str, str]]) -> None:
    status, reason = verdicts["unreachable"]
    assert status == "environment"
    assert "unreachable.ipynb, cell 1, line 1" in reason
    assert "https://example.invalid/somebody/else.git is out of reach" in reason
    assert "connect to the network, or skip the notebook" in reason
    assert verdicts["plain"] == ("passed", "")


def test_what_cannot_be_honoured_is_refused_with_its_place(verdicts: dict[str, tuple[str, str]]) -> None:
    status, reason = verdicts["elsewhere"]
    assert status == "environment"
    assert 'elsewhere.ipynb, cell 1, line 1: "--target" cannot be installed: it installs elsewhere' in reason
