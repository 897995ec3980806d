"""Promise: what a project's own files name is found, wherever projects keep it, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.resolver.declared import declared, names_alike

CONDA = """
name: x
channels: [conda-forge]
dependencies:
  - python=3.11
  - conda-forge::tinylib=1.2
  - "quoted >=2"
  - pip
  - pip:
      - made-one[extra]>=3  # why
      - git+https://example.org/x.git
  - after
"""
FILES = [
    ("requirements.txt", "tinylib==2.0 --hash=sha256:00\n# words\n-r other.txt\n-e .\n", {"tinylib": "tinylib==2.0"}),
    ("requirements/dev.in", "TinyLib[a]>=2  # words\n", {"tinylib": "TinyLib[a]>=2"}),
    ("docs/doc-requirements.txt", "tinylib @ git+https://x.org/y\n", {"tinylib": "tinylib @ git+https://x.org/y"}),
    ("nb/deep/requirements.txt", "tinylib\n", {"tinylib": "tinylib"}),
    ("elsewhere/requirements.txt", "tinylib\n", {}),
    ("notes.txt", "tinylib\n", {}),
    ("constraints.txt", "tinylib<2\n", {}),
    ("environment.yml", CONDA, {
        "python": "python", "tinylib": "tinylib", "quoted": "quoted", "pip": "pip", "made-one": "made-one[extra]>=3",
        "after": "after",
    }),
    ("binder/environment.yaml", "dependencies:\n- tinylib\n", {"tinylib": "tinylib"}),
    ("pyproject.toml", "[project]\nname = 'a'\ndependencies = ['tinylib>1']\n", {"tinylib": "tinylib>1"}),
    ("pyproject.toml", "[project.optional-dependencies]\ndemo = ['tinylib>1']\n", {"tinylib": "tinylib>1"}),
    (
        "pyproject.toml",
        "[dependency-groups]\ndocs = ['tinylib', { include-group = 'x' }]\n",
        {"tinylib": "tinylib"},
    ),
    (
        "pyproject.toml",
        "[tool.poetry.group.docs.dependencies]\npython = '^3.10'\ntinylib = '^1'\n",
        {"tinylib": "tinylib"},
    ),
    ("pyproject.toml", "[tool.hatch.envs.docs]\ndependencies = ['tinylib']\n", {"tinylib": "tinylib"}),
    ("pyproject.toml", "[tool.uv]\ndev-dependencies = ['tinylib']\n", {"tinylib": "tinylib"}),
    ("pyproject.toml", "[project]\ndependencies = 3\noptional-dependencies = ['x']\n", {}),
    ("pyproject.toml", "not toml", {}),
    ("pixi.toml", "[workspace]\nname = 'a'\n[feature.doc.dependencies]\ntinylib = '*'\n", {"tinylib": "tinylib"}),
    ("pixi.toml", "[pypi-dependencies]\ntinylib = { version = '>1' }\n", {"tinylib": "tinylib"}),
    ("pyproject.toml", "[tool.pixi.feature.doc.dependencies]\ntinylib = '*'\n", {"tinylib": "tinylib"}),
    ("pixi.toml", "not toml", {}),
    ("Pipfile", "[packages]\ntinylib = '*'\n", {"tinylib": "tinylib"}),
    ("setup.cfg", "[metadata]\nname = a\n[options]\ninstall_requires =\n  tinylib>1\n", {"tinylib": "tinylib>1"}),
    ("setup.py", "setup(name='a', extras_require={'demo': ['tinylib']})", {"tinylib": "tinylib"}),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "named"), FILES, ids=[f"{file} {text[:30]!r}" for file, text, _ in FILES])
def test_what_a_file_names_is_found(tmp_path: Path, file: str, text: str, named: dict[str, str]) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert declared(tmp_path, tmp_path / "nb/deep") == named


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_requirements_file_may_have_any_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "requirements.txt").write_text("tinylib\n", encoding=encoding)
    assert declared(tmp_path, tmp_path) == {"tinylib": "tinylib"}


def test_a_file_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "requirements-dev.txt").mkdir()
    assert declared(tmp_path, tmp_path) == {}


def test_what_stands_nearest_to_the_notebook_comes_first(tmp_path: Path) -> None:
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb" / "requirements.txt").write_text("tinylib<2\n")
    (tmp_path / "requirements.txt").write_text("tinylib>=2\nother\n")
    assert declared(tmp_path, tmp_path / "nb") == {"tinylib": "tinylib<2", "other": "other"}
    assert declared(tmp_path, tmp_path) == {"tinylib": "tinylib>=2", "other": "other"}


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("tinylib", ("tinylib",)),
        ("Tiny_Lib.part", ("tiny-lib-part", "tiny-lib")),
        ("_private_", ("private",)),
        ("_", ()),
    ],
)
def test_a_module_is_spelt_like_some_distributions(module: str, names: tuple[str, ...]) -> None:
    assert names_alike(module) == names
