"""Promise: the scratch directory looks like the project, and writing in it never reaches the project."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from envsolver.worker import mirror, scratch
from envsolver.worker.private_directories import run_directory, temporary


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    files = {
        "pyproject.toml": "[project]",
        "data/x.csv": "1,2",
        "data/deep/y.csv": "3",
        "demos/nb/a.ipynb": "{}",
        "demos/nb/helper.py": "v = 1",
        "demos/nb/sub/more/z.txt": "z",
        "demos/shared.py": "s = 1",
        "demos/nb/.ipynb_checkpoints/a-checkpoint.ipynb": "{}",
        "demos/nb/__pycache__/helper.pyc": "",
        ".git/HEAD": "ref",
        ".envsolver/runs/old": "",
        "demos/nb/env/pyvenv.cfg": "home = x",
        "demos/nb/node_modules/m.js": "",
        ".hidden/h": "",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


class Maker:
    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.made: list[scratch.MirrorScratch] = []

    def __call__(self, root: Path, notebook: str) -> scratch.MirrorScratch:
        place = scratch.create(root, notebook, self.run_id, "copies")
        assert isinstance(place, scratch.MirrorScratch)
        self.made.append(place)
        return self.made[-1]


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Maker]:
    maker = Maker(f"{os.getpid()}-{request.node.name}")
    yield maker
    for place in maker.made:
        place.remove()
    assert not run_directory(maker.run_id).exists()


def test_relative_paths_resolve_as_at_home(make: Maker, project: Path) -> None:
    folder = make(project, "demos/nb/a.ipynb").folder
    for name in ("helper.py", "sub/more/z.txt", "../shared.py", "../../data/x.csv", "../../data/deep/y.csv"):
        assert (folder / name).read_text(encoding="utf-8") == (project / "demos/nb" / name).read_text(encoding="utf-8")
    assert folder.parts[-3:] == ("project", "demos", "nb")


def test_new_files_never_land_in_the_project(make: Maker, project: Path) -> None:
    before = set(project.rglob("*"))
    folder = make(project, "demos/nb/a.ipynb").folder
    for name in ("new", "sub/new", "../new", "../../new", "../../data/new", "../../data/deep/new"):
        (folder / name).write_text("new", encoding="utf-8")
    assert set(project.rglob("*")) == before


def test_files_of_the_notebooks_folder_may_be_overwritten(make: Maker, project: Path) -> None:
    folder = make(project, "demos/nb/a.ipynb").folder
    for name in ("helper.py", "sub/more/z.txt"):
        (folder / name).write_text("changed", encoding="utf-8")
        assert (project / "demos/nb" / name).read_text(encoding="utf-8") != "changed"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("demos/nb/.ipynb_checkpoints", "absent"),
        ("demos/nb/__pycache__", "absent"),
        (".envsolver", "absent"),
        (".git", "link"),
        (".hidden", "link"),
        ("demos/nb/env", "absent"),
        ("demos/nb/node_modules", "absent"),
        ("pyproject.toml", "real"),
        ("data/x.csv", "real"),
        ("data", "real"),
        ("demos/nb/helper.py", "real"),
    ],
)
def test_what_is_copied_what_is_linked_and_what_is_left_out(make: Maker, project: Path, name: str, what: str) -> None:
    path = make(project, "demos/nb/a.ipynb").root / name
    assert {"absent": not os.path.lexists(path), "link": path.is_symlink(), "real": path.exists()}[what]
    assert path.is_symlink() == (what == "link")


def test_a_notebook_in_the_root_has_its_sub_directories_copied(make: Maker, project: Path) -> None:
    (project / "top.ipynb").write_text("{}", encoding="utf-8")
    place = make(project, "top.ipynb")
    assert place.folder == place.root
    (place.folder / "data/x.csv").write_text("changed", encoding="utf-8")
    assert (project / "data/x.csv").read_text(encoding="utf-8") == "1,2"
    assert (place.root / ".git").is_symlink()


@pytest.mark.parametrize(
    ("bound", "value", "linked"),
    [
        ("LARGEST_COPY", 1, "demos/nb/helper.py"),
        ("COPIED_BYTES", 7, "demos/nb/sub/more/z.txt"),
        ("COPIED_FILES", 2, "demos/nb/sub/more/z.txt"),
        ("DIRECTORIES", 1, "demos/nb/sub/more"),
        ("ENTRIES", 0, "demos/nb/sub"),
    ],
)
def test_beyond_the_bounds_it_is_linked(  # noqa: PLR0917  # pytest passes fixtures by name
    make: Maker, project: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, linked: str
) -> None:
    monkeypatch.setattr(mirror, bound, value)
    place = make(project, "demos/nb/a.ipynb")
    assert (place.root / linked).is_symlink()
    assert (place.root / linked).exists()


def test_symbolic_links_are_kept_and_never_followed(make: Maker, project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "o.txt").write_text("o", encoding="utf-8")
    folder = project / "demos" / "nb"
    (folder / "dangling").symlink_to("nowhere")
    (folder / "cycle").symlink_to("..")
    (folder / "self").symlink_to("self")
    (folder / "inside").symlink_to("../../data/x.csv")
    (folder / "away").symlink_to("../../../outside")
    (folder / "absolute").symlink_to(outside / "o.txt")
    place = make(project, "demos/nb/a.ipynb")
    assert (place.folder / "dangling").is_symlink()
    assert (place.folder / "self").is_symlink()
    assert (place.folder / "cycle").resolve() == place.folder.parent
    assert (place.folder / "inside").read_text(encoding="utf-8") == "1,2"
    assert (place.folder / "away" / "o.txt").read_text(encoding="utf-8") == "o"
    assert (place.folder / "absolute").read_text(encoding="utf-8") == "o"


def test_what_is_no_file_is_left_out(make: Maker, project: Path) -> None:
    os.mkfifo(project / "demos" / "nb" / "pipe")
    assert not (make(project, "demos/nb/a.ipynb").folder / "pipe").exists()


def test_a_read_only_file_is_copied_writable(make: Maker, project: Path) -> None:
    (project / "demos/nb/helper.py").chmod(0o444)
    path = make(project, "demos/nb/a.ipynb").folder / "helper.py"
    assert path.stat().st_mode & stat.S_IWUSR


def test_new_and_changed_files_are_listed_and_nothing_else(make: Maker, project: Path) -> None:
    place = make(project, "demos/nb/a.ipynb")
    assert place.left_behind().paths == ()
    (place.folder / "helper.py").write_text("changed", encoding="utf-8")
    (place.folder / "figures").mkdir()
    (place.folder / "figures" / "f.png").write_text("", encoding="utf-8")
    (place.folder / "__pycache__").mkdir()
    (place.folder / "__pycache__" / "c.pyc").write_text("", encoding="utf-8")
    (place.root / "up.txt").write_text("", encoding="utf-8")
    assert place.left_behind().paths == ("demos/nb/figures/f.png", "demos/nb/helper.py", "up.txt")


def test_the_list_of_what_is_left_behind_is_bounded(make: Maker, project: Path) -> None:
    place = make(project, "demos/nb/a.ipynb")
    for number in range(300):
        (place.folder / f"f{number}").touch()
    assert place.left_behind().count == 300
    assert len(place.left_behind().paths) == 200


def test_the_directory_is_private_and_short_enough_for_sockets(make: Maker, project: Path) -> None:
    place = make(project, "demos/nb/a.ipynb")
    assert stat.S_IMODE(place.base.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.base.parent.stat().st_mode) == 0o700
    assert len(os.fsencode(place.base / "k-1")) < 100
    assert (place.base / "tmp").is_dir()


def test_a_long_temporary_directory_is_not_used(
    make: Maker, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    place = make(project, "demos/nb/a.ipynb")
    assert len(os.fsencode(place.base / "k-1")) < 100


def test_a_place_that_cannot_be_written_gives_way_to_one_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != Path("/tmp").resolve())  # noqa: S108
    assert temporary() == Path("/var/tmp").resolve()  # noqa: S108  it is only compared


def test_a_name_that_someone_else_took_is_not_used(make: Maker, project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    taken = run_directory(make.run_id)
    taken.symlink_to(elsewhere)
    try:
        place = make(project, "demos/nb/a.ipynb")
        assert not place.base.resolve().is_relative_to(elsewhere)
        assert list(elsewhere.iterdir()) == []
    finally:
        taken.unlink()


def test_removal_copes_with_read_only_directories(make: Maker, project: Path) -> None:
    place = make(project, "demos/nb/a.ipynb")
    (place.folder / "locked").mkdir()
    (place.folder / "locked" / "f").touch()
    (place.folder / "locked").chmod(0o500)
    place.remove()
    assert not place.base.exists()


def test_removal_spares_what_links_point_to(make: Maker, project: Path) -> None:
    make(project, "demos/nb/a.ipynb").remove()
    assert (project / ".git/HEAD").exists()
    assert (project / "data/x.csv").exists()


def test_a_file_elsewhere_that_a_notebook_writes_again_is_its_own(make: Maker, project: Path) -> None:
    place = make(project, "demos/nb/a.ipynb")
    (place.folder / "../../data/x.csv").write_text("changed", encoding="utf-8")
    assert (project / "data/x.csv").read_text(encoding="utf-8") == "1,2"
    assert place.left_behind().paths == ("data/x.csv",)
    assert place.changed_sources() == ()


def test_a_large_file_elsewhere_that_a_notebook_changes_is_told(make: Maker, project: Path) -> None:
    (project / "data/large.bin").write_bytes(bytes(mirror.SMALL_FILE + 1))
    place = make(project, "demos/nb/a.ipynb")
    assert (place.root / "data/large.bin").is_symlink()
    assert place.changed_sources() == ()
    with (place.root / "data/large.bin").open("ab") as file:
        file.write(b"more")
    assert place.changed_sources() == ("data/large.bin",)
