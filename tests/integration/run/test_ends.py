"""Promise: however a run ends, what it knows is kept, it reads as what it is, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from fakes import PATIENCE, until
from run_sandbox import FOREVER, SLEEPER, Sandbox, marked_processes, words_of

pytestmark = pytest.mark.integration


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
    until(lambda: any("sleep(300)" in " ".join(words_of(p)) for p in marked_processes(sandbox.root)))
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


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_controller_that_is_killed(
    sandbox: Sandbox, started: Callable[..., subprocess.Popen[str]], sent: signal.Signals
) -> None:
    sandbox.configure("pass-env = ['ENVSOLVER_TEST']\n")
    sandbox.notebook("b.ipynb", SLEEPER, FOREVER)
    process = started()
    until(lambda: any("sleep(300)" in " ".join(words_of(p)) for p in marked_processes(sandbox.root)))
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
    until(lambda: any("sleep(300)" in " ".join(words_of(p)) for p in marked_processes(sandbox.root)))
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
