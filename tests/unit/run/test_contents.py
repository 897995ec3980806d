"""Promise: a place has the same state as long as nothing changed that a notebook could have noticed, and no longer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from envsolver.core.fingerprints import ABSENT, Look, Reading
from envsolver.run import contents
from envsolver.run.contents import Contents, Stamp

FILE, ASK, LIST, TREE = Look("file", "d/x"), Look("ask", "d/x"), Look("list", "d"), Look("tree", ".")
MODULES, LINK, METADATA = Look("modules", "d", "mod/other"), Look("link", "l"), Look("metadata", "d")
ALL = (FILE, ASK, LIST, TREE, MODULES, LINK, METADATA)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x").write_text("one")
    (tmp_path / "d/mod.py").write_text("a = 1")
    (tmp_path / "l").symlink_to("d/x")
    return tmp_path


def states(root: Path) -> dict[Look, str]:
    now = Contents(root, {})
    return {look: now.state(look) for look in ALL}


def folder_in_its_place(root: Path) -> None:
    (root / "d/x").unlink()
    (root / "d/x").mkdir()


def link_elsewhere(root: Path) -> None:
    (root / "l").unlink()
    (root / "l").symlink_to("d/mod.py")


def link_in_its_place(root: Path) -> None:
    (root / "d/x").replace(root / "z")
    (root / "d/x").symlink_to("../z")


def made_and_removed(root: Path) -> None:
    (root / "d/y").write_text("")
    (root / "d/y").unlink()


def old_link_in_its_place(root: Path) -> None:
    """Put a link to a file that did not change in a file's place, as another program does in one step."""
    (root / "new").symlink_to(root / "old/x")
    (root / "new").replace(root / "d/x")


def old_folder_in_its_place(root: Path) -> None:
    (root / "d").rename(root / "before")
    (root / "old").rename(root / "d")


CHANGES: dict[str, tuple[Callable[[Path], object], set[Look]]] = {
    "nothing": (lambda _: None, set()),
    "touched": (lambda root: (root / "d/x").touch(), set()),
    "same size": (lambda root: (root / "d/x").write_text("two"), {FILE, TREE}),
    "other size": (lambda root: (root / "d/x").write_text("three"), {FILE, ASK, TREE}),
    "gone": (lambda root: (root / "d/x").unlink(), {FILE, ASK, LIST, TREE}),
    "a new file": (lambda root: (root / "d/y").write_text(""), {LIST, TREE}),
    "a new file elsewhere": (lambda root: (root / "y").write_text(""), {TREE}),
    "a module": (lambda root: (root / "d/other.py").write_text(""), {LIST, TREE, MODULES}),
    "a package": (lambda root: (root / "d/other").mkdir(), {LIST, MODULES}),
    "no module": (lambda root: (root / "d/other.txt").write_text(""), {LIST, TREE}),
    "metadata": (lambda root: (root / "d/a.egg-info").mkdir(), {LIST, METADATA}),
    "compiled code": (lambda root: (root / "d/__pycache__").mkdir(), set()),
    "a run": (lambda root: (root / ".envsolver").mkdir(), set()),
    "a folder in its place": (folder_in_its_place, {FILE, ASK, LIST, TREE}),
    "a link elsewhere": (link_elsewhere, {LINK, TREE}),
    "a link with the same content in its place": (link_in_its_place, {TREE}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_shows_in_those_places_that_it_can_be_noticed_at(what: str, root: Path) -> None:
    before = states(root)
    change, noticed = CHANGES[what]
    change(root)
    now = states(root)
    assert {look for look in ALL if before[look] != now[look]} == noticed


def test_what_is_not_there_is_absent(root: Path) -> None:
    now = Contents(root, {})
    assert {now.state(Look(kind, "no/where")) for kind in ("file", "ask", "list", "link", "modules")} == {ABSENT}


def remembered(root: Path) -> dict[str, tuple[Stamp, str]]:
    now = Contents(root, {})
    now.state(FILE)
    return now.fresh


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**12))


