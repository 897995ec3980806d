"""Promise: what carries a mark is found and ended, and a run whose controller vanishes leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from fakes import start_marked, until

from envsolver.worker.processes import (
    JOB_MARK,
    RUN_MARK,
    computes,
    kill_all,
    kill_marked,
    marked,
    pss,
    rss,
    session_members,
    tree,
)

ROOT = Path(__file__).parents[3]


def test_marked_finds_a_process_by_its_mark_and_no_other(run_id: str) -> None:
    with start_marked(run_id, "sleep", "600") as ours, start_marked(run_id + "x", "sleep", "600") as other:
        until(lambda: [p.pid for p in marked(RUN_MARK, run_id)] == [ours.pid])
        assert marked(JOB_MARK, run_id) == []
        other.kill()
        ours.kill()


def test_marked_never_returns_the_caller(run_id: str) -> None:
    code = f"from envsolver.worker.processes import marked; print(marked('{RUN_MARK}', {run_id!r}))"
    environment = {**os.environ, RUN_MARK: run_id}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_zombie_is_not_found(run_id: str) -> None:
    process = start_marked(run_id, "true")
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert marked(RUN_MARK, run_id) == []
    process.wait()


def test_a_process_that_is_starting_another_program_is_found(run_id: str, tmp_path: Path) -> None:
    script = tmp_path / "again"
    script.write_text('exec sh "$0"\n', encoding="utf-8")
    with start_marked(run_id, "sh", str(script)) as process:
        try:
            until(lambda: bool(marked(RUN_MARK, run_id)))
            assert [len(marked(RUN_MARK, run_id)) for _ in range(100)] == [1] * 100
        finally:
            process.kill()


@pytest.mark.parametrize(
    "command",
    [
        "sleep 600",
        "setsid sleep 600 >/dev/null 2>&1 &",
        "trap '' TERM INT HUP; sleep 600; :",
        "sleep 600 & sleep 600 & sleep 600 & wait",
    ],
)
@pytest.mark.parametrize("grace", [0.0, 0.1])
def test_kill_marked_leaves_none(run_id: str, command: str, grace: float) -> None:
    shell = start_marked(run_id, "sh", "-c", command)
    until(lambda: bool(marked(RUN_MARK, run_id)))
    assert kill_marked(RUN_MARK, run_id, grace=grace) >= 1
    assert marked(RUN_MARK, run_id) == []
    shell.wait()


def test_kill_marked_with_nothing_to_kill_is_zero(run_id: str) -> None:
    assert kill_marked(RUN_MARK, run_id) == 0


def test_grace_lets_a_process_clean_up(run_id: str, tmp_path: Path) -> None:
    note, ready = tmp_path / "note", tmp_path / "ready"
    shell = start_marked(
        run_id, "sh", "-c", f"trap 'echo bye > {note}; exit' TERM; touch {ready}; while :; do sleep 0.05; done"
    )
    until(ready.exists)
    kill_marked(RUN_MARK, run_id, grace=20)
    shell.wait()
    assert note.read_text(encoding="utf-8") == "bye\n"


def test_a_process_that_starts_others_while_it_is_ended_does_not_escape(run_id: str) -> None:
    spawner = start_marked(run_id, "sh", "-c", "while :; do setsid sleep 600 & sleep 0.01; done")
    until(lambda: len(marked(RUN_MARK, run_id)) > 5)
    kill_marked(RUN_MARK, run_id)
    spawner.wait()
    assert marked(RUN_MARK, run_id) == []


def test_a_tree_holds_descendants(run_id: str) -> None:
    shell = start_marked(run_id, "sh", "-c", "sh -c 'sleep 600; :'; :")
    until(lambda: len(tree(shell.pid)) == 3)
    assert kill_marked(RUN_MARK, run_id) == 3
    shell.wait()


class Stubborn(psutil.Process):
    """A process that no signal ends, as one that waits for a broken disk."""

    def send_signal(self, sig: int) -> None:
        pass


def test_kill_all_gives_up_on_what_does_not_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envsolver.worker.processes.PATIENCE", 0.05)
    assert kill_all(lambda: [Stubborn()]) == 1


def test_a_tree_that_is_gone_is_empty(run_id: str) -> None:
    process = start_marked(run_id, "true")
    process.wait()
    assert tree(process.pid) == []


def test_a_session_includes_what_was_re_parented(run_id: str) -> None:
    shell = start_marked(run_id, "sh", "-c", "(sleep 600 &) ; sleep 600", start_new_session=True)
    until(lambda: len(session_members(shell.pid)) == 3 and len(tree(shell.pid)) == 2)
    kill_marked(RUN_MARK, run_id)
    shell.wait()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("while True: pass", True),
        ("import threading\nthreading.Thread(target=exec, args=('while True: pass',)).start()", True),
        ("import time; time.sleep(600)", False),
    ],
)
def test_a_process_computes_when_one_of_its_threads_runs(run_id: str, code: str, *, expected: bool) -> None:
    with start_marked(run_id, sys.executable, "-c", code) as process:
        until(lambda: computes(psutil.Process(process.pid)) is expected)
        process.kill()


def test_pages_that_processes_share_count_once(run_id: str) -> None:
    # One write a line, so that the two do not mix.
    code = "import os, time; hold = b'x' * (64 * 2**20); os.fork(); os.write(1, b'ready\\n'); time.sleep(600)"
    environment = {**os.environ, RUN_MARK: run_id}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            assert [parent.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
            members = tree(parent.pid)
            assert sum(map(rss, members)) > 128 * 2**20
            assert 64 * 2**20 < sum(map(pss, members)) < 128 * 2**20
        finally:
            kill_marked(RUN_MARK, run_id)
    until(lambda: not any(rss(member) + pss(member) for member in members))
