"""Promise: an environment has its bytecode when it is used, and only that of its own sources."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from envsolver.environments.bytecode import compiling, link_bytecode, site_packages
from envsolver.environments.in_environment.compile_bytecode import compile_sources


def virtualenv(prefix: Path) -> Path:
    """Make a virtualenv with nothing in it, and return its directory of packages."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    site = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    site.mkdir(parents=True)
    return site


def package(site: Path, name: str, shared: Path | None = None, text: str = "value = 1\n") -> Path:
    """Put a package into an environment, as uv does: linked to what another one has, or copied."""
    (site / f"{name}-1.0.dist-info").mkdir()
    (site / name).mkdir()
    source = site / name / "__init__.py"
    if shared is None:
        source.write_text(text, encoding="utf-8")
    else:
        os.link(shared, source)
    return source


def compile_missing(prefix: Path) -> None:
    subprocess.run([str(prefix / "bin" / "python"), *compiling(prefix)], check=True)


def bytecode(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source)))


def test_bytecode_of_a_shared_file_is_linked_and_loads_under_its_own_path(tmp_path: Path) -> None:
    donor, own = virtualenv(tmp_path / "a"), virtualenv(tmp_path / "b")
    shared = package(donor, "mine", text="def place():\n    return __import__('sys')._getframe().f_code.co_filename\n")
    compile_missing(tmp_path / "a")
    linked = package(own, "mine", shared)
    assert link_bytecode(tmp_path / "b", [tmp_path / "a"]) == 1
    assert bytecode(linked).samefile(bytecode(shared))
    code = f"import sys; sys.path.insert(0, {str(own)!r}); import mine; print(mine.place(), mine.__cached__)"
    said = subprocess.run([sys.executable, "-v", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(linked), str(bytecode(linked))]
    assert f"# {bytecode(linked)} matches" in said.stderr.replace("'", "")


@pytest.mark.parametrize("same_time", [True, False])
def test_bytecode_of_another_file_is_not_taken(tmp_path: Path, *, same_time: bool) -> None:
    donor, own = virtualenv(tmp_path / "a"), virtualenv(tmp_path / "b")
    theirs, ours = package(donor, "mine", text="value = 1\n"), package(own, "mine", text="value = 2\n")
    if same_time:
        os.utime(ours, (theirs.stat().st_atime, theirs.stat().st_mtime))
    compile_missing(tmp_path / "a")
    assert link_bytecode(tmp_path / "b", [tmp_path / "a"]) == 0
    compile_missing(tmp_path / "b")
    code = f"import sys; sys.path.insert(0, {str(own)!r}); import mine; print(mine.value)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "2\n"


def test_a_module_whose_name_begins_like_another_gets_its_own(tmp_path: Path) -> None:
    donor, own = virtualenv(tmp_path / "a"), virtualenv(tmp_path / "b")
    shared = package(donor, "mine")
    (donor / "mine" / "__init__.more.py").write_text("value = 3\n", encoding="utf-8")
    compile_missing(tmp_path / "a")
    package(own, "mine", shared)
    (own / "mine" / "__init__.more.py").write_text("value = 4\n", encoding="utf-8")
    assert link_bytecode(tmp_path / "b", [tmp_path / "a"]) == 1
    assert not bytecode(own / "mine" / "__init__.more.py").exists()


def test_each_donor_gives_what_is_still_missing(tmp_path: Path) -> None:
    sources: dict[tuple[str, str], Path] = {}
    for place, names in {"a": "xy", "b": "z", "c": "xyz"}.items():
        site = virtualenv(tmp_path / place)
        for name in names:
            sources[place, name] = package(site, name, next((s for (_, n), s in sources.items() if n == name), None))
        if place != "c":
            compile_missing(tmp_path / place)
    assert link_bytecode(tmp_path / "c", [tmp_path / "b", tmp_path / "a", tmp_path / "gone"]) == 3


def test_what_does_not_compile_is_passed_over(tmp_path: Path) -> None:
    site = virtualenv(tmp_path / "a")
    good, bad, odd = package(site, "good"), package(site, "bad", text="print 'old'\n"), package(site, "odd")
    odd.write_bytes(b"# \xff\xfe\x00")
    compile_missing(tmp_path / "a")
    assert [bytecode(source).exists() for source in (good, bad, odd)] == [True, False, False]


def test_tests_of_packages_are_left_out_wherever_the_environment_lies(tmp_path: Path) -> None:
    site = virtualenv(tmp_path / "tests" / "a")
    inside = package(site, "mine").parent / "tests"
    inside.mkdir()
    (inside / "test_mine.py").write_text("value = 1\n", encoding="utf-8")
    compile_missing(tmp_path / "tests" / "a")
    assert bytecode(site / "mine" / "__init__.py").exists()
    assert not (inside / "__pycache__").exists()


def test_what_has_bytecode_is_not_compiled_again(tmp_path: Path) -> None:
    source = package(virtualenv(tmp_path / "a"), "mine")
    py_compile.compile(str(source))
    before = bytecode(source).stat().st_ino
    compile_missing(tmp_path / "a")
    assert bytecode(source).stat().st_ino == before


def test_compiling_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    source = package(virtualenv(tmp_path / "a"), "mine")
    compile_sources([str(source)], parent=os.getpid())  # our own parent is another process
    assert not bytecode(source).exists()


def test_a_prefix_without_packages_is_left_alone(tmp_path: Path) -> None:
    assert site_packages(tmp_path) is None
    assert link_bytecode(tmp_path, [tmp_path]) == 0
