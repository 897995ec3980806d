"""Promise: a notebook finds its files and modules, sees only what it may, and is not disturbed by being watched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from worker_bench import Bench

from envsolver.worker.processes import RUN_MARK

pytestmark = pytest.mark.integration


# NotebookState


def environment_of(bench: Bench, **options: Any) -> dict[str, str]:
    result = bench.run("import os, json; print(json.dumps(dict(os.environ)))", **options)
    read: dict[str, str] = json.loads(bench.text_of(result))
    return read


def test_a_notebook_sees_only_what_it_may(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s")
    monkeypatch.setenv("WANTED_ONE", "w")
    monkeypatch.setenv("EXACT", "e")
    monkeypatch.setenv("LC_TEST", "l")
    seen = environment_of(bench, pass_env=("WANTED_*", "EXACT"), env={"MINE": "m", "OMP_NUM_THREADS": "7"}, cores=3)
    assert "SECRET_TOKEN" not in seen
    assert [seen[name] for name in ("WANTED_ONE", "EXACT", "LC_TEST", "MINE")] == ["w", "e", "l", "m"]
    assert (seen["OMP_NUM_THREADS"], seen["MKL_NUM_THREADS"]) == ("7", "3")
    assert seen["VIRTUAL_ENV"] == str(bench.prefix)
    assert seen["PATH"].split(os.pathsep)[1] == str(bench.prefix / "bin")
    assert seen[RUN_MARK] == bench.run_id


def test_a_persons_own_ipython_profile_does_not_leak_in(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "home" / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("leaked = 1", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert bench.run("leaked").status == "failed"


def test_relative_paths_and_local_modules_resolve(bench: Bench) -> None:
    (bench.root / "data").mkdir()
    (bench.root / "data" / "x.csv").write_text("1,2", encoding="utf-8")
    (bench.root / "nb").mkdir()
    (bench.root / "nb" / "helper.py").write_text("value = 3", encoding="utf-8")
    assert (
        bench.run("assert open('../data/x.csv').read() == '1,2'", "import helper; assert helper.value == 3").status
        == "passed"
    )


LAZY = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("lazy", "lazy.py")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = sys.modules["lazy"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""


def test_a_module_that_loads_when_it_is_used_is_not_loaded_by_being_looked_at(bench: Bench) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb/lazy.py").write_text("open('loaded.txt', 'w').close()\n", encoding="utf-8")
    result = bench.run(LAZY, "1", want_modules=True)
    assert (result.status, result.left_behind) == ("passed", ())


REPLACED = """
import os, json, subprocess, warnings
from unittest import mock
os.environ["MPLBACKEND"] = "agg"
for name in ("os.getcwd", "os.getpid", "os.open", "os.write", "os.close", "os.fsdecode", "json.dumps", "os.path.join",
             "os.path.normpath", "os.path.exists", "builtins.sorted"):
    with mock.patch(name) as replaced:
        open("data.csv").close()
        calls = list(replaced.mock_calls)
    assert not calls, (name, calls)
for name in ("os.getcwd", "os.path.exists", "json.dumps"):
    with mock.patch(name) as replaced:
        subprocess.run(["true"])
        warnings.warn(name)
        calls = list(replaced.mock_calls)
    assert not calls, (name, calls)
"""


def test_what_watches_a_notebook_is_no_part_of_what_the_notebook_replaces(bench: Bench) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb/data.csv").write_text("1", encoding="utf-8")
    result = bench.run(REPLACED)
    assert (result.reason, result.status) == ("", "passed")
    assert result.reading is not None
    assert "nb/data.csv" in {look.path for look in result.reading.looks}
    assert result.warning_count == 3


def test_what_could_not_be_told_for_want_of_a_descriptor_makes_a_pass_count_for_nothing(bench: Bench) -> None:
    full = "import os\nheld = []\ntry:\n    while True: held.append(os.dup(0))\nexcept OSError: pass\n"
    looked = "there = os.path.exists('absent.csv')\nfor number in held: os.close(number)"
    result = bench.run("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))", full + looked, "1")
    assert result.status == "passed"
    assert result.reading is not None
    assert "no file or no room was left" in result.reading.hindrance


def test_the_source_tree_is_untouched_and_what_is_left_behind_is_listed(bench: Bench) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb" / "in.txt").write_text("before", encoding="utf-8")
    result = bench.run(
        "open('in.txt', 'w').write('after')", "open('new.txt', 'w').write('n')", "open('../up.txt', 'w')"
    )
    assert (bench.root / "nb" / "in.txt").read_text(encoding="utf-8") == "before"
    assert result.left_behind == ("nb/in.txt", "nb/new.txt", "up.txt")
    assert not (bench.root / "nb" / "new.txt").exists()
    assert not (bench.root / "up.txt").exists()


def test_modules_are_told_when_wanted(bench: Bench) -> None:
    assert bench.run("import colorsys").modules == ()
    modules = bench.run("import colorsys", want_modules=True).modules
    assert "colorsys" in modules
    assert len(modules) > 100
