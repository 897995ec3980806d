"""From what a kernel did to the verdict: pure functions, and nothing else decides.

What is not plain:

- A cell that leaves the kernel with ``exit()`` while code cells remain makes the notebook `crashed`, since it did not
  run to its end; in the last code cell it is a way to end, and passes.
- An output of type ``error`` fails its cell as the reply's status does: ``%run`` and displays show what they caught,
  and the reply says ok. The first one is the cause; what comes after it, as a debugger without a person, is not.
- A cell tagged ``raises-exception`` may raise. It may not install what the environment lacks, because no exception
  says so; with `allow_errors` even that passes.
- SIGKILL that we did not send is `memory` when the system's count of out-of-memory kills went up, else `crashed`.
- A kernel that ends before it is ready is `environment` when it lacks ipykernel, else `crashed`.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envsolver.core.advice import leaving_cell_out, notebook_place, skipping
from envsolver.core.jobs import Job
from envsolver.core.quantities import size
from envsolver.core.results import Failure, Result
from envsolver.core.verdicts import Verdict
from envsolver.worker.error_advice import error_advice

LONGEST_TEXT = 100_000
"""Characters of an error's message or traceback that a result carries."""

NO_REPLY = "unanswered"
"""Status in place of a reply, when the kernel was done with a cell and sent none."""

INVALID_OUTPUT = "invalid"
"""Status in place of the reply's, when a cell sent what is no output; its ``evalue`` says what."""

_LONGEST_LINE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentCell:
    """The cell that was being executed."""

    number: int | None = None
    """As in `Failure`; None before the first."""
    source: str = ""
    may_raise: bool = False
    """Whether its author expects an exception."""
    last: bool = False
    """Whether no code cell is left to run after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A verdict with the sentence why and what went wrong."""

    status: Verdict
    reason: str
    failure: Failure | None = None
    shown: bool = False
    """Whether the executed copy shows it already, as it does an exception of the cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelExit:
    """How a kernel's process ended."""

    code: int | None
    """Its exit code, negative for a signal; None when it is not known."""
    log_tail: str = ""
    """The last lines of what it wrote."""
    used: int | None = None
    """Bytes of memory in use when that went over the job's limit; None when it did not."""
    system_out_of_memory: bool = False
    """Whether the system ended processes for memory meanwhile."""


def judge_reply(
    job: Job,
    cell: CurrentCell,
    reply: Mapping[str, Any],
    *,
    errors: Sequence[Mapping[str, Any]] = (),
    refused: str = "",
    log_tail: str = "",
) -> Judgement | None:
    """Judge a cell by the kernel's reply and its outputs; None when nothing is wrong with it.

    Parameters
    ----------
    errors
        The cell's outputs of type ``error``, in their order.
    refused
        What the cell tried to install and the environment lacks, as a message; empty for nothing.
    log_tail
        The last lines of what the kernel wrote.
    """
    raised = reply.get("status") == "error"
    if refused:
        return judge_install(cell, refused)
    if (raised or errors) and not cell.may_raise:
        return _judge_exception(job, cell, errors[0] if errors else reply)
    if reply.get("status") in {NO_REPLY, INVALID_OUTPUT}:
        return _judge_malformed(cell, reply, log_tail)
    if leaves_kernel(reply):
        text = f"cell {cell.number} left the kernel with exit(), and the cells after it were not run: "
        text += f"take that out of it, or {_leaving_out(job)}"
        return None if cell.last else _judgement("crashed", "KernelExit", text, cell)
    if not raised and reply.get("status") != "ok":
        return _judgement("crashed", "NoReply", f"the kernel gave no verdict on cell {cell.number}", cell)
    return None


def leaves_kernel(reply: Mapping[str, Any]) -> bool:
    """Return whether a cell asked its kernel to end."""
    payload = reply.get("payload") or ()
    return any(each.get("source") == "ask_exit" and not each.get("keepkernel") for each in payload)


def judge_install(cell: CurrentCell, refused: str) -> Judgement:
    """Judge an install that the environment does not satisfy."""
    return _judgement("failed", "PackageNotInEnvironment", refused, cell)


def judge_binding(prefix: str, planned: str) -> Judgement | None:
    """Judge where a kernel runs; None when that is where its job was planned for."""
    if prefix == planned:
        return None
    return Judgement(status="environment", reason=f"the kernel runs in {prefix}, but the job was planned for {planned}")


