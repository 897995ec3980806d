"""Run one notebook in the kernel of its environment: a `Job` comes in, a `Result` goes out.

This is imported on the far side, in each worker process. It may import only `core`, the modules beside it, nbclient,
nbformat, jupyter_client and psutil.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import os
import traceback
from dataclasses import replace
from pathlib import Path, PurePosixPath

from envsolver.core.errors import UnusableNotebookError
from envsolver.core.jobs import Job
from envsolver.core.results import Failure, Result
from envsolver.worker import kernel_env, prepare, scratch
from envsolver.worker.isolation import choose_isolation
from envsolver.worker.result_builder import ResultBuilder
from envsolver.worker.session import Session
from envsolver.worker.verdicts import Judgement

WARM_PATIENCE_SECONDS = 60.0
WARM_PATIENCE_FACTOR = 5.0
"""A warm kernel gets so many times what its notebook is expected to take, and no less than the seconds."""


class _NamespaceError(Exception):
    """The kernel cannot have its own view of the project."""


def run_job(job: Job) -> Result:
    """Execute a notebook and say what became of it.

    Whatever the notebook does, this returns its verdict, and no process that it started is left. The executed copy is
    in ``executed/<python>-<group>/`` and the kernel's log in ``logs/`` of the run's folder.

    Raises
    ------
    KeyboardInterrupt
        When a person interrupts it; nothing is left running then either.
    """
    started = dt.datetime.now(dt.timezone.utc).astimezone().isoformat(timespec="milliseconds")
    warm = job.warm_start.template and not job.warm_start.cold
    builder = _attempt(bounded(job) if warm else job)
    result = builder.finished(started)
    if builder.void:
        return _run_after_void(job, result, builder.void, started)
    return _run_cold(job, result, started) if result.warm and not result.good else result


def bounded(job: Job) -> Job:
    """Return a job whose warm kernel gets less time than the limits allow, where history knows what the notebook takes.

    A notebook that hangs in a warm kernel only would otherwise use up its whole limit before a cold one is tried.
    """
    expected, limits = job.warm_start.expected, job.limits
    if expected is None:
        return job
    patience = max(WARM_PATIENCE_SECONDS, WARM_PATIENCE_FACTOR * expected)
    timeout, cell_timeout = min(limits.timeout, patience), min(limits.cell_timeout, patience)
    return replace(job, limits=replace(limits, timeout=timeout, cell_timeout=cell_timeout))


def _run_after_void(job: Job, warm: Result, why: str, started: str) -> Result:
    """Run a notebook in a cold kernel, since its warm one found that it could not be like that; see `adoption`."""
    cold = _attempt(replace(job, warm_start=replace(job.warm_start, cold=True))).finished(started)
    return replace(
        cold,
        seconds=warm.seconds + cold.seconds,
        start_seconds=warm.seconds + cold.start_seconds,
        warm_verdict=f"void: {why}",
    )


def _run_cold(job: Job, warm: Result, started: str) -> Result:
    """Run a notebook again, which did not pass in a warm kernel: the cold one's verdict counts.

    It has all of its time again; the result's times are those of both attempts, since both were spent.
    """
    cold = _attempt(replace(job, warm_start=replace(job.warm_start, cold=True))).finished(started)
    before = f"{warm.status}: {warm.reason}"
    reason = cold.reason
    if cold.good:
        reason = "; ".join(filter(None, [reason, f"passed in a cold kernel; before, in a warm one, {before}"]))
    return replace(
        cold,
        reason=reason,
        seconds=warm.seconds + cold.seconds,
        start_seconds=warm.seconds + cold.start_seconds,
        warm_verdict=before,
    )


def _attempt(job: Job, *, copies: bool = False) -> ResultBuilder:
    builder = ResultBuilder(job)
    try:
        _run(job, builder, copies=copies)
    except _NamespaceError:
        return _attempt(job, copies=True)
    except Exception as error:  # noqa: BLE001  # a fault of our own must become a verdict, and never a pass
        name = type(error).__name__
        failure = Failure(cell=None, ename=name, evalue=str(error), traceback=traceback.format_exc())
        reason = f"envsolver itself failed: {name}: {error}"
        builder.judge(Judgement(status="crashed", reason=reason, failure=failure))
    return builder


def _run(job: Job, builder: ResultBuilder, *, copies: bool) -> None:
    try:
        notebook = prepare.read(Path(job.root, *PurePosixPath(job.notebook).parts))
        prepared = prepare.prepare(notebook, job.edits)
    except UnusableNotebookError as error:
        builder.judge(Judgement(status="failed", reason=str(error)))
        return
    try:
        if prepared.runs:
            _execute(job, prepared, builder, copies=copies)
    finally:
        relative = PurePosixPath("executed", f"{job.python}-{job.group}", job.notebook)
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
    isolation = "copies" if copies else choose_isolation(Path(job.root))[0]
    builder.result = replace(builder.result, isolation=isolation)
    place = scratch.create(Path(job.root), job.notebook, job.run_id, isolation)
    try:
        kernel_env.write_shims(job, place.base)
        variables = kernel_env.variables(job, place.base, job.mark, os.environ)
        builder.result = replace(builder.result, log=job.log)
        session = Session(job, prepared, builder, place, variables=variables, log=log)
        asyncio.run(session.run())
        if (failure := namespace_failure(place, builder.result)) and not copies:
            raise _NamespaceError(failure)
        left = place.left_behind()
        builder.result = replace(builder.result, left_behind=left.paths, left_behind_count=left.count)
        builder.changed(place.changed_sources())
    finally:
        place.remove()


def namespace_failure(place: scratch.Scratch, result: Result) -> str:
    """Return why a notebook must run without namespaces; empty when it need not.

    An overlay cannot copy a file whose owner or group the kernel's user cannot be, which shows only when a notebook
    opens one for writing.
    """
    if not isinstance(place, scratch.OverlayScratch):
        return ""
    raised = f"{result.failure.ename}: {result.failure.evalue}" if result.failure is not None else ""
    return place.failure() or (raised if os.getuid() and f"[Errno {errno.EOVERFLOW}]" in raised else "")
