"""Promise: a run's processes and directories go with it, also when its controller is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fakes import start_marked, until

from envsolver.worker import processes
from envsolver.worker.guardian import owned, start_guardian
from envsolver.worker.private_directories import make_private, run_directory
from envsolver.worker.processes import RUN_MARK, marked

ROOT = Path(__file__).parents[3]


def test_what_a_run_started_ends_before_its_directories_go(run_id: str, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    seen: list[tuple[list[psutil.Process], bool]] = []
    with owned(run_id, [private]) as ended:
        make_private(run_directory(run_id))
        assert os.environ[RUN_MARK] == run_id
        process = start_marked(run_id, "sleep", "600")
        assert [each.pid for each in marked(RUN_MARK, run_id)] == [process.pid]
        ended.callback(lambda: seen.append((marked(RUN_MARK, run_id), private.exists())))
    process.wait()
    assert seen == [([], True)]
    assert not private.exists()
    assert not run_directory(run_id).exists()


@pytest.mark.parametrize("before", [None, "outer"])
def test_the_mark_is_as_before_after_a_run_that_raised(
    run_id: str, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv(RUN_MARK, raising=False)
    if before:
        monkeypatch.setenv(RUN_MARK, before)
    with pytest.raises(ZeroDivisionError), owned(run_id) as ended:
        ended.callback(lambda: 1 / 0)
    assert os.environ.get(RUN_MARK) == before


CONTROLLER = """
import os, subprocess, sys, time
from envsolver.worker.processes import RUN_MARK
from envsolver.worker.guardian import start_guardian
run_id, directory, how = sys.argv[1:]
guardian = start_guardian(run_id, [directory])
environment = {**os.environ, RUN_MARK: run_id}
subprocess.Popen(["sh", "-c", "setsid sleep 600 & sleep 600"], env=environment)
if how == "forked":
    if os.fork() == 0:  # holds the pipe open
        time.sleep(30)
        os._exit(0)
print(guardian.pid, flush=True)
time.sleep(600)
"""


def controller(run_id: str, directory: Path, how: str) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, run_id, str(directory), how], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    guardian = psutil.Process(int(process.stdout.readline()))
    process.stdout.close()
    until(lambda: len(marked(RUN_MARK, run_id)) >= 2)
    return process, guardian


@pytest.mark.parametrize("how", ["plain", "forked"])
def test_when_the_controller_is_killed_the_guardian_ends_the_run(run_id: str, tmp_path: Path, how: str) -> None:
    private = tmp_path / "private"
    (private / "deep").mkdir(parents=True)
    (private / "deep").chmod(0o500)
    process, guardian = controller(run_id, private, how)
    process.kill()
    process.wait()
    until(lambda: marked(RUN_MARK, run_id) == [])
    until(lambda: not private.exists())
    until(lambda: not guardian.is_running() or guardian.status() == psutil.STATUS_ZOMBIE)


def test_a_dismissed_guardian_touches_nothing(run_id: str, tmp_path: Path) -> None:
    guardian = start_guardian(run_id, [tmp_path])
    with start_marked(run_id, "sleep", "600") as process:
        guardian.dismiss()
        guardian.dismiss()
        assert process.poll() is None
        assert tmp_path.exists()
        assert not psutil.pid_exists(guardian.pid)
        process.kill()


def test_a_guardian_that_is_stopped_keeps_no_run_from_its_end(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    guardian = start_guardian(run_id)
    os.kill(guardian.pid, signal.SIGSTOP)
    guardian.dismiss()
    assert not psutil.pid_exists(guardian.pid)


def test_the_guardian_is_out_of_reach_of_ctrl_c_and_of_its_own_sweep(
    run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_MARK, run_id)
    guardian = start_guardian(run_id)
    try:
        assert os.getpgid(guardian.pid) != os.getpgid(0)
        until(lambda: b"envsolver.worker.guardian" in Path(f"/proc/{guardian.pid}/cmdline").read_bytes())
        assert marked(RUN_MARK, run_id) == []
    finally:
        guardian.dismiss()


def test_the_guardian_survives_polite_signals(run_id: str) -> None:
    guardian = start_guardian(run_id)
    process = psutil.Process(guardian.pid)
    try:
        until(lambda: "SigIgn" in status(guardian.pid) and ignored(guardian.pid, signal.SIGTERM))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        time.sleep(0.1)
        assert process.status() != psutil.STATUS_ZOMBIE
    finally:
        guardian.dismiss()


def status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


def ignored(pid: int, number: signal.Signals) -> bool:
    line = next(line for line in status(pid).splitlines() if line.startswith("SigIgn"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
