"""Environments are built once, never half, and removed only when nobody uses them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes import FakeUv

from envsolver.core.environments import Interpreter, Lock
from envsolver.core.errors import BuildError, InterruptedRunError
from envsolver.environments.file_lock import BusyError, file_lock
from envsolver.environments.store import Entry, Store, cache_directory
from envsolver.resolver.locks import make_lock

SIX = "six==1.17.0 \\\n    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a base interpreter that may be deleted."""
    python = tmp_path / "base" / "python3"
    python.parent.mkdir()
    python.touch()
    return python


@pytest.fixture
def uv(tmp_path: Path) -> FakeUv:
    return FakeUv(tmp_path)


@pytest.fixture
def store(tmp_path: Path, uv: FakeUv) -> Iterator[Store]:
    made = Store(tmp_path / "cache", uv)
    yield made
    made.release()


def locked(python: Path, text: str = SIX, group: str = "a", version: str = "3.11.7") -> Lock:
    interpreter = Interpreter(request="3.11", executable=str(python), version=version, platform="cpython-linux-x86_64")
    return make_lock(group, interpreter, text)


def test_an_environment_is_built_once_and_is_where_it_was_said_to_be(store: Store, uv: FakeUv, base: Path) -> None:
    expected = store.prefix_for(locked(base))
    first, second = store.ensure(locked(base)), store.ensure(locked(base))
    assert (first.built, second.built) == (True, False)
    assert first.prefix == second.prefix == expected
    assert first.key == store.key_for(locked(base))
    assert (expected / "bin" / "python").exists()
    assert len(uv.built) == 1


def test_asking_for_a_key_or_a_prefix_builds_nothing(store: Store, uv: FakeUv, base: Path) -> None:
    assert len(store.key_for(locked(base))) == 64
    assert not store.prefix_for(locked(base)).exists()
    assert not store.has(locked(base))
    assert uv.built == []


def test_two_groups_with_the_same_lock_share_an_environment(store: Store, uv: FakeUv, base: Path) -> None:
    keys = {store.ensure(locked(base, group=group)).key for group in ("a", "b")}
    assert len(keys) == len(uv.built) == 1


