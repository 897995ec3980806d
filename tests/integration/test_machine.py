"""What the machine lacks is done without, or is one clear error before anything runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.integration

UNSHARE = shutil.which("unshare") or ""
SETPRIV = shutil.which("setpriv") or ""
as_root = pytest.mark.skipif(os.getuid() != 0 or not UNSHARE or not SETPRIV, reason="it needs root")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    for name in ("a", "b"):
        nbformat.write(
            new_notebook(cells=[new_code_cell("import tempfile; tempfile.mkdtemp()")]), root / f"{name}.ipynb"
        )
    return root


def run(
    root: Path, cache: Path, *arguments: str, before: str = "", within: Sequence[str] = (), **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run the notebooks; `before` is what a shell does first, `within` a mount namespace or what is given."""
    command: Sequence[str] = [sys.executable, "-m", "envsolver", "run", *arguments]
    if before:
        command = [*(within or [UNSHARE, "--mount"]), "bash", "-c", f'{before}; exec "$@"', "bash", *command]
    return subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "ENVSOLVER_CACHE_DIR": str(cache), **changes},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def verdicts(root: Path) -> dict[str, str]:
    results = json.loads((root / ".envsolver/runs/latest/results.json").read_text(encoding="utf-8"))["results"]
    return {result["notebook"]: result["status"] for result in results}


PASSED = {"a.ipynb": "passed", "b.ipynb": "passed"}


def test_a_temporary_directory_with_a_long_path_serves_and_is_left_as_it_was(root: Path, cache: Path) -> None:
    place = root.parent / ("x" * 90)
    place.mkdir()
    done = run(root, cache, TMPDIR=str(place))
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(root) == PASSED
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["two words", "it's", 'a"b', "a$b", "a{b}"])
def test_a_temporary_directory_whose_path_needs_quotes_serves(root: Path, cache: Path, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as parent:
        place = Path(parent) / name
        place.mkdir()
        done = run(root, cache, TMPDIR=str(place))
        assert done.returncode == 0, done.stdout + done.stderr
        assert verdicts(root) == PASSED
        assert list(place.iterdir()) == []


def test_a_run_leaves_nothing_in_the_temporary_directory(root: Path, cache: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as place:  # its path must be short
        done = run(root, cache, TMPDIR=place)
        assert done.returncode == 0, done.stdout + done.stderr
        assert os.listdir(place) == []  # noqa: PTH208  # names are enough


@as_root
def test_shared_memory_that_cannot_be_written_is_one_error_that_says_what_to_do(root: Path, cache: Path) -> None:
    before = "mount -t tmpfs -o ro tmpfs /dev/shm"
    done = run(root, cache, before=before)
    assert done.returncode == 2
    assert "no semaphore can be made in shared memory" in done.stderr
    assert "--sequential" in done.stderr
    assert "Traceback" not in done.stderr
    done = run(root, cache, "--sequential", before=before)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(root) == PASSED


@pytest.mark.parametrize(("limit", "workers"), [(20, 1), (40, 2), (60, 4)])
def test_a_limit_of_processes_that_is_too_low_is_one_error_that_says_what_to_do(
    root: Path, cache: Path, limit: int, workers: int
) -> None:
    done = run(root, cache, "--workers", str(workers), before=f"ulimit -u {limit}", within=ordinary(limit))
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"this user may have {limit} processes and threads (`ulimit -u`)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--sequential",)])
def test_a_limit_of_addresses_that_is_too_low_is_one_error_that_says_what_to_do(
    root: Path, cache: Path, arguments: Sequence[str]
) -> None:
    done = run(root, cache, *arguments, before="ulimit -v 500000", within=["env"])
    assert done.returncode == 2, done.stdout + done.stderr
    assert "a process may have 488 MiB of address space (`ulimit -v`)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / ".envsolver/runs").exists()


def ordinary(number: int) -> Sequence[str]:
    """Return what makes the administrator an ordinary user, who may read the interpreter wherever that stands."""
    if os.getuid() != 0:
        return ["env"]
    if not SETPRIV:
        pytest.skip("no setpriv")
    user = 64_000 + number
    capabilities = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return [SETPRIV, f"--reuid={user}", f"--regid={user}", "--clear-groups", *capabilities]


@as_root
def test_on_a_full_disk_the_verdicts_are_told_all_the_same(root: Path, cache: Path) -> None:
    (root / ".envsolver").mkdir()
    done = run(root, cache, before="mount -t tmpfs -o size=4k tmpfs .envsolver")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 0 failed, 0 skipped" in done.stdout
    assert "No space left on device" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@as_root
def test_a_read_only_cache_that_has_the_environment_serves(root: Path, cache: Path) -> None:
    assert run(root, cache).returncode == 0
    locked = f"mount --bind {cache} {cache}; mount -o remount,bind,ro {cache}"
    done = run(root, cache, before=locked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 0 failed, 0 skipped" in done.stdout


@as_root
def test_a_read_only_project_is_one_error_that_says_what_to_do(root: Path, cache: Path) -> None:
    done = run(root, cache, before=f"mount --bind {root} {root}; mount -o remount,bind,ro {root}; cd {root}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert ".envsolver" in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr
