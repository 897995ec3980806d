"""Promise: a program of Parsl's that is forked from the server is like one that was started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fakes import PATIENCE, until

from envsolver.run.parsl import launcher
from envsolver.run.parsl.fork_server import end_session
from envsolver.run.parsl.prestart import ParslPrestart
from envsolver.worker.private_directories import remove, run_directory
from envsolver.worker.processes import RUN_MARK, marked

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is no server"),
]


@pytest.fixture
def start() -> Iterator[ParslPrestart]:
    start = ParslPrestart()
    start.begin()
    yield start
    start.stop()
    start.wait()
    assert marked(RUN_MARK, start.run_id) == []
    assert not run_directory(start.run_id).exists()


def command(server: str, *arguments: str, output: str = "") -> list[str]:
    return [sys.executable, "-I", "-S", launcher.__file__, server, output, *arguments]


def programs(start: ParslPrestart) -> list[psutil.Process]:
    """Return the processes that the server has forked."""
    found: list[psutil.Process] = []
    for process in marked(RUN_MARK, start.run_id):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            found += process.children()
    return found


def test_a_program_has_its_arguments_streams_and_exit_code(start: ParslPrestart) -> None:
    done = subprocess.run(
        command(start.server, "pool", "--help"), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0
    assert "--max_workers_per_node" in done.stdout
    assert done.stderr == ""
    wrong = subprocess.run(
        command(start.server, "pool", "--nonsense"), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert wrong.returncode == 2
    assert "usage:" in wrong.stderr


def test_a_program_sees_the_folder_and_the_variables_of_its_client(start: ParslPrestart, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(start.server, "interchange", output=str(tmp_path / "said")),
        stdin=subprocess.PIPE,  # it waits for its configuration there
        cwd=tmp_path,
        env={**os.environ, "ONLY_HERE": "1", RUN_MARK: start.run_id},
    )
    try:
        until(lambda: programs(start))
        (program,) = programs(start)
        until(lambda: Path(program.cwd()) == tmp_path)
        assert os.getsid(program.pid) == program.pid
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
    # Its program ends with it.
    until(lambda: not programs(start))


def test_what_a_program_says_goes_to_its_output_file(start: ParslPrestart, tmp_path: Path) -> None:
    said = tmp_path / "said"
    done = subprocess.run(
        command(start.server, "interchange", output=str(said)), stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "EOFError" in said.read_text()


def test_programs_end_with_the_server(start: ParslPrestart, tmp_path: Path) -> None:
    process = subprocess.Popen(command(start.server, "interchange", output=str(tmp_path / "o")), stdin=subprocess.PIPE)
    until(lambda: programs(start))
    (program,) = programs(start)
    start.stop()
    assert process.wait(timeout=PATIENCE) != 0
    until(lambda: not program.is_running() or program.status() == psutil.STATUS_ZOMBIE)
    assert process.stdin is not None
    process.stdin.close()


def test_a_program_ends_that_has_no_session_yet() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as program:
        end_session(program.pid)
        assert program.wait(timeout=PATIENCE) == -signal.SIGTERM


def test_a_killed_server_is_done_without(start: ParslPrestart) -> None:
    for process in marked(RUN_MARK, start.run_id):
        process.send_signal(signal.SIGKILL)
    done = subprocess.run(
        command(start.server, "pool", "--help"), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0
    assert "--max_workers_per_node" in done.stdout
    remove(run_directory(start.run_id))


@pytest.mark.parametrize("server", ["", "/nowhere/at/all"])
def test_without_a_server_a_program_starts_anew(server: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(server, "pool", "--help"), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0
    assert "--max_workers_per_node" in done.stdout
    said = tmp_path / "said"
    failed = subprocess.run(
        command(server, "interchange", output=str(said)), stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False
    )
    assert failed.returncode == 1
    assert "EOFError" in said.read_text()