@pytest.mark.parametrize("change", ["text", "version", "executable", "setting"])
def test_whatever_changes_the_content_changes_the_key(
    tmp_path: Path, uv: FakeUv, base: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = Store(tmp_path, uv).key_for(locked(base))
    if change == "setting":
        monkeypatch.setenv("UV_NO_BINARY_PACKAGE", "six")
    other = locked(
        tmp_path / "other" if change == "executable" else base,
        text=SIX.replace("4721", "4722") if change == "text" else SIX,
        version="3.11.8" if change == "version" else "3.11.7",
    )
    assert Store(tmp_path, uv).key_for(other) != before


def test_settings_that_only_a_solve_depends_on_do_not_change_the_key(
    tmp_path: Path, uv: FakeUv, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Store(tmp_path, uv).key_for(locked(base))
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2024-01-01")
    assert Store(tmp_path, uv).key_for(locked(base)) == before


def test_a_half_built_environment_is_removed_and_rebuilt(store: Store, uv: FakeUv, base: Path) -> None:
    environment = store.ensure(locked(base))
    (environment.prefix.parent / "complete.json").unlink()
    (environment.prefix / "leftover").touch()
    assert store.ensure(locked(base)).built
    assert not (environment.prefix / "leftover").exists()


def test_an_environment_whose_interpreter_was_deleted_is_rebuilt(store: Store, uv: FakeUv, base: Path) -> None:
    store.ensure(locked(base))
    base.unlink()
    assert not store.has(locked(base))
    base.touch()
    store.prefix_for(locked(base)).joinpath("bin", "python").unlink()
    assert store.ensure(locked(base)).built


@pytest.mark.parametrize("failure", [BuildError("no such package", tip="do this"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing_that_looks_complete(
    store: Store, uv: FakeUv, base: Path, failure: BaseException
) -> None:
    uv.failure = failure
    with pytest.raises(type(failure)):
        store.ensure(locked(base))
    assert not store.has(locked(base))
    assert not store.prefix_for(locked(base)).exists()
    uv.failure = None
    assert store.ensure(locked(base)).built


def test_a_failed_build_names_the_group_and_keeps_uvs_words_and_the_tip(store: Store, uv: FakeUv, base: Path) -> None:
    uv.failure = BuildError("no such package", tip="do this")
    with pytest.raises(BuildError) as caught:
        store.ensure(locked(base))
    assert caught.value.message == ("the environment of group a (Python 3.11.7) could not be built:\nno such package")
    assert caught.value.tip == "do this"


@pytest.mark.parametrize(
    ("text", "required"), [(SIX, True), ("# words\n" + SIX, True), (SIX + "-e file:///home/a\n    # 00\n", False)]
)
def test_hashes_are_required_unless_something_cannot_have_them(
    store: Store, uv: FakeUv, base: Path, text: str, required: bool
) -> None:
    store.ensure(locked(base, text))
    assert uv.hashed == [required]


def test_threads_that_want_the_same_environment_build_it_once(store: Store, uv: FakeUv, base: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: store.ensure(locked(base)), range(8)))
    assert sum(environment.built for environment in made) == len(uv.built) == 1


def test_entries_tell_what_the_cache_holds(store: Store, base: Path) -> None:
    store.ensure(locked(base))
    (entry,) = store.entries()
    assert (entry.key, entry.group, entry.python) == (store.key_for(locked(base)), "a", "3.11.7")
    assert (entry.packages, entry.complete, entry.in_use) == (1, True, True)
    assert entry.size >= len(SIX)
    assert entry.used >= entry.built > 0


def test_the_longest_unused_comes_first(store: Store, base: Path) -> None:
    for group, version in (("a", "3.11.7"), ("b", "3.11.8")):
        store.ensure(locked(base, group=group, version=version))
    old = store.prefix_for(locked(base, version="3.11.8")).parent / "complete.json"
    os.utime(old, (1, 1))
    assert [entry.group for entry in store.entries()] == ["b", "a"]


def test_using_an_environment_makes_it_recently_used(store: Store, base: Path) -> None:
    environment = store.ensure(locked(base))
    os.utime(environment.prefix.parent / "complete.json", (1, 1))
    store.ensure(locked(base))
    assert store.entries()[0].used > 1


def test_an_environment_in_use_stays(store: Store, base: Path) -> None:
    environment = store.ensure(locked(base))
    assert store.evict(store.entries()) == ()
    assert environment.prefix.exists()


def test_an_environment_that_nobody_uses_is_removed(store: Store, base: Path) -> None:
    environment = store.ensure(locked(base))
    store.release()
    assert [entry.key for entry in store.evict(store.entries())] == [environment.key]
    assert store.entries() == ()
    assert not environment.prefix.parent.exists()


def test_a_user_that_died_does_not_keep_an_environment(store: Store, base: Path) -> None:
    environment = store.ensure(locked(base))
    store.release()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = os.uname().nodename
    (environment.prefix.parent / "users" / f"{dead.pid}-1.00-{host}").touch()
    (environment.prefix.parent / "users" / f"{os.getpid()}-1.00-{host}").touch()
    assert not store.entries()[0].in_use


def test_a_run_on_another_machine_keeps_an_environment(store: Store, base: Path) -> None:
    environment = store.ensure(locked(base))
    store.release()
    (environment.prefix.parent / "users" / "1-1.00-another-machine").touch()
    assert store.entries()[0].in_use


def test_only_directories_with_our_tag_are_entries_or_removed(store: Store, base: Path) -> None:
    store.ensure(locked(base))
    alien = store.directory / "alien"
    (alien / "precious").mkdir(parents=True)
    assert alien not in [entry.directory for entry in store.entries()]
    assert store.evict([Entry(key="", directory=alien, group="", python="")]) == ()
    assert (alien / "precious").exists()


def test_a_directory_of_somebody_else_is_never_built_over(store: Store, base: Path) -> None:
    home = store.prefix_for(locked(base)).parent
    home.mkdir(parents=True)
    (home / "precious").touch()
    with pytest.raises(BuildError, match="in the way"):
        store.ensure(locked(base))
    assert (home / "precious").exists()


def test_the_cache_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENVSOLVER_CACHE_DIR", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("ENVSOLVER_CACHE_DIR")
    assert cache_directory().name == "envsolver"


def test_a_program_that_outlives_its_run_keeps_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    killed = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(killed, fcntl.LOCK_EX)
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(killed,))
    os.close(killed)
    try:
        with pytest.raises(BusyError), file_lock(path, wait=False):
            pass
    finally:
        program.kill()
        program.wait()
    with file_lock(path, wait=False):
        pass


def test_a_stopped_run_does_not_wait_for_somebody_elses_build(store: Store, uv: FakeUv, base: Path) -> None:
    home = store.prefix_for(locked(base)).parent
    home.parent.mkdir(parents=True)
    uv.stop()
    with file_lock(home.with_name(home.name + ".lock")), pytest.raises(InterruptedRunError):
        store.ensure(locked(base))


def test_an_environment_that_is_being_built_is_not_removed(store: Store, base: Path) -> None:
    environment = store.ensure(locked(base))
    store.release()
    home = environment.prefix.parent
    with file_lock(home.with_name(home.name + ".lock")):
        assert store.evict(store.entries()) == ()
    assert environment.prefix.exists()


def test_an_environment_whose_packages_were_deleted_is_built_anew(store: Store, uv: FakeUv, base: Path) -> None:
    environment = store.ensure(locked(base))
    package = environment.prefix / "lib" / "python3.11" / "site-packages" / "six.py"
    assert package.exists()
    package.unlink()
    assert not store.has(locked(base))
    assert store.ensure(locked(base)).built
    assert package.exists()


@pytest.mark.parametrize("name", ["envsolver.json", "complete.json"])
@pytest.mark.parametrize("damage", ["truncated", "cut", "changed", "deleted"])
def test_an_environment_whose_record_is_damaged_is_built_anew(
    store: Store, uv: FakeUv, base: Path, name: str, damage: str
) -> None:
    record = store.ensure(locked(base)).prefix.parent / name
    text = record.read_text()
    if damage == "deleted":
        record.unlink()
    else:
        record.write_text({"truncated": "", "cut": text[:20], "changed": text.replace("a", "b")}[damage])
    assert store.is_broken(locked(base))
    assert store.ensure(locked(base)).built
    assert not store.is_broken(locked(base))
    assert not store.ensure(locked(base)).built
    assert len(uv.built) == 2


@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_an_environment_with_a_damaged_tag_is_seen_and_removed(store: Store, base: Path, damage: str) -> None:
    home = store.ensure(locked(base)).prefix.parent
    store.release()
    (home / "envsolver.json").write_text("")
    if damage == "deleted":
        (home / "envsolver.json").unlink()
    assert [entry.directory for entry in store.evict(store.entries())] == [home]
    assert not home.exists()


def test_files_that_a_package_lost_are_found_and_the_environment_is_built_anew(
    store: Store, uv: FakeUv, base: Path
) -> None:
    environment = store.ensure(locked(base))
    assert store.discard_damaged(environment) == ()
    assert not store.ensure(locked(base)).built
    (environment.prefix / "lib" / "python3.11" / "site-packages" / "deep" / "part.py").unlink()
    assert store.discard_damaged(environment) == ("deep/part.py",)
    assert store.ensure(locked(base)).built


@pytest.mark.parametrize("text", [None, "\0", '"'])
def test_a_package_whose_own_record_is_gone_counts_as_missing(store: Store, base: Path, text: str | None) -> None:
    environment = store.ensure(locked(base))
    record = next(environment.prefix.glob("lib/*/site-packages/*.dist-info/RECORD"))
    if text is None:
        record.unlink()
    else:
        record.write_text(text)
    assert store.discard_damaged(environment)


def test_what_a_package_never_had_is_no_damage(store: Store, uv: FakeUv, base: Path) -> None:
    uv.never_had = "lost.py"
    environment = store.ensure(locked(base))
    assert store.discard_damaged(environment) == ()


@pytest.fixture
def unwritable(store: Store, base: Path) -> Path:
    """Return an environment's directory whose lock cannot be taken, not even by root."""
    home = store.prefix_for(locked(base)).parent
    home.with_name(f"{home.name}.lock").mkdir(parents=True)
    return home


def test_a_cache_that_cannot_be_written_serves_what_it_has(store: Store, uv: FakeUv, base: Path) -> None:
    before = store.ensure(locked(base))
    store.release()
    lock = before.prefix.parent.with_name(f"{before.prefix.parent.name}.lock")
    lock.unlink()
    lock.mkdir()
    after = store.ensure(locked(base))
    assert (after.prefix, after.built, len(uv.built)) == (before.prefix, False, 1)


@pytest.mark.usefixtures("unwritable")
def test_a_cache_that_cannot_be_written_and_lacks_the_environment_is_one_clear_error(store: Store, base: Path) -> None:
    with pytest.raises(BuildError) as raised:
        store.ensure(locked(base))
    assert str(store.directory) in raised.value.message
    assert "ENVSOLVER_CACHE_DIR" in raised.value.tip
