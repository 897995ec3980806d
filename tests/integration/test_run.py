"""Promises of a whole run, kept with the real uv, Parsl and kernels."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from fakes import PATIENCE, until
from nbformat.v4 import new_code_cell, new_notebook
from uv import find_uv_bin

from envsolver.worker.processes import JOB_MARK, RUN_MARK

pytestmark = pytest.mark.integration


class Sandbox:
    """A project in a temporary directory, and the command run in it."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        (root / "requirements").mkdir(parents=True)
        (root / "requirements" / "base.in").write_text("# only the kernel\n")
        self.configure("")

    def configure(self, text: str) -> None:
        (self.root / "envsolver.toml").write_text(text)

    def notebook(self, name: str, *cells: str, **metadata: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=metadata), path)

    def environ(self, **changes: str) -> dict[str, str]:
        return {**os.environ, "ENVSOLVER_CACHE_DIR": str(self.cache), **changes}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "envsolver", *arguments]

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("run", *arguments),
            cwd=self.root,
            env=self.environ(**changes),
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command("run", *arguments),
            cwd=self.root,
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / ".envsolver/runs/latest/results.json").read_text())
        return found

    def by_notebook(self) -> dict[str, dict[str, Any]]:
        return {result["notebook"]: result for result in self.results()["results"]}

    def verdicts(self) -> dict[str, str]:
        return {name: result["status"] for name, result in self.by_notebook().items()}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sandbox(tmp_path: Path, cache: Path) -> Sandbox:
    return Sandbox(tmp_path / "a project", cache)


@pytest.fixture
def started(sandbox: Sandbox, interruptible: None) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start runs that are ended, whatever happens to the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        processes.append(sandbox.start(*arguments))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def marked_processes(root: Path) -> list[psutil.Process]:
    """Return the living processes of runs in a project: they carry a run's mark and their job's root or directory."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if RUN_MARK in environ and process.status() != psutil.STATUS_ZOMBIE and _belongs(process, environ, root):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _belongs(process: psutil.Process, environ: dict[str, str], root: Path) -> bool:
    return environ.get("ENVSOLVER_TEST") == str(root) or environ.get("PWD") == str(root)


@pytest.fixture(autouse=True)
def recognisable(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all processes of this test's runs carry its name."""
    monkeypatch.setenv("ENVSOLVER_TEST", str(sandbox.root))
    monkeypatch.setenv("PWD", str(sandbox.root))


SLEEPER = """import subprocess, sys
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)"""
FOREVER = "import pathlib, time\nwhile True:\n    time.sleep(0.1)"


def test_each_verdict_is_the_truth(sandbox: Sandbox) -> None:
    sandbox.configure("""
timeout = 120
pass-env = ["ENVSOLVER_TEST"]
[notebook."skipped.ipynb"]
skip = "needs a licence"
[notebook."slow.ipynb"]
cell-timeout = 2
""")
    sandbox.notebook("passes.ipynb", "x = 1", "assert x == 1")
    sandbox.notebook("fails.ipynb", "x = 1", "raise ValueError('wrong sum')", "y = 2")
    sandbox.notebook("crashes.ipynb", "import os; os._exit(3)")
    sandbox.notebook("slow.ipynb", SLEEPER, FOREVER)
    sandbox.notebook("skipped.ipynb", "x = 1")
    sandbox.notebook("needs.ipynb", "import numpy, not_to_be_found")
    sandbox.notebook("hidden.ipynb", "__import__('num' + 'py')")
    sandbox.notebook("asks.ipynb", "name = input('who? ')")
    stale = {"name": "conda-env-py37", "display_name": "gone", "language": "python"}
    sandbox.notebook("stale.ipynb", "x = 1", kernelspec=stale)
    sandbox.notebook("empty.ipynb")
    (sandbox.root / "broken.ipynb").write_text('{"cells": [')
    (sandbox.root / "cellless.ipynb").write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}')
    done = sandbox.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert sandbox.verdicts() == {
        "passes.ipynb": "passed",
        "fails.ipynb": "failed",
        "crashes.ipynb": "crashed",
        "slow.ipynb": "timeout",
        "skipped.ipynb": "skipped",
        "needs.ipynb": "environment",
        "hidden.ipynb": "failed",
        "asks.ipynb": "failed",
        "stale.ipynb": "passed",
        "empty.ipynb": "passed",
        "broken.ipynb": "failed",
        "cellless.ipynb": "failed",
    }
    results = sandbox.by_notebook()
    assert results["fails.ipynb"]["failure"]["cell"] == 2
    assert "wrong sum" in results["fails.ipynb"]["failure"]["evalue"]
    assert results["crashes.ipynb"]["seconds"] < PATIENCE
    assert "numpy" in results["needs.ipynb"]["reason"]
    assert "base" in results["needs.ipynb"]["reason"]
    assert results["skipped.ipynb"]["reason"] == "needs a licence"
    assert "add what provides numpy to requirements/base.in" in results["hidden.ipynb"]["reason"]
    assert "3 passed, 8 failed, 1 skipped" in done.stdout
    assert not marked_processes(sandbox.root)


