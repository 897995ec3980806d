"""Promise: whatever a notebook does, the worker says truthfully what became of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zmq
from worker_bench import Bench, Cell, document

from envsolver.worker.kernel import Kernel

pytestmark = pytest.mark.integration


def test_a_kernel_that_listens_late_is_found_soon(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client connects before its kernel listens, so its sockets must try again sooner than by default."""
    intervals: list[int] = []
    ready = Kernel.ready

    async def asked(kernel: Kernel) -> dict[str, Any]:
        client = kernel.client
        assert client is not None
        channels = (client.shell_channel, client.iopub_channel, client.control_channel)
        intervals.extend(channel.socket.get(zmq.RECONNECT_IVL) for channel in channels)
        return await ready(kernel)

    monkeypatch.setattr(Kernel, "ready", asked)
    assert bench.run("1").status == "passed"
    assert len(intervals) == 3
    assert max(intervals) <= 10  # milliseconds; 100 by default


# The verdicts


def test_a_notebook_that_runs_to_its_end_passes(bench: Bench) -> None:
    result = bench.run("x = 20", "x + 22")
    assert (result.status, result.reason, result.failure) == ("passed", "", None)
    assert [time.cell for time in result.cells] == [1, 2]
    assert bench.text_of(result, 1) == "42"
    assert 0 < result.start_seconds < result.seconds
    assert result.peak_rss_bytes is not None
    assert result.peak_rss_bytes > 10 * 2**20


def test_a_cell_that_raises_is_named_with_its_error(bench: Bench) -> None:
    text = json.dumps(
        {
            **document("good = 1", "bad = good / 0", "print('never')"),
            "cells": [
                {"cell_type": "markdown", "source": "# Title", "metadata": {}},
                *document("good = 1", "bad = good / 0", "print('never')")["cells"],
            ],
        }
    )
    result = bench.run_text(text)
    assert result.status == "failed"
    assert result.failure is not None
    assert (result.failure.cell, result.failure.ename, result.failure.source) == (
        3,
        "ZeroDivisionError",
        "bad = good / 0",
    )
    assert result.failure.evalue == "division by zero"
    assert "\x1b[" in result.failure.traceback
    assert result.reason == "cell 3 raised ZeroDivisionError: division by zero"
    assert bench.executed(result)["cells"][2]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert bench.executed(result)["cells"][3]["outputs"] == []


@pytest.mark.parametrize(
    ("cells", "status", "says"),
    [
        (["1", "import os; os._exit(3)", "1"], "crashed", "ended with exit code 3 in cell 2"),
        (["import os; os._exit(0)"], "crashed", "ended with exit code 0 in cell 1"),
        (["import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"], "crashed", "killed by SIGSEGV in cell 1"),
        (["import os; os.kill(os.getpid(), 9)"], "crashed", "killed by SIGKILL"),
        (["import ctypes; ctypes.string_at(0)"], "crashed", "killed by SIGSEGV"),
        (["exit()", "1"], "crashed", "cell 1 left the kernel with exit()"),
        (["1", "quit()"], "passed", ""),
        (["raise SystemExit(0)"], "failed", "SystemExit"),
        (["raise KeyboardInterrupt"], "failed", "KeyboardInterrupt"),
        (["input('name? ')"], "failed", "asks for input"),
        (["import getpass; getpass.getpass()"], "failed", "asks for input"),
        (["def broken(:"], "failed", "SyntaxError"),
    ],
)
def test_verdict(bench: Bench, cells: list[Cell], status: str, says: str) -> None:
    result = bench.run(*cells, timeout=90)
    assert result.status == status
    assert says in result.reason


def test_the_reason_of_a_crash_quotes_the_kernels_last_words(bench: Bench) -> None:
    result = bench.run("import ctypes; ctypes.string_at(0)")
    assert result.status == "crashed"
    assert "Segmentation fault" in result.reason
    assert result.log.startswith("logs/")


@pytest.mark.parametrize(
    ("limits", "ename", "says"),
    [
        ({"cell_timeout": 1.0}, "CellTimeout", "cell 2 was still running when the cell's limit of 1 s had passed"),
        ({"timeout": 8.0}, "NotebookTimeout", "cell 2 was still running when the notebook's limit of 8 s had passed"),
    ],
)
def test_an_endless_loop_ends_at_its_limit(bench: Bench, limits: dict[str, Any], ename: str, says: str) -> None:
    result = bench.run("1", "while True: pass", **limits)
    assert result.status == "timeout"
    assert result.reason.startswith(says)
    assert result.failure is not None
    assert (result.failure.cell, result.failure.ename) == (2, ename)
    assert bench.executed(result)["cells"][1]["outputs"][-1]["ename"] == ename


def test_a_kernel_that_is_not_ready_in_time_is_a_timeout(bench: Bench) -> None:
    result = bench.run("1", timeout=0.001)
    assert (result.status, result.failure and result.failure.cell) == ("timeout", None)
    assert "not ready" in result.reason


def test_memory_above_the_limit_ends_the_notebook(bench: Bench) -> None:
    source = "import time, subprocess, sys\nhold = bytearray(300 * 2**20)\nhold[::4096] = hold[::4096]\ntime.sleep(60)"
    result = bench.run(source, memory=200 * 2**20)
    assert result.status == "memory"
    assert "limit of 200 MiB" in result.reason
    assert result.peak_rss_bytes is not None
    assert result.peak_rss_bytes > 200 * 2**20


def test_memory_of_child_processes_counts(bench: Bench) -> None:
    child = "import time; hold = b'x' * (300 * 2**20); time.sleep(60)"
    result = bench.run(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])", memory=250 * 2**20)
    assert result.status == "memory"
