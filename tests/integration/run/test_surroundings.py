"""Promise: a run copes with what it finds: other runs, services, folders and files that are damaged or in the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from run_sandbox import Sandbox, marked_processes

pytestmark = pytest.mark.integration


def test_output_into_a_file_of_the_project_is_no_notebooks_change(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "import time; time.sleep(3)")
    sandbox.notebook("b.ipynb", "x = 1")  # whose verdict is told while the other one runs
    with (sandbox.root / "run.log").open("w") as log:
        command = sandbox.command("run", "--workers", "2")
        environment = sandbox.environ(ENVSOLVER_ISOLATION="copies")
        subprocess.run(command, cwd=sandbox.root, env=environment, stdout=log, stderr=log, check=False, timeout=280)
    assert set(sandbox.verdicts().values()) == {"passed"}, (sandbox.root / "run.log").read_text()


def test_a_user_who_has_a_number_and_no_name_is_served(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    nameless = "import getpass; getpass.getuser = lambda: {}['no name']; from envsolver.cli import main; main()"
    monkeypatch.setattr(sandbox, "command", lambda *words: [sys.executable, "-c", nameless, *words])
    sandbox.notebook("a.ipynb", "x = 1")
    done = sandbox.run()
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_runs_at_once_do_not_disturb_each_other(
    sandbox: Sandbox, started: Callable[..., subprocess.Popen[str]]
) -> None:
    for number in range(3):
        sandbox.notebook(f"n{number}.ipynb", "open('made.txt', 'x').close()")
    both = [started(), started()]
    outputs = [process.communicate(timeout=280)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    runs = [path for path in (sandbox.root / ".envsolver/runs").iterdir() if not path.is_symlink()]
    assert len(runs) == 2
    assert not (sandbox.root / "made.txt").exists()


def test_a_service_is_there_for_its_group_and_one_that_fails_is_told(sandbox: Sandbox) -> None:
    (sandbox.root / "requirements/other.in").write_text("")
    server = "python -m http.server {port} --bind 127.0.0.1"
    sandbox.configure(f"""
[groups.base]
services = ["files"]
[groups.other]
services = ["broken"]
[services.files]
command = "{server}"
ready = "http://127.0.0.1:{{port}}/"
env = {{ FILES_URL = "http://127.0.0.1:{{port}}/envsolver.toml" }}
[services.broken]
command = "python -c 'raise SystemExit(\\"no beam today\\")' {{port}}"
""")
    fetch = "import os, urllib.request\nanswer = urllib.request.urlopen(os.environ['FILES_URL'])"
    sandbox.notebook("a.ipynb", fetch, "assert b'services.files' in answer.read()", envsolver={"group": "base"})
    sandbox.notebook("b.ipynb", "x = 1", envsolver={"group": "other"})
    done = sandbox.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert sandbox.verdicts() == {"a.ipynb": "passed", "b.ipynb": "environment"}
    assert "no beam today" in sandbox.by_notebook()["b.ipynb"]["reason"]
    assert not marked_processes(sandbox.root)


def test_a_run_needs_no_network_once_its_environments_are_cached(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "x = 1")
    assert sandbox.run().returncode == 0
    done = sandbox.run(UV_OFFLINE="1", UV_CACHE_DIR=str(sandbox.root / "no-cache"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_controllers_packages_are_not_in_the_environment(sandbox: Sandbox) -> None:
    probe = "import importlib.util as u\nassert u.find_spec('{}') is None"
    sandbox.notebook("a.ipynb", *(probe.format(name) for name in ("envsolver", "parsl", "nbclient")))
    done = sandbox.run()
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("lost", ["ipykernel/kernelapp.py", "six.py"])
def test_an_environment_that_lost_a_file_is_mended_and_its_notebook_passes(sandbox: Sandbox, lost: str) -> None:
    (sandbox.root / "requirements" / "base.in").write_text("six\n")
    sandbox.notebook("a.ipynb", "import six")
    assert sandbox.run("-n", "1").returncode == 0
    prefix = Path(sandbox.results()["environments"][0]["prefix"])
    (file,) = prefix.glob(f"lib/*/site-packages/{lost}")
    file.unlink()
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
        compiled.unlink()
    mended = sandbox.run("-n", "1", "--rerun")
    assert mended.returncode == 0, mended.stdout
    assert file.exists()


def refused(sandbox: Sandbox, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command that is expected to end with a clear error."""
    done = subprocess.run(
        sandbox.command(*arguments),
        cwd=sandbox.root,
        env=sandbox.environ(**changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("options", [[], ["--sequential"]], ids=["parsl", "sequential"])
def test_a_plain_file_in_the_place_of_the_state_folder_is_one_clear_error(sandbox: Sandbox, options: list[str]) -> None:
    sandbox.notebook("a.ipynb", "1")
    (sandbox.root / ".envsolver").write_text("mine")
    done = refused(sandbox, "run", *options)
    assert done.returncode == 2
    assert ".envsolver: is a file" in done.stderr
    assert "Move or delete the file." in done.stderr


def test_a_cache_that_cannot_be_used_is_told_with_what_to_do(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "1")
    done = refused(sandbox, "run", ENVSOLVER_CACHE_DIR="/dev/null/cache")
    assert done.returncode == 5
    assert sandbox.verdicts() == {"a.ipynb": "environment"}
    assert "ENVSOLVER_CACHE_DIR" in sandbox.by_notebook()["a.ipynb"]["reason"]


def test_a_damaged_history_is_one_clear_error_and_the_next_run_begins_a_new_one(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "1")
    (sandbox.root / ".envsolver").mkdir()
    (sandbox.root / ".envsolver" / "history.sqlite").write_text("no database " * 100)
    before = refused(sandbox, "history")
    assert before.returncode == 2
    assert "history.sqlite: is not a history that can be read" in before.stderr
    assert refused(sandbox, "run").returncode == 0
    after = refused(sandbox, "history")
    assert after.returncode == 0
    assert "a.ipynb" in after.stdout


def test_a_strategy_runs_its_code_first_and_has_a_history_of_its_own(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "assert sample() == 'quick'")
    (sandbox.root / "mock.py").write_text("def sample():\n    return 'quick'\n")
    sandbox.configure("[strategies.smoke]\nbefore = 'mock.py'\n")
    assert sandbox.run("--strategy", "smoke").returncode == 0
    (result,) = sandbox.results()["results"]
    assert (result["status"], result["strategy"]) == ("passed", "smoke")
    executed = nbformat.read(sandbox.root / ".envsolver/runs/latest" / result["executed"], as_version=4)
    assert executed.cells[0].source.startswith("# mock.py, before the first cell\n")
    assert sandbox.run().returncode == 1
    assert "Strategy: smoke\ncached 1" in sandbox.run(ENVSOLVER_STRATEGY="smoke").stdout
