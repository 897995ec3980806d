"""Promise: a kept directory is for the next notebook as a new one is, whatever the last one did in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from envsolver.worker import mirror, scratch
from envsolver.worker.private_directories import remove, run_directory

NOTEBOOK = "docs/nb/a.ipynb"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in (
        "pyproject.toml",
        "data/x.csv",
        "data/deep/y.csv",
        "docs/nb/a.ipynb",
        "docs/nb/sub/z.txt",
        "docs/m.py",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}", encoding="utf-8")
    (root / "docs/nb/link").symlink_to("../m.py")
    (root / ".git").mkdir()
    return root


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"{os.getpid()}-{request.node.name}"
    yield name
    remove(run_directory(name))


def state(place: Path) -> dict[str, tuple[object, ...]]:
    """Give all that a notebook could find in a directory, and cannot set back."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(place):
        for name in [*names, *files]:
            path = Path(directory, name)
            status = path.lstat()
            content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            time = status.st_mtime_ns if path.is_file() and not path.is_symlink() else 0
            found[str(path.relative_to(place))] = (status.st_mode, content, time)
    return found


def rewrite_in_secret(home: Path) -> None:
    """Change a file's text, and set its size and time back."""
    path = home / "docs/nb/sub/z.txt"
    before = path.stat()
    path.write_text("TEXT OF docs/nb/sub/z.txt")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def replace_folder_by_link(home: Path) -> None:
    shutil.rmtree(home / "docs/nb/sub")
    (home / "docs/nb/sub").symlink_to("/")


def turn_link(home: Path) -> None:
    (home / "docs/nb/link").unlink()
    (home / "docs/nb/link").symlink_to("sub")


def file_for_folder(root: Path) -> None:
    shutil.rmtree(root / "docs/nb/sub")
    (root / "docs/nb/sub").write_text("x")


def folder_for_file(root: Path) -> None:
    (root / "docs/m.py").unlink()
    (root / "docs/m.py").mkdir()
    (root / "docs/m.py/inside").write_text("x")


def add_beside_everything(home: Path) -> None:
    (home.parent / "beside.txt").write_text("x")
    (home / "docs/nb/new").mkdir()
    (home / "docs/nb/new/f").write_text("x")
    (home / "docs/nb/__pycache__").mkdir()


def close_a_folder(home: Path) -> None:
    (home / "data/deep/y.csv").write_text("changed")
    (home / "data/deep").chmod(0)


