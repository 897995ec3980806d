"""Run one notebook in the kernel of its environment: a `Job` comes in, a `Result` goes out.

This is imported on the far side, in each worker process. It may import only `core`, the modules beside it, nbclient,
nbformat, jupyter_client and psutil.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import os
import time
import traceback
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from envsolver.core.errors import UnusableNotebookError
from envsolver.core.fingerprints import Reading
from envsolver.core.jobs import Job
from envsolver.core.parsing import parse_json, read_text
from envsolver.core.paths import EXECUTED
from envsolver.core.results import AFTER_VOID, VOID, Failure, Result
from envsolver.worker import kernel_env, prepare, scratch
from envsolver.worker.comparison import differing_cells, first_difference
from envsolver.worker.coverage_data import data_directory, keep_coverage
from envsolver.worker.isolation import choose_isolation
from envsolver.worker.raised_warnings import RaisedWarnings, collect_warnings
from envsolver.worker.reading import collect
from envsolver.worker.result_builder import ResultBuilder
from envsolver.worker.session import Session
from envsolver.worker.verdicts import Judgement

VERIFIED = "verified"
"""The folder of a run for the executed copies of cold kernels that verify warm ones."""


class _NamespaceError(Exception):
    """The kernel cannot have its own view of the project."""


def run_job(job: Job) -> Result:
    """Execute a notebook and say what became of it.

    Whatever the notebook does, this returns its verdict, and no process that it started is left. The executed copy is
    in ``executed/<python>-<group>/`` and the kernel's log in ``logs/`` of the run's folder.

    A notebook that does not pass in a warm kernel is run again in a cold one, whose verdict counts, unless it was
    computing when its limit had passed: an endless loop costs its limit once. So is one whose attempt is void, since
    a module that its kernel had ahead might have been imported otherwise by then. With `WarmStart.verify`, a pass in a
    warm kernel counts only when a cold one passes with the same outputs.

    Raises
    ------
    KeyboardInterrupt
        When a person interrupts it; nothing is left running then either.
    """
    started = dt.datetime.now(dt.timezone.utc).astimezone().isoformat(timespec="milliseconds")
    builder = _attempt(job)
    warm = builder.finished(started)
    if builder.void:
        return _after_void(warm, _run_cold(job, started), builder.void)
    if job.warm_start.verify and warm.warm and warm.good:
        return _verify(job, warm, started)
    if not warm.warm or warm.good or builder.computing:
        return warm
    before = f"{warm.status}: {warm.reason}"
    cold = _after(warm, _run_cold(job, started), before)
    return _explain(job, warm, cold, started) if cold.good else cold


def _run_cold(job: Job, started: str) -> Result:
    """Run a notebook in a cold kernel, with all of its time again."""
    return _attempt(replace(job, warm_start=replace(job.warm_start, cold=True, want_modules=True))).finished(started)


def _after(warm: Result, cold: Result, before: str) -> Result:
    """Return a cold kernel's result with the times of both attempts, since both were spent, and the warm verdict."""
    return replace(
        cold,
        seconds=warm.seconds + cold.seconds,
        start_seconds=warm.seconds + cold.start_seconds,
        warm_verdict=before,
    )


def _after_void(warm: Result, cold: Result, void: str) -> Result:
    """Return a cold kernel's result, with the modules that the notebook's next kernel may have ahead."""
    reason, *names = void.split("\n")
    name, *led_to = names or [""]
    kept = (AFTER_VOID, *modules_before(name, led_to, cold.modules)) if cold.modules else ()
    return replace(_after(warm, cold, f"{VOID}: {reason}"), modules=kept)


def modules_before(name: str, led_to: Collection[str], modules: Sequence[str]) -> tuple[str, ...]:
    """Return the modules that a kernel had before the import of one of them began.

    Parameters
    ----------
    name
        The module whose import it is.
    led_to
        The modules that its import brings along.
    modules
        All that a kernel loaded, each ``name`` or ``name=origin``, in the order in which their imports ended.
    """
    names = [module.partition("=")[0] for module in modules]
    end = names.index(name) if name in names else next((i for i, n in enumerate(names) if n in led_to), 0)
    return tuple(module for module, found in zip(modules[:end], names, strict=False) if found not in led_to)


def _explain(job: Job, warm: Result, cold: Result, started: str) -> Result:
    """Judge a notebook that passed in a cold kernel only: a third attempt, in a warm one, tells why.

    When that fails as well, warm kernels are to blame, and it passes. When it passes, the notebook is flaky.
    """
    again = _attempt(replace(job, id=f"{job.id}-again"), folder="").finished(started)
    cold = replace(cold, seconds=cold.seconds + again.seconds)
    if not (again.warm and again.good):
        outcome = f"passed in a cold kernel; before, in a warm one, {cold.warm_verdict}"
        return replace(cold, reason="; ".join(filter(None, [cold.reason, outcome])))
    reason = f"flaky: in a warm kernel {cold.warm_verdict}; then it passed in a cold one, and in a warm one as well"
    return replace(cold, status="failed", reason=reason, failure=warm.failure, warm_verdict="", flaky=True)