def judge_timeout(job: Job, cell: CurrentCell, *, whole: bool) -> Judgement:
    """Judge a limit that has passed: the notebook's, if `whole`, else the cell's."""
    name, key = ("notebook", "timeout") if whole or cell.number is None else ("cell", "cell-timeout")
    seconds = job.limits.timeout if name == "notebook" else job.limits.cell_timeout
    limit = f"the {name}'s limit of {seconds:g} s"
    text = f"the kernel was not ready within {limit}"
    if cell.number is not None:
        text = f"cell {cell.number} was still running when {limit} had passed"
    more = f"`{key} = {2 * seconds:g}` in {notebook_place(job.notebook, Path(job.root))}"
    if name == "cell" and 2 * seconds >= job.limits.timeout:  # the whole notebook's would cut it short
        more += f", and `timeout = {4 * seconds:g}` beside it"
    option = f"`--timeout {2 * seconds:g}` or " if name == "notebook" else ""
    return _judgement("timeout", f"{name.capitalize()}Timeout", f"{text}; more is given by {option}{more}", cell)


def judge_exit(job: Job, cell: CurrentCell, ended: KernelExit) -> Judgement:
    """Judge a kernel that ended of itself, or was killed."""
    limits = job.limits
    where = "before it was ready" if cell.number is None else f"in cell {cell.number}"
    if ended.used is not None and limits.memory is not None:
        limit, used = size(limits.memory), size(ended.used)
        text = f"the memory limit of {limit} was exceeded {where}: {used} were in use; more is given by "
        text += f'`memory = "{2 * limits.memory // 2**20}MiB"` in {notebook_place(job.notebook, Path(job.root))}'
        return _judgement("memory", "MemoryLimit", text, cell)
    if ended.code == -signal.SIGKILL and ended.system_out_of_memory:
        text = f"the system was out of memory and killed the kernel {where}; with `--workers 1` it has all to itself"
        return _judgement("memory", "OutOfMemory", text, cell)
    missing = cell.number is None and "No module named ipykernel" in ended.log_tail
    text = f"the kernel {exit_phrase(ended.code)} {where}"
    if ended.log_tail:
        text += f"; its last lines were:\n{ended.log_tail}"
    status: Verdict = "environment" if missing else "crashed"
    return _judgement(status, "KernelDied", text, cell, traceback=ended.log_tail)


def exit_phrase(code: int | None) -> str:
    """Say how a process ended that has this exit code, negative for a signal."""
    if code is None:
        return "is still alive"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _judge_exception(job: Job, cell: CurrentCell, raised: Mapping[str, Any]) -> Judgement:
    ename, evalue = str(raised.get("ename", "")), str(raised.get("evalue", ""))
    traceback = "\n".join(map(str, raised.get("traceback", ())))
    if ename == "StdinNotImplementedError":
        skip = skipping(job.notebook, Path(job.root))
        reason = f"cell {cell.number} asks for input, which a run cannot give"
        reason += f": set the value in a cell, change the call with `replace`, or {skip}"
    else:
        said = f"cell {cell.number} raised {ename}: {_first_line(evalue)}".rstrip(": ")
        reason = said + error_advice(job, ename, evalue, traceback)
    failure = Failure(
        cell=cell.number, ename=ename, evalue=_bounded(evalue), traceback=_bounded(traceback), source=cell.source
    )
    return Judgement(status="failed", reason=reason, failure=failure, shown=True)


def _judge_malformed(cell: CurrentCell, reply: Mapping[str, Any], log_tail: str) -> Judgement:
    """Judge a cell on which the kernel gave no answer, or sent what is no output."""
    if reply["status"] == INVALID_OUTPUT:
        text = f"cell {cell.number} sent an output that no notebook can hold: {_first_line(str(reply['evalue']))}"
        return _judgement("failed", "InvalidOutput", text, cell)
    text = f"the kernel was done with cell {cell.number} and gave no answer"
    text += f"; its last lines were:\n{log_tail}" if log_tail else ""
    return _judgement("failed", "NoReply", text, cell, traceback=log_tail)


def _leaving_out(job: Job) -> str:
    return leaving_cell_out(job.notebook, Path(job.root))


def _judgement(status: Verdict, ename: str, text: str, cell: CurrentCell, *, traceback: str = "") -> Judgement:
    failure = Failure(cell=cell.number, ename=ename, evalue=text, traceback=traceback, source=cell.source)
    return Judgement(status=status, reason=text, failure=failure)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:_LONGEST_LINE]


def _bounded(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"


def judge_changes(result: Result, paths: Sequence[str]) -> Judgement:
    """Return the judgement of a notebook while which ran files of the project changed: it does not pass for that."""
    text = (
        f"while it ran, files of the project changed, which nothing keeps it from on this machine: {', '.join(paths)}"
    )
    if result.status != "passed":
        return Judgement(status=result.status, reason=f"{result.reason}; {text}", failure=result.failure)
    return Judgement(status="failed", reason=text)
