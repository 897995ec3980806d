"""Promises of test classes: they run with any runner, fail with the cell's error, and tell a notebook's variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import envsolver

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("testing")]

NOTEBOOKS = {
    "good.ipynb": ["n = 4", "estimate = n * 2\npair = (n, n + 1)\nthing = object()"],
    "bad.ipynb": ["x = 1", "def f(a):\n    return 1 / a\nf(0)"],
    "waits.ipynb": ["import time\ntime.sleep(300)"],
    "leaves.ipynb": ["x = 1", "exit()"],
    "skipped.ipynb": ["x = 1"],
}

TESTS = {
    "tb_good": """
class TestGood(NotebookTestCase):
    notebook = "nb/good.ipynb"

    def test_estimate(self):
        self.assertEqual(self.value("estimate"), 8)
        self.assertEqual(self.value("pair"), [4, 5])

    def test_unknown(self):
        self.value("estimat")

    def test_thing(self):
        self.value("thing")


class TestEdited(NotebookTestCase):
    notebook = "nb/good.ipynb"
    replace = {"n = 4": "n = 5"}

    def test_estimate(self):
        self.assertEqual(self.value("estimate"), 10)


class TestStopped(NotebookTestCase):
    notebook = "nb/good.ipynb"
    stop_at = "estimate"

    def test_estimate(self):
        self.value("estimate")


class TestParameters(NotebookTestCase):
    notebook = "nb/good.ipynb"
    skip_cells = ["n = 4"]
    parameters = {"n": 7}

    def test_estimate(self):
        self.assertEqual(self.value("estimate"), 14)
""",
    "tb_bad": """
class TestBad(NotebookTestCase):
    notebook = "nb/bad.ipynb"

    def test_value(self):
        self.value("x")


class TestWaits(NotebookTestCase):
    notebook = "nb/waits.ipynb"
    timeout = 3


class TestLeaves(NotebookTestCase):
    notebook = "nb/leaves.ipynb"
""",
    "tb_quick": """
class TestSkipped(NotebookTestCase):
    notebook = "nb/skipped.ipynb"


class TestOwnReason(NotebookTestCase):
    notebook = "nb/good.ipynb"
    skip = "not this week"


class TestNoReason(NotebookTestCase):
    notebook = "nb/good.ipynb"
    skip = ""


class TestNothing(NotebookTestCase):
    pass


class TestGone(NotebookTestCase):
    notebook = "nb/gone.ipynb"


class TestWrong(NotebookTestCase):
    notebook = "nb/good.ipynb"
    timeout = "soon"


class TestUnknownGroup(NotebookTestCase):
    notebook = "nb/good.ipynb"
    group = "nope"