def test_groups_that_cannot_share_an_environment_run_at_the_same_time(sandbox: Sandbox) -> None:
    # Each waits for the other, so that they pass together or not at all.
    meeting = sandbox.root.parent / "meeting"
    meeting.mkdir()
    for group, version, other in (("old", "23.2", "new"), ("new", "24.2", "old")):
        (sandbox.root / f"requirements/{group}.in").write_text(f"packaging=={version}\n")
        sandbox.notebook(
            f"{group}.ipynb",
            f"import packaging, pathlib, time\nassert packaging.__version__ == '{version}'",
            f"meeting = pathlib.Path({str(meeting)!r})\n(meeting / '{group}').touch()",
            f"while not (meeting / '{other}').exists():\n    time.sleep(0.05)",
            envsolver={"group": group},
        )
    sandbox.configure("timeout = 120")
    assert sandbox.run("--workers", "2").returncode == 0
    old, new = sandbox.by_notebook()["old.ipynb"], sandbox.by_notebook()["new.ipynb"]
    assert old["environment"] != new["environment"]


def test_running_in_sequence_gives_the_same_verdicts(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "x = 1")
    sandbox.notebook("b.ipynb", "raise ValueError")
    assert sandbox.run("--sequential").returncode == 1
    assert sandbox.verdicts() == {"a.ipynb": "passed", "b.ipynb": "failed"}


