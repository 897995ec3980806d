"""Promise: whatever of a run dies or falls silent, the run ends, and other notebooks pass."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from fakes import PATIENCE, until
from run_sandbox import Sandbox, marked_processes, words_of

from envsolver.worker.processes import JOB_MARK, RUN_MARK

pytestmark = pytest.mark.integration


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
    until(lambda: _pools(sandbox.root) and any("ipykernel_launcher" in words_of(p) for p in _all_marked()))
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
        until(lambda: any("ipykernel_launcher" in words_of(p) for p in _of_run(sandbox, process)))
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
    servers = [each for each in every if any(word.endswith("fork_server.py") for word in words_of(each))]
    numbers = {each.pid for each in servers}
    top = {each.pid for each in servers if each.ppid() not in numbers}
    made = [each for each in servers if each.ppid() in top and bool(each.children()) == (which == "pool")]
    assert made
    return [*made, *(each for each in every if which in words_of(each))]


def _runs(process: psutil.Process, notebook: str) -> bool:
    """Return whether a process is the kernel of a notebook, whose job's number the mark tells."""
    try:
        number = f"-{1 + ord(notebook[0]) - ord('a'):04}-"
        return "ipykernel_launcher" in words_of(process) and number in process.environ().get(JOB_MARK, "")
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
    return [p for p in marked_processes(root) if "pool" in words_of(p)]


def _all_marked() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if RUN_MARK in process.environ():
                found.append(process)
        except psutil.Error:
            continue
    return found
