"""Promise: nothing that a notebook does gets out of it, and nothing that it started is left running."""

from __future__ import annotations

import os
import sys

import psutil
import pytest
from worker_bench import Bench

pytestmark = pytest.mark.integration

# What it starts is gone

STARTERS = {
    "a child": "subprocess.Popen(['sleep', DURATION])",
    "a session of its own": "subprocess.Popen(['sleep', DURATION], start_new_session=True)",
    "a double fork": "subprocess.run(['sh', '-c', f'setsid sleep {DURATION} >/dev/null 2>&1 &'])",
    "a shell's background": "get_ipython().system_raw(f'sleep {DURATION} &')",
    "one that ignores SIGTERM": "subprocess.Popen(['sh', '-c', f'trap \"\" TERM HUP INT; sleep {DURATION}; :'])",
    "one without the mark": "subprocess.Popen(['sleep', DURATION], env={})",
}


def sleepers(duration: str) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if duration in " ".join(p.info["cmdline"] or ())]


@pytest.mark.parametrize(("how", "end"), [*((how, "1") for how in STARTERS), ("a double fork", "while True: pass")])
def test_no_process_outlives_its_notebook(bench: Bench, how: str, end: str) -> None:
    duration = f"6{os.getpid()}.{len(how)}"  # by which its processes are known
    count = f"sum({duration!r} in ' '.join(p.info['cmdline'] or ()) for p in psutil.process_iter(['cmdline']))"
    wait = f"while not {count}: time.sleep(0.05)"
    result = bench.run(
        f"import psutil, subprocess, time\nDURATION = {duration!r}", STARTERS[how], wait, end, cell_timeout=6.0
    )
    assert result.status == ("passed" if end == "1" else "timeout")
    assert result.failure is None or result.failure.cell == 4
    assert sleepers(duration) == []


def test_a_thread_that_never_ends_does_not_keep_a_notebook_from_passing(bench: Bench) -> None:
    source = "import threading, time; threading.Thread(target=lambda: time.sleep(600)).start()"
    assert bench.run(source).status == "passed"


WRITES = {
    "git": ".git/config",
    "virtualenv": ".venv/pyvenv.cfg",
    "hidden": ".hidden/h",
    "far": "many/d350/file",
    "beside": "nb/data.txt",
}


@pytest.mark.parametrize("path", WRITES.values(), ids=WRITES)
def test_what_a_notebook_writes_through_its_own_tree_is_held_or_fails_it(
    bench: Bench, isolation: str, path: str
) -> None:
    for number in range(360):
        (bench.root / f"many/d{number}").mkdir(parents=True)
        (bench.root / f"many/d{number}/file").write_text("before", encoding="utf-8")
    for name in {*WRITES.values()} - {WRITES["far"]}:
        (bench.root / name).parent.mkdir(exist_ok=True, parents=True)
        (bench.root / name).write_text("before", encoding="utf-8")
    result = bench.run(f"open('../{path}', 'a').write('after')")
    held = (bench.root / path).read_text(encoding="utf-8") == "before"
    assert result.isolation == isolation
    if isolation == "namespace":
        assert (held, result.status, result.left_behind) == (True, "passed", (path,))
    else:
        assert held or (result.status == "failed" and path in result.reason)


def test_a_notebook_sees_the_project_at_its_own_path(bench: Bench, isolation: str) -> None:
    result = bench.run("import os; os.getcwd()")
    at_home = f"'{bench.root}/nb'" in bench.text_of(result)
    assert at_home is (isolation == "namespace")


def test_what_a_notebook_deletes_is_told_and_stays(bench: Bench, isolation: str) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb/data.txt").write_text("1", encoding="utf-8")
    result = bench.run("import os; os.remove('data.txt')")
    assert (bench.root / "nb/data.txt").exists()
    assert result.status == "passed"
    if isolation == "namespace":
        assert result.left_behind == ("nb/data.txt (deleted)",)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere only a mark tells whose a process is")
@pytest.mark.parametrize("end", ["import time; time.sleep(0.3)", "import os; os._exit(3)"])
def test_a_daemon_without_any_mark_does_not_outlive_its_notebook(bench: Bench, isolation: str, end: str) -> None:
    seconds = f"98765{len(isolation)}.{len(end)}"
    start = f"import subprocess; subprocess.Popen('setsid env -i sleep {seconds} &', shell=True).wait()"
    result = bench.run(start, end)
    assert result.status == ("crashed" if "exit" in end else "passed")
    assert "exit" not in end or "exit code 3" in result.reason
    assert [p for p in psutil.process_iter(["cmdline"]) if seconds in (p.info["cmdline"] or ())] == []


def test_memory_that_forked_processes_share_counts_once(bench: Bench) -> None:
    source = (
        "import os, time\nhold = b'x' * (300 * 2**20)\nchildren = [os.fork() for _ in range(2)]\n"
        "if 0 in children:\n    time.sleep(2)\n    os._exit(0)\ntime.sleep(1)"
    )
    result = bench.run(source, memory=800 * 2**20)
    assert (result.status, result.reason) == ("passed", "")


@pytest.mark.parametrize(("deed", "phrase"), [("os._exit(9)", "exit code 9"), ("os.kill(os.getpid(), 11)", "SIGSEGV")])
def test_how_a_kernel_ended_is_told_across_namespaces(bench: Bench, deed: str, phrase: str) -> None:
    result = bench.run(f"import os; {deed}")
    assert result.status == "crashed"
    assert phrase in result.reason