@pytest.mark.usefixtures("settled")
def test_a_file_is_read_once(root: Path) -> None:
    known = {"d/x": (remembered(root)["d/x"][0], "the digest that is remembered")}
    assert Contents(root, known).state(FILE) == "the digest that is remembered"


@pytest.mark.usefixtures("settled")
def test_a_file_whose_size_and_times_were_put_back_is_read_again(root: Path) -> None:
    known = remembered(root)
    before = (root / "d/x").stat()
    time.sleep(0.02)  # a tick of the file system's clock
    (root / "d/x").write_text("two")
    os.utime(root / "d/x", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Contents(root, known).state(FILE) != known["d/x"][1]


def test_a_file_that_has_just_changed_is_not_remembered(root: Path) -> None:
    assert remembered(root) == {}


def began(root: Path) -> int:
    (root / "clock").touch()
    return (root / "clock").stat().st_mtime_ns


@pytest.mark.parametrize(
    ("change", "looks", "distrusted"),
    [
        (lambda _: None, (FILE, ASK, LIST, MODULES, LINK), False),
        (lambda root: (root / "d/x").write_text("two"), (FILE,), True),
        (lambda root: (root / "d/x").touch(), (ASK,), True),
        (lambda root: (root / "d/y").write_text(""), (FILE, ASK), False),
        (lambda root: (root / "d/y").write_text(""), (LIST,), True),
        (lambda root: (root / "d/y").write_text(""), (Look("ask", "d"),), False),
        (made_and_removed, (Look("file", "d/y"),), True),
        (old_link_in_its_place, (FILE,), True),
        (old_folder_in_its_place, (FILE,), True),
        (old_folder_in_its_place, (Look("file", "old/x"),), True),
        (lambda root: (root / "n.ipynb").write_text("{}"), (), True),
    ],
)
def test_what_changed_while_a_notebook_ran_is_not_trusted(
    change: Callable[[Path], object], looks: tuple[Look, ...], distrusted: bool, root: Path
) -> None:
    (root / "n.ipynb").write_text("")
    (root / "old").mkdir()
    (root / "old/x").write_text("old")
    time.sleep(0.02)
    start = began(root)
    time.sleep(0.02)
    change(root)
    reason = Contents(root, {}).distrust(Reading(looks=looks, began=start), "n.ipynb")
    assert ("changed while the notebook ran" in reason) is distrusted


def test_a_file_that_changes_while_it_is_read_is_like_nothing_that_was(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = contents.content_digest

    def changing(path: Path) -> str:
        found = read(path)
        time.sleep(0.02)
        path.write_text("two")
        return found

    monkeypatch.setattr(contents, "content_digest", changing)
    states = {Contents(root, {}).state(FILE) for _ in range(3)}
    assert len(states) == 3
    assert all(state.startswith("changing ") for state in states)


HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("hours", "reason"),
    [(0, ""), (-1, "the clock was set back while the notebook ran")],
)
def test_a_clock_that_was_set_back_since_a_notebook_began_is_noticed(
    hours: int, reason: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "n.ipynb").write_text("")
    time.sleep(0.02)
    reading, now = Reading(looks=(FILE,), began=began(root)), time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + hours * HOUR_NS)
    assert Contents(root, {}).distrust(reading, "n.ipynb") == reason


def test_a_file_that_is_newer_than_the_clock_is_not_trusted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, now = time.time_ns() - 2 * HOUR_NS, time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - HOUR_NS)
    (root / "n.ipynb").write_text("")
    reading = Reading(looks=(FILE,), began=began)
    assert Contents(root, {}).distrust(reading, "n.ipynb") == "n.ipynb has a time in the future"


def test_a_large_file_outside_of_the_project_is_told(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "large"
    with outside.open("wb") as file:
        file.truncate(contents.LARGEST_OUTSIDE + 1)
    (root / "n.ipynb").write_text("")
    time.sleep(0.02)
    reading = Reading(looks=(Look("file", str(outside)),), began=began(root))
    assert "above 64 MiB" in Contents(root, {}).distrust(reading, "n.ipynb")
