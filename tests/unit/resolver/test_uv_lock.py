"""Promises of groups whose versions come from `uv.lock`; uv itself is a fake that answers as uv does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeUv, some_python

from envsolver.core.environments import DependencySets, Group
from envsolver.core.errors import BuildError, ConfigurationError
from envsolver.environments.uv_output import Answer
from envsolver.resolver.solve_options import SolveOptions
from envsolver.resolver.uv_lock import check_fresh, read_uv_lock

LOCK = """\
version = 1
[[package]]
name = "numpy"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "torch"
source = { registry = "https://download.example/cpu" }
[[package]]
name = "mine"
source = { editable = "." }
"""
EXPORTED = """\
-e .
numpy==2.1 \\
    --hash=sha256:aa
torch==2.9+cpu ; python_full_version >= '3.12' \\
    --hash=sha256:bb
torch==2.5+cpu ; python_full_version < '3.12' \\
    --hash=sha256:cc
"""
STALE = "error: The lockfile at `uv.lock` needs to be updated, but `--check` was provided."
OFFLINE = "error: network was disabled"
SETS = DependencySets(groups=("docs",), extras=("ml",), lock="uv.lock")


class LockUv(FakeUv):
    """A uv whose `lock --check` and `export` answer as told."""

    def __init__(self, root: Path, answers: Callable[[Sequence[str]], Answer]) -> None:
        super().__init__(root)
        self.answers = answers
        self.commands: list[Sequence[str]] = []

    def run(self, arguments: Sequence[str], **_: Any) -> Answer:
        self.commands.append(arguments)
        return self.answers(arguments)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "uv.lock").write_text(LOCK, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\nversion = '1'\n", encoding="utf-8")
    return tmp_path


def read(root: Path, exported: str, code: int = 0) -> tuple[str, LockUv]:
    uv = LockUv(root, lambda _: Answer(code=code, out=exported, err="" if code == 0 else "error: they conflict"))
    group = Group(name="a", file="", sets=SETS)
    lock = read_uv_lock(group, SETS, some_python("3.11"), uv=uv, cache=None, terms=SolveOptions())
    return lock.text, uv


def test_versions_are_the_lock_s_for_the_interpreter_with_their_hashes(root: Path) -> None:
    text, uv = read(root, EXPORTED)
    assert "torch==2.5+cpu \\\n    --hash=sha256:cc" in text
    assert "2.9" not in text
    assert [*uv.commands[0]][-4:] == ["--group", "docs", "--extra", "ml"]


def test_a_kernel_is_added_where_the_lock_has_none_at_a_version_that_fits(root: Path) -> None:
    text, uv = read(root, EXPORTED)
    assert "ipykernel==1" in text
    bounds = [option for question in uv.asked for option in question.options if "constraints" in option]
    assert bounds


def test_a_kernel_that_the_lock_has_is_kept(root: Path) -> None:
    text, uv = read(root, f"{EXPORTED}ipykernel==6.30\n")
    assert "ipykernel==6.30" in text
    assert not uv.asked


def test_indexes_that_the_lock_names_beside_pypi_are_looked_in(root: Path) -> None:
    text, _ = read(root, EXPORTED)
    assert text.startswith("--extra-index-url https://download.example/cpu\n-e file://")


def test_sets_that_uv_refuses_are_an_error_in_its_words(root: Path) -> None:
    with pytest.raises(BuildError, match="they conflict"):
        read(root, "", code=2)


@pytest.mark.parametrize(
    ("offline", "online", "dynamic", "fresh"),
    [
        (Answer(code=0, out="", err=""), None, False, True),
        (Answer(code=2, out="", err=STALE), Answer(code=2, out="", err=STALE), False, False),
        (Answer(code=2, out="", err=OFFLINE), Answer(code=0, out="", err=""), False, True),
        (Answer(code=2, out="", err=OFFLINE), Answer(code=2, out="", err=OFFLINE), False, False),
        (Answer(code=2, out="", err=OFFLINE), Answer(code=2, out="", err=OFFLINE), True, True),
        (Answer(code=2, out="", err=OFFLINE), Answer(code=1, out="", err="error: No solution found"), False, False),
    ],
)
def test_a_lock_is_stale_when_uv_would_write_another_one(
    root: Path, offline: Answer, online: Answer, *, dynamic: bool, fresh: bool
) -> None:
    if dynamic:
        text = "[project]\nname = 'mine'\nversion = '1'\ndynamic = ['dependencies']\n"
        (root / "pyproject.toml").write_text(text, encoding="utf-8")
    uv = LockUv(root, lambda arguments: offline if "--offline" in arguments else online)
    if fresh:
        check_fresh(uv, "/bin/3.11")
        return
    with pytest.raises(ConfigurationError, match=r"uv\.lock is stale") as told:
        check_fresh(uv, "/bin/3.11")
    assert "uv lock" in told.value.tip


@pytest.mark.parametrize(
    ("line", "begins"), [("", "Set `requires-python`"), ("requires-python = '>=3.9'\n", "Refresh")]
)
def test_a_lock_of_a_project_for_no_python_in_particular_needs_one(root: Path, line: str, begins: str) -> None:
    (root / "pyproject.toml").write_text(f"[project]\nname = 'mine'\nversion = '1'\n{line}", encoding="utf-8")
    with pytest.raises(ConfigurationError) as told:
        check_fresh(LockUv(root, lambda _: Answer(code=2, out="", err=STALE)), "/bin/3.11")
    assert told.value.tip.startswith(begins)


def test_no_lock_is_an_error_that_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no uv\.lock") as told:
        check_fresh(FakeUv(tmp_path), "/bin/3.11")
    assert "uv lock" in told.value.tip


def test_what_pypi_gave_counts_as_fresh_whatever_index_is_set(root: Path) -> None:
    uv = LockUv(root, lambda _: Answer(code=0, out="", err=""))
    check_fresh(uv, "/bin/3.11")
    assert "https://pypi.org/simple" in uv.commands[0]