DEEDS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda home: None,
    "changes a file": lambda home: (home / "docs/nb/sub/z.txt").write_text("other"),
    "changes a file in secret": rewrite_in_secret,
    "changes a file elsewhere": lambda home: (home / "data/x.csv").write_text("other"),
    "deletes a file": lambda home: (home / "docs/nb/sub/z.txt").unlink(),
    "deletes a folder": lambda home: shutil.rmtree(home / "data"),
    "makes a file executable": lambda home: (home / "docs/m.py").chmod(0o777),
    "opens a folder to all": lambda home: (home / "docs/nb/sub").chmod(0o777),
    "closes a folder": close_a_folder,
    "adds files": add_beside_everything,
    "turns a link": turn_link,
    "a file for a folder": file_for_folder,
    "a folder for a file": folder_for_file,
    "a link for a folder": replace_folder_by_link,
    "renames its folder": lambda home: (home / "docs/nb").rename(home / "docs/other"),
    "renames all": lambda home: home.rename(home.parent / "other"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_the_next_notebook_finds_what_it_would_find_in_a_new_directory(project: Path, run_id: str, deed: str) -> None:
    before = state(project)
    first = scratch.create(project, NOTEBOOK, run_id)
    new = state(first.root)
    DEEDS[deed](first.root)
    first.keep()
    assert not first.base.exists()
    second = scratch.create(project, NOTEBOOK, run_id)
    assert state(second.root) == new
    assert [path.name for path in second.root.parent.iterdir()] == ["project"]
    assert second.left_behind() == ()
    assert second.changed_sources() == ()
    # It can be told again what this one leaves behind.
    (second.folder / "figure.png").write_text("x")
    (second.root / "docs/m.py").write_text("y")
    assert second.left_behind() == ("docs/m.py", "docs/nb/figure.png")
    second.remove()
    assert state(project) == before


def change(root: Path) -> None:
    (root / "docs/nb/sub/z.txt").write_text("new text")


def link_for_folder(root: Path) -> None:
    shutil.rmtree(root / "data")
    (root / "data").symlink_to("docs")


def linked_whole(root: Path) -> None:
    (root / "data/pyvenv.cfg").write_text("home = x")  # a virtualenv is linked as a whole


EDITS: dict[str, Callable[[Path], object]] = {
    "changed": change,
    "added": lambda root: (root / "docs/nb/sub/more.txt").write_text("x"),
    "deleted": lambda root: (root / "docs/nb/sub/z.txt").unlink(),
    "folder deleted": lambda root: shutil.rmtree(root / "data"),
    "link for folder": link_for_folder,
    "file for folder": file_for_folder,
    "folder for file": folder_for_file,
    "linked as a whole": linked_whole,
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_changes_in_the_project_meanwhile_is_seen(project: Path, run_id: str, edit: str) -> None:
    scratch.create(project, NOTEBOOK, run_id).keep()
    EDITS[edit](project)
    after = state(project)
    second = scratch.create(project, NOTEBOOK, run_id)
    new = scratch.create(project, NOTEBOOK, f"{run_id}-new")
    try:
        assert state(second.root) == state(new.root)
    finally:
        second.remove()
        new.remove()
    assert state(project) == after


def test_what_nobody_touched_is_not_copied_again(project: Path, run_id: str) -> None:
    first = scratch.create(project, NOTEBOOK, run_id)
    inodes = {path: (first.root / path).lstat().st_ino for path in state(first.root)}
    (first.root / "docs/m.py").write_text("changed")
    first.keep()
    second = scratch.create(project, "docs/nb/b.ipynb", run_id)
    changed = {path for path, inode in inodes.items() if (second.root / path).lstat().st_ino != inode}
    assert changed <= {"docs/m.py"}
    second.remove()


FOLDERS = (".", "docs", "docs/nb", "docs/nb/sub", "data/deep", "docs/.hidden", "whole", "none")


@pytest.mark.parametrize("bound", ["", "COPIED_FILES", "SMALL_FILES", "SMALL_FILE", "DIRECTORIES", "ENTRIES"])
@pytest.mark.parametrize("after", FOLDERS)
@pytest.mark.parametrize("before", FOLDERS)
def test_a_notebook_of_another_folder_finds_what_it_would_find_in_a_new_directory(
    project: Path, run_id: str, monkeypatch: pytest.MonkeyPatch, *, before: str, after: str, bound: str
) -> None:
    (project / "docs/.hidden").mkdir()
    (project / "docs/.hidden/h.txt").write_text("hidden")
    (project / "whole").mkdir()
    (project / "whole/pyvenv.cfg").write_text("home = x")  # a virtualenv: linked as a whole, but for its own notebooks
    if bound:
        monkeypatch.setattr(mirror, bound, 2)
    source = state(project)
    scratch.create(project, f"{before}/a.ipynb", run_id).keep()
    second = scratch.create(project, f"{after}/a.ipynb", run_id)
    new = scratch.create(project, f"{after}/a.ipynb", f"{run_id}-new")
    try:
        assert state(second.root) == state(new.root)
        assert second.mirror.seen == new.mirror.seen
        assert second.mirror.sources == new.mirror.sources
        assert second.left_behind() == ()
        assert second.folder.is_dir()
    finally:
        second.remove()
        new.remove()
    assert state(project) == source


@pytest.mark.parametrize(("notebook", "same"), [("docs/b.ipynb", True), (NOTEBOOK, False)], ids=["folder", "run"])
def test_what_is_kept_serves_other_folders_but_no_other_run(
    project: Path, run_id: str, notebook: str, *, same: bool
) -> None:
    first = scratch.create(project, NOTEBOOK, run_id)
    inode = (first.root / "docs/m.py").stat().st_ino
    first.keep()
    second = scratch.create(project, notebook, run_id if same else f"{run_id}-other")
    assert ((second.root / "docs/m.py").stat().st_ino == inode) is same
    second.remove()


def test_only_the_last_is_kept(project: Path, run_id: str) -> None:
    for notebook in (NOTEBOOK, "docs/b.ipynb", "c.ipynb"):
        scratch.create(project, notebook, run_id).keep()
    assert len(list(run_directory(run_id).iterdir())) == 1


def test_a_large_one_is_not_kept(project: Path, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "CACHED_BYTES", 10)
    scratch.create(project, NOTEBOOK, run_id).keep()
    assert not run_directory(run_id).exists()


def test_one_that_was_cleared_away_meanwhile_is_made_anew(project: Path, run_id: str) -> None:
    scratch.create(project, NOTEBOOK, run_id).keep()
    remove(run_directory(run_id))
    second = scratch.create(project, NOTEBOOK, run_id)
    assert (second.root / "docs/m.py").exists()
    second.remove()
