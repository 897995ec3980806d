"""Promise: what changed since a commit is what git says, and no notebook that may depend on it is left out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fakes import write_notebook

from envsolver.core.errors import ConfigurationError
from envsolver.run.since import changed_since, why_since


def git(root: Path, *arguments: str) -> None:
    name = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *name, *arguments], cwd=root, check=True, capture_output=True)  # noqa: S607


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project in a folder of a repository with two commits."""
    project = tmp_path / "repository/project"
    write_notebook(project, "first.ipynb", "%run second.ipynb")
    write_notebook(project, "second.ipynb", "1")
    write_notebook(project, "third.ipynb", "1")
    for name in ("kept.csv", "changed.csv", "gone.csv", "moved.csv", "../outside.csv"):
        (project / name).write_text(name)
    (project / ".gitignore").write_text("ignored")
    git(project.parent, "init", "-q")
    git(project.parent, "add", ".")
    git(project.parent, "commit", "-qm", "one")
    (project / "changed.csv").write_text("other")
    git(project.parent, "commit", "-qam", "two")
    (project / "gone.csv").unlink()
    (project / "moved.csv").rename(project / "naïve name.csv")
    (project / "ignored").touch()
    (project / "../outside.csv").write_text("other")
    return project


def test_changes_are_named_from_the_project_whether_committed_or_not(root: Path) -> None:
    assert changed_since(root, "HEAD") == ("gone.csv", "moved.csv", "naïve name.csv")
    assert changed_since(root, "HEAD~1") == ("changed.csv", "gone.csv", "moved.csv", "naïve name.csv")


@pytest.mark.parametrize("commit", ["nowhere", "--output=x", ""])
def test_what_is_no_commit_is_a_clear_error(root: Path, commit: str) -> None:
    with pytest.raises(ConfigurationError, match="--since"):
        changed_since(root, commit)
    assert not (root / "x").exists()


def test_a_folder_without_git_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--since"):
        changed_since(tmp_path, "HEAD")


@pytest.mark.parametrize(
    ("changed", "first", "third"),
    [
        ((), "", ""),
        (("first.ipynb",), "first.ipynb changed", ""),
        (("second.ipynb",), "second.ipynb changed, which it names", ""),
        (("second.ipynb", "x.csv"), "second.ipynb changed, which it names", "x.csv changed"),
    ],
)
def test_all_but_other_notebooks_that_it_does_not_name_may_matter(
    root: Path, changed: tuple[str, ...], first: str, third: str
) -> None:
    assert [why_since(root, name, changed) for name in ("first.ipynb", "third.ipynb")] == [first, third]


def test_a_name_counts_however_the_notebooks_file_writes_it(root: Path) -> None:
    write_notebook(root, "first.ipynb", "%run caf\u00e9.ipynb")
    assert why_since(root, "first.ipynb", ["caf\u00e9.ipynb"])
    text = (root / "first.ipynb").read_text()
    (root / "first.ipynb").write_text(text.replace("\\u00e9", "\u00e9"), encoding="utf-8")
    assert why_since(root, "first.ipynb", ["caf\u00e9.ipynb"])