def test_awkward_names_work(sandbox: Sandbox) -> None:
    names = ["sp ace/it's.ipynb", 'quo"te.ipynb', "naïve ∫.ipynb", "-dash.ipynb", "{brace}.ipynb", "$HOME;.ipynb"]
    for name in names:
        sandbox.notebook(name, "import pathlib\nassert pathlib.Path.cwd().exists()")
    done = sandbox.run("--", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sandbox.verdicts() == dict.fromkeys(names, "passed")


def test_failfast_reports_what_was_not_run(sandbox: Sandbox) -> None:
    sandbox.notebook("a.ipynb", "raise ValueError")
    for name in "bcd":
        sandbox.notebook(f"{name}.ipynb", "import time; time.sleep(5)")
    done = sandbox.run("--failfast", "--workers", "1", "--order", "name")
    assert done.returncode == 1
    assert sandbox.verdicts() == {"a.ipynb": "failed"}
    assert sandbox.results()["not_run"] == ["b.ipynb", "c.ipynb", "d.ipynb"]
    assert "b.ipynb" in done.stdout


def test_a_group_that_cannot_be_solved_is_explained_and_the_others_run(sandbox: Sandbox) -> None:
    (sandbox.root / "requirements/odd.in").write_text("# two of one\npackaging==23.2\npackaging==24.2\n")
    sandbox.notebook("good.ipynb", "x = 1", envsolver={"group": "base"})
    sandbox.notebook("odd.ipynb", "x = 1", envsolver={"group": "odd"})
    done = sandbox.run()
    assert done.returncode == 4, done.stdout + done.stderr
    assert sandbox.verdicts() == {"good.ipynb": "passed", "odd.ipynb": "environment"}
    reason = sandbox.by_notebook()["odd.ipynb"]["reason"]
    assert "requirements/odd.in:2" in reason
    assert "requirements/odd.in:3" in reason


def test_a_project_that_cannot_be_built_keeps_only_those_from_running_that_import_it(sandbox: Sandbox) -> None:
    (sandbox.root / "requirements/base.in").unlink()
    (sandbox.root / "envsolver.toml").unlink()
    (sandbox.root / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (sandbox.root / "backend.py").write_text("raise RuntimeError('no compiler')\n")
    (sandbox.root / "mine").mkdir()
    (sandbox.root / "mine/__init__.py").touch()
    sandbox.notebook("docs/mine.ipynb", "import mine")
    sandbox.notebook("docs/other.ipynb", "x = 1")
    done = sandbox.run()
    assert done.returncode == 5, done.stdout + done.stderr
    assert sandbox.verdicts() == {"docs/mine.ipynb": "environment", "docs/other.ipynb": "passed"}
    reason = sandbox.by_notebook()["docs/mine.ipynb"]["reason"]
    said = "the project's own package cannot be built: RuntimeError: no compiler; see why `"
    assert reason.startswith(said)
    _, *arguments = shlex.split(reason[len(said) :].partition("`")[0])
    command = [find_uv_bin(), *arguments]
    trial = subprocess.run(command, cwd=sandbox.root, capture_output=True, text=True, check=False, timeout=60)
    assert "RuntimeError: no compiler" in trial.stderr


@pytest.mark.parametrize(
    ("configuration", "arguments", "code", "said"),
    [
        ("", ["nothing-*.ipynb"], 3, "nothing-"),
        ("timeout = 'soon'\ncolour = 1\n", [], 2, "colour"),
        ("", ["--group", "nope"], 2, "the groups are: base"),
        ("", ["--workers", "0"], 2, "--workers"),
    ],
)
def test_what_cannot_be_done_ends_with_its_own_exit_code(
    sandbox: Sandbox, configuration: str, arguments: list[str], code: int, said: str
) -> None:
    sandbox.configure(configuration)
    sandbox.notebook("a.ipynb", "x = 1")
    done = sandbox.run(*arguments)
    assert done.returncode == code
    assert said in done.stderr


@pytest.mark.parametrize("times", [1, 3])
def test_an_interruption_keeps_what_is_finished_and_leaves_no_process(
    sandbox: Sandbox, started: Callable[..., subprocess.Popen[str]], times: int
) -> None:
    sandbox.configure("pass-env = ['ENVSOLVER_TEST']\n")
    sandbox.notebook("a.ipynb", "x = 1")
    sandbox.notebook("b.ipynb", SLEEPER, FOREVER)
    process = started("--workers", "1", "--order", "name")
    assert process.stdout is not None
    until(lambda: "a.ipynb" in process.stdout.readline())  # type: ignore[union-attr]  # asserted above
    until(lambda: any("sleep(300)" in " ".join(_words(p)) for p in marked_processes(sandbox.root)))
    for _ in range(times):  # as people do who want to be sure
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "STOPPED (not run=1)" in output
    assert sandbox.verdicts() == {"a.ipynb": "passed"}
    assert sandbox.results()["not_run"] == ["b.ipynb"]
    assert not marked_processes(sandbox.root)


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


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_controller_that_is_killed(
    sandbox: Sandbox, started: Callable[..., subprocess.Popen[str]], sent: signal.Signals
) -> None:
    sandbox.configure("pass-env = ['ENVSOLVER_TEST']\n")
    sandbox.notebook("b.ipynb", SLEEPER, FOREVER)
    process = started()
    until(lambda: any("sleep(300)" in " ".join(_words(p)) for p in marked_processes(sandbox.root)))
    os.kill(process.pid, sent)
    process.wait(PATIENCE)
    until(lambda: not marked_processes(sandbox.root))


def test_a_run_that_was_killed_never_reads_as_a_whole_one(
    sandbox: Sandbox, started: Callable[..., subprocess.Popen[str]]
) -> None:
    sandbox.configure("pass-env = ['ENVSOLVER_TEST']\n")
    sandbox.notebook("a.ipynb", SLEEPER, FOREVER)
    sandbox.notebook("b.ipynb", SLEEPER, FOREVER)
    process = started()
    until(lambda: any("sleep(300)" in " ".join(_words(p)) for p in marked_processes(sandbox.root)))
    process.kill()
    process.wait(PATIENCE)
    assert sandbox.results()["state"] == "running"
    assert sandbox.results()["not_run"] == ["a.ipynb", "b.ipynb"]
    for command in (["report", "--no-open"], ["merge", ".envsolver/runs/latest"]):
        ended = subprocess.run(
            [sys.executable, "-m", "envsolver", *command],
            cwd=sandbox.root,
            env=sandbox.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 1
        assert "the run has not come to its end" in ended.stdout + ended.stderr
        assert "b.ipynb" in ended.stdout + ended.stderr
    until(lambda: not marked_processes(sandbox.root))


def test_a_notebook_that_kills_its_worker_is_lost_and_the_others_pass(sandbox: Sandbox) -> None:
    # Between the two stands the kernel's keeper.
    worker = "int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])"
    worker = worker if sys.platform.startswith("linux") else "os.getppid()"
    sandbox.notebook("kills.ipynb", f"import os, signal, time\nos.kill({worker}, signal.SIGKILL)\ntime.sleep(60)")
    sandbox.notebook("other.ipynb", "x = 1")
    # In a process namespace of its own a notebook cannot reach its worker.
    done = sandbox.run("--workers", "2", ENVSOLVER_ISOLATION="copies")
    assert done.returncode == 1, done.stdout
    assert sandbox.verdicts() == {"kills.ipynb": "lost", "other.ipynb": "passed"}
    assert sandbox.by_notebook()["kills.ipynb"]["attempts"] == 2


def test_work_goes_on_when_a_pool_of_workers_is_killed(
    sandbox: Sandbox, started: Callable[..., subprocess.Popen[str]]
) -> None:
    sandbox.notebook("a.ipynb", "import time; time.sleep(4)")
    process = started()
    until(lambda: _pools(sandbox.root) and any("ipykernel_launcher" in _words(p) for p in _all_marked()))
    for pool in _pools(sandbox.root):
        pool.kill()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert sandbox.verdicts() == {"a.ipynb": "passed"}


SHORT_MARGIN = (
    "import envsolver.run.parsl.executor as e; e.MARGIN_SECONDS, e.TEMPLATE_SECONDS = 3.0, 0.0; "
    "from envsolver.cli import main; main()"
)
SHORT_SILENCE = (
    "import envsolver.run.parsl.pool as p; p.HEARTBEAT_THRESHOLD_SECONDS = 5; from envsolver.cli import main; main()"
)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("which", ["interchange", "pool"])
def test_a_run_ends_whichever_of_parsls_processes_falls_silent(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, which: str, sent: signal.Signals
) -> None:
    # What stops a pool is noticed by its interchange, and what stops that by the limit of its jobs.
    program = SHORT_SILENCE if which == "pool" else SHORT_MARGIN
    monkeypatch.setattr(sandbox, "command", lambda *words: [sys.executable, "-c", program, *words])
    # The limit leaves room for the start of a kernel on a busy machine.
    sandbox.configure("timeout = 6\n" if (which, sent) == ("interchange", signal.SIGSTOP) else "")
    sandbox.notebook("a.ipynb", "import time; time.sleep(1.5)")
    process = sandbox.start()
    try:
        until(lambda: any("ipykernel_launcher" in _words(p) for p in _of_run(sandbox, process)))
        for each in _parsls(sandbox, process, which):
            with contextlib.suppress(psutil.NoSuchProcess):  # what started it ends with it
                each.send_signal(sent)
        output, _ = process.communicate(timeout=3 * PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert sandbox.verdicts() == {"a.ipynb": "passed"}
    until(lambda: not marked_processes(sandbox.root))


def test_a_worker_that_was_stopped_is_replaced_long_after_its_jobs_limit_and_the_other_ones_job_stays(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", SHORT_MARGIN]
    monkeypatch.setattr(sandbox, "command", lambda *words: [*command, *words, "--cold", "--workers", "2"])
    sandbox.configure('[notebook."a.ipynb"]\ntimeout = 6\n')
    sandbox.notebook("a.ipynb", "import time; time.sleep(1.5)")
    sandbox.notebook("b.ipynb", "import time; time.sleep(25)")
    process = sandbox.start()
    try:
        (kernel,) = until(lambda: [p for p in _of_run(sandbox, process) if _runs(p, "a.ipynb")])
        psutil.Process(kernel.ppid()).send_signal(signal.SIGSTOP)
        output, _ = process.communicate(timeout=3 * PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "nothing came from its worker long after its limit" in output
    assert {name: found["attempts"] for name, found in sandbox.by_notebook().items()} == {"a.ipynb": 2, "b.ipynb": 1}
    assert set(sandbox.verdicts().values()) == {"passed"}
    until(lambda: not marked_processes(sandbox.root))


def _parsls(sandbox: Sandbox, process: subprocess.Popen[str], which: str) -> list[psutil.Process]:
    """Return a program of Parsl's: what started it, and what the server of forks made; a pool has workers."""
    every = _of_run(sandbox, process)
    servers = [each for each in every if any(word.endswith("fork_server.py") for word in _words(each))]
    numbers = {each.pid for each in servers}
    top = {each.pid for each in servers if each.ppid() not in numbers}
    made = [each for each in servers if each.ppid() in top and bool(each.children()) == (which == "pool")]
    assert made
    return [*made, *(each for each in every if which in _words(each))]


def _runs(process: psutil.Process, notebook: str) -> bool:
    """Return whether a process is the kernel of a notebook, whose job's number the mark tells."""
    try:
        number = f"-{1 + ord(notebook[0]) - ord('a'):04}-"
        return "ipykernel_launcher" in _words(process) and number in process.environ().get(JOB_MARK, "")
    except psutil.Error:
        return False


def _of_run(sandbox: Sandbox, process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [*marked_processes(sandbox.root), *psutil.Process(process.pid).children(recursive=True)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_workers_are_forked_from_a_server_that_has_imported_what_they_run(sandbox: Sandbox) -> None:
    sandbox.notebook(
        "a.ipynb",
        "import os\n"
        "parent = lambda pid: open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1]\n"
        "server = parent(parent(os.getppid()))\n"  # between the kernel and the worker stands the kernel's keeper
        "assert 'fork_server' in open(f'/proc/{server}/cmdline').read()",
    )
    done = sandbox.run("--cold", ENVSOLVER_ISOLATION="copies")  # elsewhere it sees no process but its own
    assert done.returncode == 0, done.stdout


def _pools(root: Path) -> list[psutil.Process]:
    return [p for p in marked_processes(root) if "pool" in _words(p)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _all_marked() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if RUN_MARK in process.environ():
                found.append(process)
        except psutil.Error:
            continue
    return found


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
