"""Promise: each thing that a kernel does has one verdict, and its reason says what happened."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from envsolver.core.jobs import Binding, Job, Limits
from envsolver.core.verdicts import Verdict
from envsolver.worker.verdicts import (
    LONGEST_TEXT,
    CurrentCell,
    KernelExit,
    exit_phrase,
    judge_binding,
    judge_exit,
    judge_install,
    judge_reply,
    judge_timeout,
    leaves_kernel,
)

PLACE = "requirements/ml.in"
GROUPED = Binding(requirements_place=PLACE)
CELL = CurrentCell(number=3, source="work()")
LIMITS = Limits(timeout=60, cell_timeout=5, memory=800 * 2**20)
JOB = Job(id="j", notebook="a.ipynb", group="ml", python="3.11", root="/p", run_dir="/r", run_id="r", limits=LIMITS)
TABLE = '[notebook."a.ipynb"] of envsolver.toml'
MORE = f"; more is given by `--timeout 120` or `timeout = 120` in {TABLE}"
WHOLE, READY = (f"the notebook's limit of 60 s{passed}{MORE}" for passed in (" had passed", ""))
CELLS = f"the cell's limit of 5 s had passed; more is given by `cell-timeout = 10` in {TABLE}"
OK = {"status": "ok"}
RAISED = {"status": "error", "ename": "ValueError", "evalue": "bad\nworse", "traceback": ["first", "second"]}
LEFT = {"status": "ok", "payload": [{"source": "ask_exit", "keepkernel": False}]}
KEPT = {"status": "ok", "payload": [{"source": "ask_exit", "keepkernel": True}]}


@pytest.mark.parametrize(
    ("reply", "cell", "refused", "verdict", "says"),
    [
        (RAISED, CELL, "", ("failed", "ValueError"), "cell 3 raised ValueError: bad"),
        ({**RAISED, "evalue": ""}, CELL, "", ("failed", "ValueError"), "cell 3 raised ValueError"),
        (
            {**RAISED, "ename": "StdinNotImplementedError"},
            CELL,
            "",
            ("failed", "StdinNotImplementedError"),
            "asks for input, which a run cannot give: set the value in a cell, change the call with `replace`, or skip",
        ),
        (OK, CELL, "x is missing", ("failed", "PackageNotInEnvironment"), "x is missing"),
        (RAISED, CELL, "x is missing", ("failed", "PackageNotInEnvironment"), "x is missing"),
        (OK, CurrentCell(number=1, may_raise=True), "no x", ("failed", "PackageNotInEnvironment"), "no x"),
        (LEFT, CELL, "", ("crashed", "KernelExit"), "cell 3 left the kernel with exit()"),
        ({}, CELL, "", ("crashed", "NoReply"), "the kernel gave no verdict on cell 3"),
        ({"status": "unanswered"}, CELL, "", ("failed", "NoReply"), "was done with cell 3 and gave no answer"),
        (
            {"status": "invalid", "evalue": "no text"},
            CELL,
            "",
            ("failed", "InvalidOutput"),
            "that no notebook can hold: no text",
        ),
        ({"status": "aborted"}, CELL, "", ("crashed", "NoReply"), "the kernel gave no verdict on cell 3"),
    ],
)
def test_a_reply_that_is_no_pass(
    reply: dict[str, Any], cell: CurrentCell, refused: str, verdict: tuple[Verdict, str], says: str
) -> None:
    judgement = judge_reply(JOB, cell, reply, refused=refused)
    assert judgement is not None
    assert judgement.failure is not None
    assert (judgement.status, judgement.failure.ename) == verdict
    assert says in judgement.reason
    assert (judgement.failure.cell, judgement.failure.source) == (cell.number, cell.source)


@pytest.mark.parametrize("reply", [OK, {**RAISED, "ename": "StdinNotImplementedError"}], ids=["ok", "another"])
def test_the_first_error_that_a_cell_shows_is_the_cause_whatever_the_reply_says(reply: dict[str, Any]) -> None:
    shown: list[dict[str, Any]] = [
        {"ename": "ZeroDivisionError", "evalue": "zero", "traceback": ["x"]},
        {"ename": "Later", "evalue": ""},
    ]
    judgement = judge_reply(JOB, CELL, reply, errors=shown)
    assert judgement is not None
    assert (judgement.status, judgement.reason) == ("failed", "cell 3 raised ZeroDivisionError: zero")
    assert judge_reply(JOB, CurrentCell(number=3, may_raise=True), reply, errors=shown) is None


@pytest.mark.parametrize(
    ("reply", "cell"),
    [
        (OK, CELL),
        (RAISED, CurrentCell(number=1, may_raise=True)),
        (LEFT, CurrentCell(number=1, last=True)),
        (KEPT, CELL),
    ],
    ids=["ok", "may raise", "left in the last cell", "left without ending the kernel"],
)
def test_a_reply_with_which_nothing_is_wrong(reply: dict[str, Any], cell: CurrentCell) -> None:
    assert judge_reply(JOB, cell, reply) is None


@pytest.mark.parametrize(("reply", "leaves"), [(OK, False), (KEPT, False), (LEFT, True), ({"payload": None}, False)])
def test_a_kernel_is_left_by_exit_alone(reply: dict[str, Any], leaves: bool) -> None:
    assert leaves_kernel(reply) is leaves


@pytest.mark.parametrize(
    ("evalue", "advice"),
    [
        ("No module named 'numpy'", f"; if it should be there, add what provides numpy to {PLACE}"),
        (
            "No module named 'numpy.linalg'",
            f"; numpy is there without it: if another version of what provides it has that, bound it in {PLACE}",
        ),
        (
            "No module named 'a.numpy.linalg'; 'a.numpy' is not a package",
            "; if a.numpy should be a package, rename the file numpy.py that hides it",
        ),
    ],
)
def test_a_missing_module_is_told_with_what_to_do(evalue: str, advice: str) -> None:
    job = replace(JOB, binding=GROUPED)
    judgement = judge_reply(job, CELL, {"status": "error", "ename": "ModuleNotFoundError", "evalue": evalue})
    assert judgement is not None
    assert judgement.reason == f"cell 3 raised ModuleNotFoundError: {evalue}{advice}"


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (
            "\x1b[31mModuleNotFoundError\x1b[39m: No module named 'optree'",
            f"; if it should be there, add what provides optree to {PLACE}",
        ),
        ("OSError: no", ""),
    ],
)
def test_a_module_that_a_library_missed_and_tells_in_its_own_words_is_named(cause: str, advice: str) -> None:
    raised = {"status": "error", "ename": "ImportError", "evalue": "Please install it", "traceback": [cause, "more"]}
    judgement = judge_reply(replace(JOB, binding=GROUPED), CELL, raised)
    assert judgement is not None
    assert judgement.reason == f"cell 3 raised ImportError: Please install it{advice}"


def test_an_exception_is_in_the_executed_copy_already_and_what_is_ours_is_not() -> None:
    raised, refused = judge_reply(JOB, CELL, RAISED), judge_reply(JOB, CELL, OK, refused="no x")
    assert raised is not None
    assert refused is not None
    assert (raised.shown, refused.shown) == (True, False)


def test_a_flood_in_an_exception_is_cut_in_its_middle() -> None:
    judgement = judge_reply(JOB, CELL, {**RAISED, "evalue": "a" * LONGEST_TEXT + "end"})
    assert judgement is not None
    assert judgement.failure is not None
    assert judgement.failure.evalue.endswith("end")
    assert len(judgement.failure.evalue) < LONGEST_TEXT + 100
    assert "3 characters left out" in judgement.failure.evalue


@pytest.mark.parametrize(
    ("cell", "whole", "ename", "reason"),
    [
        (
            CELL,
            True,
            "NotebookTimeout",
            f"cell 3 was still running when {WHOLE}",
        ),
        (CELL, False, "CellTimeout", f"cell 3 was still running when {CELLS}"),
        (
            CurrentCell(),
            True,
            "NotebookTimeout",
            f"the kernel was not ready within {READY}",
        ),
    ],
)
def test_a_limit_that_has_passed(cell: CurrentCell, whole: bool, ename: str, reason: str) -> None:
    judgement = judge_timeout(JOB, cell, whole=whole)
    assert judgement.failure is not None
    assert (judgement.status, judgement.failure.ename, judgement.reason) == ("timeout", ename, reason)


def test_more_for_a_cell_comes_with_more_for_the_notebook_where_that_would_end_it_first() -> None:
    judgement = judge_timeout(replace(JOB, limits=Limits(timeout=600, cell_timeout=300)), CELL, whole=False)
    assert judgement.reason.endswith(
        f"; more is given by `cell-timeout = 600` in {TABLE}, and `timeout = 1200` beside it"
    )


KILLED = -int(signal.SIGKILL)


@pytest.mark.parametrize(
    ("cell", "ended", "status", "ename", "says"),
    [
        (CELL, KernelExit(code=KILLED, used=900 * 2**20), "memory", "MemoryLimit", "limit of 800 MiB was exceeded in"),
        (
            CELL,
            KernelExit(code=KILLED, system_out_of_memory=True),
            "memory",
            "OutOfMemory",
            "killed the kernel",
        ),
        (CELL, KernelExit(code=KILLED), "crashed", "KernelDied", "was killed by SIGKILL in cell 3"),
        (
            CELL,
            KernelExit(code=3, system_out_of_memory=True),
            "crashed",
            "KernelDied",
            "ended with exit code 3",
        ),
        (CurrentCell(), KernelExit(code=1), "crashed", "KernelDied", "before it was ready"),
        (
            CurrentCell(),
            KernelExit(code=1, log_tail="/env/bin/python: No module named ipykernel_launcher"),
            "environment",
            "KernelDied",
            "its last lines were:\n/env/bin/python: No module",
        ),
        (
            CELL,
            KernelExit(code=1, log_tail="No module named ipykernel"),
            "crashed",
            "KernelDied",
            "exit code 1",
        ),
    ],
)
def test_a_kernel_that_ended(cell: CurrentCell, ended: KernelExit, status: Verdict, ename: str, says: str) -> None:
    judgement = judge_exit(JOB, cell, ended)
    assert judgement.failure is not None
    assert (judgement.status, judgement.failure.ename) == (status, ename)
    assert says in judgement.reason


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        (None, "is still alive"),
        (0, "ended with exit code 0"),
        (-11, "was killed by SIGSEGV"),
        (-250, "was killed by signal 250"),
    ],
)
def test_an_exit_code_in_words(code: int | None, phrase: str) -> None:
    assert exit_phrase(code) == phrase


def test_an_install_in_the_background_fails_the_notebook() -> None:
    assert judge_install(CELL, "no x").status == "failed"


def test_a_kernel_of_another_environment_is_no_verdict_on_the_notebook() -> None:
    assert judge_binding("/env", "/env") is None
    judgement = judge_binding("/other", "/env")
    assert judgement is not None
    assert (judgement.status, judgement.failure) == ("environment", None)