""",
}


class Sandbox:
    """A project with notebooks and test files."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache = root, cache
        for folder in ("requirements", "nb", "tests/booktests"):
            (root / folder).mkdir(parents=True)
        (root / "requirements/base.in").write_text("# only the kernel\n")
        (root / "envsolver.toml").write_text("[notebook.'nb/skipped.ipynb']\nskip = 'needs a licence'\n")
        for name, cells in NOTEBOOKS.items():
            nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), root / "nb" / name)
        for name, body in TESTS.items():
            source = f"from envsolver.testing import NotebookTestCase\n\n{body}"
            (root / f"tests/booktests/{name}.py").write_text(source)

    def python(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        paths = [str(Path(envsolver.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=cwd or self.root,
            env={
                **os.environ,
                "ENVSOLVER_CACHE_DIR": str(self.cache),
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def pytest(self, *arguments: str) -> tuple[dict[str, str], str]:
        """Run pytest; return the verdict of each test by class and name, and all that it printed."""
        options = ("-v", "-p", "no:cacheprovider", "-W", "error", "--color=no")
        done = self.python("pytest", *options, *arguments)
        verdicts = {}
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) > 1 and "::" in words[0] and words[1] in {"PASSED", "FAILED", "SKIPPED", "ERROR"}:
                verdicts[words[0].split("::", 1)[1].replace("::", ".")] = words[1].lower()
        return verdicts, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    directory = tmp_path_factory.mktemp("testing")
    return Sandbox(directory / "a project", directory / "cache")


def test_variables_and_edits_are_what_the_test_file_says(sandbox: Sandbox) -> None:
    verdicts, text = sandbox.pytest("tests/booktests/tb_good.py")
    assert verdicts == {
        "TestGood.test_notebook": "passed",
        "TestGood.test_estimate": "passed",
        "TestGood.test_unknown": "failed",
        "TestGood.test_thing": "failed",
        "TestEdited.test_notebook": "passed",
        "TestEdited.test_estimate": "passed",
        "TestStopped.test_notebook": "passed",
        "TestStopped.test_estimate": "failed",
        "TestParameters.test_notebook": "passed",
        "TestParameters.test_estimate": "passed",
    }, text
    assert "nb/good.ipynb has no variable `estimat` at its end; near: estimate" in text
    assert "`thing` of nb/good.ipynb is of type object" in text


def test_a_failure_shows_the_cells_error_and_nothing_of_envsolver(sandbox: Sandbox) -> None:
    verdicts, text = sandbox.pytest("tests/booktests/tb_bad.py")
    assert verdicts == {
        "TestBad.test_notebook": "failed",
        "TestBad.test_value": "failed",
        "TestWaits.test_notebook": "failed",
        "TestLeaves.test_notebook": "passed",
    }, text
    assert "nb/bad.ipynb failed: cell 2: ZeroDivisionError: division by zero (base, Python" in text
    assert "> 3   f(0)" in text
    assert "nb/waits.ipynb timeout: cell 1 was still running" in text
    assert "nb/bad.ipynb did not pass: cell 2 raised ZeroDivisionError" in text
    assert "envsolver/testing.py" not in text


def test_what_cannot_run_is_skipped_with_its_reason_or_fails_with_one(sandbox: Sandbox) -> None:
    verdicts, text = sandbox.pytest("tests/booktests/tb_quick.py", "-rs")
    assert {name.removesuffix(".test_notebook"): verdict for name, verdict in verdicts.items()} == {
        "TestSkipped": "skipped",
        "TestOwnReason": "skipped",
        "TestNoReason": "failed",
        "TestNothing": "failed",
        "TestGone": "failed",
        "TestWrong": "failed",
        "TestUnknownGroup": "failed",
    }, text
    for said in (
        "needs a licence",
        "not this week",
        "TestNoReason is skipped without a reason",
        "TestNothing names no notebook",
        "nb/gone.ipynb: there is no such notebook",
        'TestWrong: timeout: must be a number, not the text "soon"',
        "nope",
    ):
        assert said in text


@pytest.mark.parametrize("where", ["root", "elsewhere"])
def test_unittest_runs_a_test_file_from_anywhere(sandbox: Sandbox, where: str, tmp_path: Path) -> None:
    directory = sandbox.root / "tests/booktests"
    if where == "root":
        done = sandbox.python("unittest", "tests/booktests/tb_bad.py", "-k", "TestBad.test_notebook")
    else:
        discovery = ("discover", "-s", str(directory), "-p", "tb_bad.py", "-k", "TestBad.test_notebook")
        done = sandbox.python("unittest", *discovery, cwd=tmp_path)
    assert "Ran 1 test" in done.stderr
    assert "FAILED (failures=1)" in done.stderr
    assert "AssertionError: nb/bad.ipynb failed: cell 2: ZeroDivisionError" in done.stderr
    assert 'envsolver/testing.py"' not in done.stderr
    assert done.returncode == 1


def test_a_test_leaves_no_run_behind_and_one_copy_to_look_at(sandbox: Sandbox) -> None:
    for _ in range(2):
        sandbox.pytest("tests/booktests/tb_good.py", "-k", "TestGood and notebook")
    assert not (sandbox.root / ".envsolver/runs").exists()
    assert len(list((sandbox.root / ".envsolver/booktests").glob("good-*/executed/*/nb/good.ipynb"))) == 1
    assert len(list((sandbox.root / ".envsolver/booktests").glob("good-*/logs/*"))) == 1
