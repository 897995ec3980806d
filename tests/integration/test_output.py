"""What a run shows never decides it: views that fail are given up, and what is shown commands and betrays nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.integration

OBEYED = re.compile(r"^\s*::(set-output|error::forged|add-mask)|##\[|##vso\[|section_start:", re.MULTILINE)
FORGED = r'"boom\n::set-output name=x::1\n##[error]y\n##vso[task.x]z\nsection_start:1:a"'
ADDRESS = "https://ada:s3cretword@127.0.0.1:1/simple"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/base.in").write_text("# only the kernel\n")
    (tmp_path / "envsolver.toml").write_text("")
    notebook(tmp_path, "good", "x = 1")
    notebook(tmp_path, "bad ☃ é", f"raise ValueError({FORGED})")
    return tmp_path


def notebook(root: Path, name: str, *cells: str) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), root / f"{name}.ipynb")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "envsolver", "run", "--sequential", *arguments]


def environ(cache: Path, **changes: str) -> dict[str, str]:
    return {**os.environ, "ENVSOLVER_CACHE_DIR": str(cache), **changes}


def run(root: Path, cache: Path, stdout: int | IO[Any] | None = None, **changes: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command(),
        cwd=root,
        env=environ(cache, **changes),
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=280,
    )
    return done.returncode, (done.stdout or b"").decode("latin-1"), done.stderr.decode("latin-1")


def verdicts(root: Path) -> dict[str, str]:
    results = json.loads((root / ".envsolver/runs/latest/results.json").read_text(encoding="utf-8"))["results"]
    return {result["notebook"]: result["status"] for result in results}


BOTH = {"good.ipynb": "passed", "bad ☃ é.ipynb": "failed"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_lacks_characters_shows_all_lines(root: Path, cache: Path, encoding: str) -> None:
    code, shown, errors = run(root, cache, PYTHONIOENCODING=encoding)
    assert (code, errors, verdicts(root)) == (1, "", BOTH)
    assert "1 passed, 1 failed, 0 skipped" in shown


def test_a_full_device_ends_the_view_and_not_the_run(root: Path, cache: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        code, _, errors = run(root, cache, full)
    assert (code, verdicts(root)) == (1, BOTH)
    assert errors.splitlines() == [
        "envsolver: nothing more is shown, since standard output cannot be written: No space left on device"
    ]


def test_a_reader_that_goes_ends_the_view_and_not_the_run(root: Path, cache: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code, _, errors = run(root, cache, writer)
    finally:
        os.close(writer)
    assert (code, verdicts(root)) == (1, BOTH)
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_streams_that_are_closed_change_no_verdict(root: Path, cache: Path, closed: str) -> None:
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", *command()]
    done = subprocess.run(line, cwd=root, env=environ(cache), stderr=subprocess.PIPE, check=False, timeout=280)
    assert (done.returncode, done.stderr, verdicts(root)) == (1, b"", BOTH)


def test_a_terminal_that_was_closed_changes_no_verdict(root: Path, cache: Path) -> None:
    ours, theirs = pty.openpty()
    os.close(ours)
    try:
        # It is not the controlling terminal, so that no signal tells of its end.
        code, _, errors = run(root, cache, theirs, TERM="xterm")
    finally:
        os.close(theirs)
    assert (code, verdicts(root)) == (1, BOTH)
    assert "Traceback" not in errors


@pytest.mark.parametrize("system", [{}, {"GITHUB_ACTIONS": "true"}])
def test_what_a_notebook_says_commands_no_ci_system(root: Path, cache: Path, system: dict[str, str]) -> None:
    _, shown, errors = run(root, cache, None, **system)
    assert "boom" in shown
    assert not OBEYED.search(shown + errors)
    assert ("\n::error file=bad" in shown) is bool(system)


def test_the_report_of_a_test_file_commands_no_ci_system(root: Path, cache: Path) -> None:
    (root / "test_bad.py").write_text(
        "from envsolver.testing import NotebookTestCase\n"
        'class TestBad(NotebookTestCase):\n    notebook = "bad ☃ é.ipynb"\n',
        encoding="utf-8",
    )
    for runner in (("pytest", "-q", "-p", "no:cacheprovider"), ("unittest", "-v")):
        target = "test_bad.py" if runner[0] == "pytest" else "test_bad"
        done = subprocess.run(
            [sys.executable, "-m", *runner, target],
            cwd=root,
            env=environ(cache),
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert "boom" in done.stdout + done.stderr
        assert not OBEYED.search(done.stdout + done.stderr)


def test_credentials_of_an_address_leave_no_trace(root: Path, cache: Path) -> None:
    (root / "requirements/far.in").write_text(f"tinylib @ {ADDRESS}/tinylib-1.0-py3-none-any.whl\n")
    (root / "envsolver.toml").write_text('[notebook."far.ipynb"]\ngroup = "far"\n')
    notebook(root, "far", "import tinylib")
    notebook(root, "says", f"raise ValueError('no answer from {ADDRESS}')")
    notebook(root, "installs", f"%pip install git+{ADDRESS}/x.git")
    code, shown, errors = run(root, cache)
    assert code
    assert verdicts(root)["far.ipynb"] == "environment"
    assert "127.0.0.1:1/simple" in shown
    folder = (root / ".envsolver/runs/latest").resolve()
    # The executed copies hold the notebooks' own cells.
    told = [path for path in folder.rglob("*") if path.is_file() and "executed" not in path.parts]
    assert {"results.json", "report.html", "junit.xml"} <= {path.name for path in told}
    assert [path.name for path in told if b"s3cretword" in path.read_bytes()] == []
    assert "s3cretword" not in shown + errors


def test_each_reason_is_shown_once_and_whole(root: Path, cache: Path) -> None:
    words = " ".join(f"word{number}" for number in range(80))
    (root / "envsolver.toml").write_text(f'[notebook."good.ipynb"]\nskip = "{words}"\n')
    notebook(root, "asks", "input()")
    _, shown, _ = run(root, cache)
    reason = next(
        result["reason"]
        for result in json.loads((root / ".envsolver/runs/latest/results.json").read_text(encoding="utf-8"))["results"]
        if result["notebook"] == "asks.ipynb"
    )
    assert shown.count(words) == 1
    assert shown.count(reason.rpartition("; ")[2]) == 1