def _verify(job: Job, warm: Result, started: str) -> Result:
    """Return a pass of a warm kernel as it is when a cold kernel passes with the same outputs, and else as a failure.

    Where they differ, a second cold kernel tells whether the cell's outputs differ from run to run by themselves.
    """
    shown = [_read_copy(job, warm)]
    for attempt in ("verify", "verify-again"):
        again = replace(job, id=f"{job.id}-{attempt}", warm_start=replace(job.warm_start, cold=True))
        cold = _attempt(again, folder=f"{VERIFIED}/{attempt}").finished(started)
        if not cold.good:
            reason = f"passed in a warm kernel; in a cold one, {cold.status}: {cold.reason}"
            return replace(warm, status="failed", reason=reason, failure=cold.failure)
        shown.append(_read_copy(job, cold))
        differing = differing_cells(shown[0], shown[1])
        if not differing:
            return replace(warm, verified=True)
    random = differing_cells(shown[1], shown[2])
    certain = [number for number in differing if number not in random]
    if not certain:
        return replace(warm, verified=True)
    number = certain[0]
    ours, theirs = first_difference(*differing[number])
    reason = f"cell {number} shows {ours!r} in a warm kernel and {theirs!r} in a cold one (see {VERIFIED}/)"
    return replace(warm, status="failed", reason=reason)


def _read_copy(job: Job, result: Result) -> dict[str, Any]:
    found: dict[str, Any] = parse_json(read_text(Path(job.run_dir, result.executed)))
    return found


def _attempt(job: Job, *, copies: bool = False, folder: str = EXECUTED) -> ResultBuilder:
    """Run a notebook once; `folder` of the run's folder gets its executed copy, unless it is empty."""
    builder = ResultBuilder(job)
    try:
        _run(job, builder, copies=copies, folder=folder)
    except _NamespaceError:
        return _attempt(job, copies=True, folder=folder)
    except Exception as error:  # noqa: BLE001  # a fault of our own must become a verdict, and never a pass
        name = type(error).__name__
        failure = Failure(cell=None, ename=name, evalue=str(error), traceback=traceback.format_exc())
        reason = f"envsolver itself failed: {name}: {error}"
        builder.judge(Judgement(status="crashed", reason=reason, failure=failure))
    return builder


def _run(job: Job, builder: ResultBuilder, *, copies: bool, folder: str) -> None:
    try:
        notebook = prepare.read(Path(job.root, *PurePosixPath(job.notebook).parts))
        prepared = prepare.prepare(notebook, job.edits)
    except UnusableNotebookError as error:
        builder.judge(Judgement(status="failed", reason=str(error)))
        return
    try:
        if prepared.runs:
            _execute(job, prepared, builder, copies=copies)
        else:  # what runs nothing reads nothing
            builder.result = replace(builder.result, reading=Reading(began=time.time_ns()))
    finally:
        if folder:
            _write_copy(job, prepared, builder, folder)


def _write_copy(job: Job, prepared: prepare.PreparedNotebook, builder: ResultBuilder, folder: str) -> None:
    relative = PurePosixPath(folder, f"{job.python}-{job.group}", job.notebook)
    try:
        prepare.write(prepared.notebook, Path(job.run_dir, *relative.parts))
        builder.result = replace(builder.result, executed=str(relative))
    except OSError as error:  # the verdict stands without it
        builder.unwritten = f"its executed copy could not be written: {error.strerror or error}"


def _execute(job: Job, prepared: prepare.PreparedNotebook, builder: ResultBuilder, *, copies: bool) -> None:
    python = Path(job.binding.prefix, "bin", "python")
    if not job.binding.prefix or not os.access(python, os.X_OK):
        reason = f"the environment has no interpreter: {python}"
        builder.judge(Judgement(status="environment", reason=reason))
        return
    log = Path(job.run_dir, job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    began, clock = log.stat().st_mtime_ns, (time.time(), time.monotonic())
    isolation = "copies" if copies else choose_isolation(Path(job.root))[0]
    builder.result = replace(builder.result, isolation=isolation)
    place = scratch.create(Path(job.root), job.notebook, job.run_id, isolation)
    covered = kernel_env.COVERAGE in job.binding.env
    try:
        if covered:
            data_directory(place).mkdir()
        kernel_env.write_shims(job, place.base)
        variables = kernel_env.variables(job, place.base, job.mark, os.environ)
        builder.result = replace(builder.result, log=job.log)
        session = Session(job, prepared, builder, place, variables=variables, log=log)
        asyncio.run(session.run())
        if (failure := namespace_failure(place, builder.result)) and not copies:
            raise _NamespaceError(failure)
        if covered:
            keep_coverage(job, place)
        _add_warnings(builder, collect_warnings(place, Path(job.root), prepared))
        left = place.left_behind()
        builder.result = replace(builder.result, left_behind=left.paths, left_behind_count=left.count)
        builder.changed([path for path in place.changed_sources() if path not in job.output_files])
        if builder.tells:
            reading = collect(job, place, clock=clock, began=began)
            builder.result = replace(builder.result, reading=reading)
    finally:
        place.remove()


def _add_warnings(builder: ResultBuilder, raised: RaisedWarnings) -> None:
    builder.result = replace(builder.result, warnings=raised.places, warning_count=raised.count)
    if raised.fault and builder.passes:
        builder.judge(Judgement(status="failed", reason=f"the setting `warnings` {raised.fault}"))


def namespace_failure(place: scratch.Scratch, result: Result) -> str:
    """Return why a notebook must run without namespaces; empty when it need not.

    An overlay cannot copy a file whose owner or group the kernel's user cannot be, which shows only when a notebook
    opens one for writing.
    """
    if not isinstance(place, scratch.OverlayScratch):
        return ""
    raised = f"{result.failure.ename}: {result.failure.evalue}" if result.failure is not None else ""
    return place.failure() or (raised if os.getuid() and f"[Errno {errno.EOVERFLOW}]" in raised else "")
