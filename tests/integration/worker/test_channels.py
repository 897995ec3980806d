"""Promise: on whatever channel a kernel tells of a fault, or falls silent, the verdict is the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from worker_bench import Bench

from envsolver.core.jobs import WarmStart
from envsolver.core.results import Result
from envsolver.worker import bounded_client, prepare, questions, session

pytestmark = pytest.mark.integration


# Our own faults


def test_a_fault_of_the_worker_itself_is_never_a_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise ValueError("our own bug")

    monkeypatch.setattr(prepare, "prepare", explode)
    result = bench.run("1")
    assert result.status == "crashed"
    assert "our own bug" in result.reason
    assert result.failure is not None
    assert "explode" in result.failure.traceback


def test_jobs_run_side_by_side_in_one_process(bench: Bench) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        run: Callable[[int], Result] = lambda i: bench.run(f"print({i})", notebook=f"n{i}.ipynb", id=f"side{i}")  # noqa: E731
        assert [r.status for r in pool.map(run, range(2))] == ["passed", "passed"]


SHOWN = (
    "class Shown:\n    def _repr_html_(self):\n        raise KeyError('k')\n"
    "class Text:\n    def __repr__(self):\n        raise KeyError('k')"
)

ERRORS = {
    "plain": (["1 / 0"], "raised ZeroDivisionError"),
    "syntax": (["x ="], "raised SyntaxError"),
    "run": (["%run broken.py"], "raised ValueError: broken"),
    "run that exits": (["%run exits.py"], "raised SystemExit: 3"),
    "run that exits well": (["%run ends.py"], ""),
    "run, then more": (["%run broken.py\nprint(1)"], "raised ValueError: broken"),
    "rich display": ([SHOWN, "Shown()"], "raised KeyError: 'k'"),
    "display": ([SHOWN, "display(Shown())"], "raised KeyError: 'k'"),
    "repr": ([SHOWN, "Text()"], "raised KeyError: 'k'"),
    "debugger": (["%pdb on", "1 / 0"], "raised ZeroDivisionError"),
    "capture": (["%%capture\n1 / 0"], "raised ZeroDivisionError"),
    "script cell": (["%%bash\nexit 3"], "raised CalledProcessError"),
    "thread": (["import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()"], ""),
    "printed": (["import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()"], ""),
    "shown on purpose": (
        ["try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()"],
        "raised Zero",
    ),
    "exception as a value": (["ValueError('x')"], ""),
    "getpass": (["import getpass; getpass.getpass()"], "asks for input"),
    "input": (["input()"], "asks for input"),
}


@pytest.mark.parametrize(("cells", "says"), ERRORS.values(), ids=ERRORS)
def test_an_error_fails_its_cell_on_whatever_channel_it_comes(bench: Bench, cells: list[str], says: str) -> None:
    folder = bench.root / "nb"
    folder.mkdir()
    for name, text in (("broken", "raise ValueError('broken')"), ("exits", "exit(3)"), ("ends", "exit(0)")):
        (folder / f"{name}.py").write_text(text.replace("exit", "import sys; sys.exit"), encoding="utf-8")
    result = bench.run(*cells)
    assert result.status == ("failed" if says else "passed"), result.reason
    assert says in result.reason


def test_a_cell_on_which_the_kernel_never_answers_fails_long_before_its_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_client, "REPLY_SECONDS", 0.5)
    result = bench.run("x = " + " + ".join(["1"] * 6000))
    assert result.status == "failed"
    assert "RecursionError" in result.reason


SEND = "kernel = get_ipython().kernel\nkernel.send_response(kernel.iopub_socket, {!r}, {!r})".format

INVALID = {
    "text": "display({'text/plain': 5}, raw=True)",
    "traceback": "class Odd(Exception):\n    def _render_traceback_(self): return None\nraise Odd",
    "stream": SEND("stream", {"text": "x"}),
    "no data": SEND("display_data", {}),
}


@pytest.mark.parametrize("cell", INVALID.values(), ids=INVALID)
def test_an_output_that_is_none_is_the_notebooks_failure_and_what_else_it_shows_is_kept(
    bench: Bench, cell: str
) -> None:
    result = bench.run(f"print('before')\n{cell}", "print('never')")
    assert result.status == "failed"
    assert result.reason.startswith("cell 1 sent an output that no notebook can hold: ")
    assert bench.text_of(result).startswith("before")
    assert bench.text_of(result, 1) == ""


def test_what_is_no_message_at_all_is_the_notebooks_failure(bench: Bench) -> None:
    result = bench.run("get_ipython().kernel.iopub_socket.send(b'x')", "1")
    assert result.status == "failed"
    assert "a message that cannot be read, ValueError" in result.reason


@pytest.mark.parametrize(
    "last", ["import sys; sys.stdout = None", "get_ipython().kernel.do_execute = None"], ids=["no stream", "no method"]
)
def test_a_kernel_that_can_answer_no_question_after_its_last_cell_has_passed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr(questions, "_PATIENCE", 2.0)
    result = bench.run("1", last, warm_start=WarmStart(want_modules=True))
    assert (result.status, result.reason, result.modules) == ("passed", "", ())
    assert result.reading is not None
    assert result.reading.hindrance  # so that the pass counts for nothing the next time


def test_a_kernel_that_gave_no_answer_is_asked_nothing_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(session, "finish_reading", asked.append)
    result = bench.run("import sys; sys.stdout = None", "1")
    assert (result.status, asked) == ("failed", [])
    assert "the kernel was done with cell 2 and gave no answer" in result.reason


IN_THE_WAY = """
import os
from ipykernel.connect import get_connection_file
folder = os.path.dirname(get_connection_file())
for name in {*os.listdir(folder), "void", "read", "warned", "opened", "failed", "installs"}:
    path = os.path.join(folder, name)
    if not os.path.isdir(path):
        if os.path.lexists(path):
            os.remove(path)
        if name != "failed":
            os.mkfifo(path)
"""


@pytest.mark.timeout(90)
def test_pipes_in_the_place_of_what_the_worker_reads_do_not_keep_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_PATIENCE", 2.0)  # seconds for the kernel, which writes into them
    result = bench.run(IN_THE_WAY, "2")
    assert (result.status, result.reason) == ("passed", "")
    assert result.reading is not None
    assert result.reading.hindrance


def test_a_verdict_stands_where_the_executed_copy_cannot_be_written(bench: Bench) -> None:
    bench.run_dir.mkdir()
    (bench.run_dir / "executed").write_text("in the way")
    result = bench.run("1 / 1")
    assert (result.status, result.executed) == ("passed", "")
    assert "its executed copy could not be written" in result.reason
