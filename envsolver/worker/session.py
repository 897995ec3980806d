"""One kernel and the notebook that it executes: every way that this can end becomes a verdict."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from envsolver.core.advice import leaving_cell_out
from envsolver.core.jobs import Edits, Job
from envsolver.core.results import CellTime
from envsolver.worker import kernel_env, prepare, scratch
from envsolver.worker.bounded_client import BoundedClient
from envsolver.worker.isolation import OPENED
from envsolver.worker.kernel import QUIET, Kernel, KernelDiedError, OutOfTimeError
from envsolver.worker.memory import Monitor, oom_kills
from envsolver.worker.questions import ask_binding, ask_modules, ask_values, finish_coverage, finish_reading
from envsolver.worker.result_builder import ResultBuilder
from envsolver.worker.side_files import read_side_file
from envsolver.worker.verdicts import (
    NO_REPLY,
    CurrentCell,
    Judgement,
    KernelExit,
    judge_binding,
    judge_exit,
    judge_install,
    judge_reply,
    judge_timeout,
    leaves_kernel,
)

WARM_PATIENCE_SECONDS = 60.0
WARM_PATIENCE_FACTOR = 5.0
"""A warm kernel waits in a cell so many times what its notebook is expected to take, and no less than the seconds."""

_VOID = "void"  # what a kernel of a template writes in the job's private directory before it ends for it
_T = TypeVar("_T")
_LATE_OUTPUT = 10  # seconds in which output may arrive after the cell's end; nbclient's 4 are few on a busy machine


class InstallRecord:
    """The file in which the pip guard records each install that the environment does not satisfy."""

    def __init__(self, path: Path, advice: str) -> None:
        self._path = path
        self._advice = advice
        self._read = 0

    def refused(self) -> str:
        """Return the guard's messages since the last call; empty when there are none.

        Where no requirement would help, a message ends with what does.
        """
        try:
            lines = read_side_file(self._path).decode(errors="replace").splitlines()
        except OSError:
            return ""
        new, self._read = lines[self._read :], len(lines)
        found = [each for each in map(_record, new) if each]
        return "\n".join(each["message"] + ("" if each["requirements"] else f": {self._advice}") for each in found)


def _record(line: str) -> dict[str, Any]:
    """Return what a line records; nothing for one that the guard did not write."""
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and found.keys() >= {"message", "requirements"}:
            return found
    return {}


class Session:
    """One kernel and the notebook that it executes.

    Parameters
    ----------
    prepared
        The executed copy; outputs are written into it.
    builder
        What becomes known is written into it.
    variables
        The kernel's environment variables.
    log
        File for the kernel's own output.
    """

    def __init__(
        self,
        job: Job,
        prepared: prepare.PreparedNotebook,
        builder: ResultBuilder,
        place: scratch.Scratch,
        *,
        variables: dict[str, str],
        log: Path,
    ) -> None:
        self.job = job
        self.prepared = prepared
        self.builder = builder
        self.place = place
        self.installs = InstallRecord(
            Path(variables[kernel_env.INSTALL_RECORD]),
            f"change that line, or {leaving_cell_out(job.notebook, Path(job.root))}",
        )
        self.prefix = os.path.realpath(job.binding.prefix)
        self.oom_before = oom_kills()
        self.kernel = Kernel(
            prefix=job.binding.prefix,
            private=place.base,
            folder=place.folder,
            variables=variables,
            log=log,
            template="" if job.warm_start.cold else job.warm_start.template,
            plan=place.plan,
            filters=job.warnings,
        )
        self.client = BoundedClient(
            prepared.notebook,
            job.limits.output,
            km=self.kernel.manager,
            log=QUIET,
            timeout=None,
            # Each cell's reply is judged on its own, so nbclient must stop at nothing.
            allow_errors=True,
            iopub_timeout=_LATE_OUTPUT,
        )
        self.monitor: Monitor | None = None
        self.search_path: tuple[str, ...] = ()
        self.index = -1

    async def run(self) -> None:
        """Start the kernel, run the cells, and end all processes, whatever happens."""
        try:
            if await self._start():
                await self._run_cells()
                await self._finish()
        except OutOfTimeError:
            whole = self.builder.remaining() <= 0
            self.builder.computing = self.kernel.warm and self.kernel.computes()
            self._judge(judge_timeout(self.job, self._current(), whole=whole))
        except KernelDiedError:
            self._judge(judge_exit(self.job, self._current(), self._exit()))
        finally:
            await self._end()

    async def _start(self) -> bool:
        """Start the kernel; False when it is not in the environment that the job was planned for."""
        began = time.monotonic()
        builder = self.builder
        try:
            await self.kernel.start()
        except OSError as error:
            reason = f"the environment's interpreter cannot be run: {error}"
            builder.judge(Judgement(status="environment", reason=reason))
            return False
        builder.result = replace(builder.result, warm=self.kernel.warm)
        if self.kernel.warm or self.job.warm_start.template:
            builder.waited = time.monotonic() - began
        limit = self.job.limits.memory
        self.monitor = Monitor(self.kernel.pid, self.job.mark, limit, keepers=self.place.keepers)
        self.monitor.start()
        self.client.kc = self.kernel.client
        info = await self.kernel.unless_dead(self.kernel.ready(), builder.remaining())
        self.prepared.notebook.metadata["language_info"] = info.get("language_info", {})
        prefix, self.search_path = await ask_binding(self.kernel, builder.remaining())
        builder.result = replace(builder.result, start_seconds=time.monotonic() - builder.began)
        judgement = judge_binding(prefix, self.prefix)
        if judgement is not None:
            builder.judge(judgement)
        return judgement is None

    async def _run_cells(self) -> None:
        for index, cell in enumerate(self.prepared.cells):
            if cell.run and not await self._run_cell(index, cell):
                return

    async def _run_cell(self, index: int, cell: prepare.PreparedCell) -> bool:
        """Execute one cell; False when the notebook ends here."""
        self.index = index
        began = time.monotonic()
        limit = min(self.job.limits.cell_timeout, self.builder.remaining())
        work = self.client.execute_one(self.prepared.notebook.cells[index], index)
        try:
            reply = await self._patiently(work, limit)
        except KernelDiedError:
            await self.kernel.wait_dead(1.0)  # so that how it ended is known
            raise
        finally:
            took = CellTime(cell=cell.number, seconds=time.monotonic() - began)
            self.builder.result = replace(self.builder.result, cells=(*self.builder.result.cells, took))
        self.builder.silent = reply.get("status") == NO_REPLY
        judgement = judge_reply(
            self.job,
            self._current(),
            reply,
            errors=[out for out in self.prepared.notebook.cells[index].outputs if out.output_type == "error"],
            refused=self.installs.refused(),
            log_tail=self.kernel.log_tail(),
        )
        if judgement is None:
            return not leaves_kernel(reply)
        if self.job.allow_errors and judgement.status == "failed":
            raised = judgement.failure and judgement.failure.ename
            self.builder.allowed.append(f"cell {cell.number} raised {raised}")
            self._show(judgement)
            return True
        self._judge(judgement)
        return False

    async def _patiently(self, work: Awaitable[Mapping[str, Any]], limit: float) -> Mapping[str, Any]:
        """Await a cell's reply within its limit.

        A warm kernel that waits, and does not compute, gets less where history knows what the notebook takes: one that
        hangs in a warm kernel only would otherwise use up its whole limit before a cold one is tried.
        """
        expected = self.job.warm_start.expected if self.kernel.warm else None
        likely = limit if expected is None else max(WARM_PATIENCE_SECONDS, WARM_PATIENCE_FACTOR * expected)
        task = asyncio.ensure_future(work)
        if likely < limit:
            with contextlib.suppress(OutOfTimeError):
                return await self.kernel.unless_dead(asyncio.shield(task), likely)
            limit = limit - likely if await asyncio.to_thread(self.kernel.computes) else 0
        return await self.kernel.unless_dead(task, limit)

    def _judge(self, judgement: Judgement) -> None:
        """Set the verdict, and show in the executed copy why."""
        self.builder.judge(judgement)
        self._show(judgement)

    def _show(self, judgement: Judgement) -> None:
        failure = judgement.failure
        if failure is not None and not judgement.shown and self.index >= 0:
            lines = [f"{failure.ename}: {failure.evalue}", *failure.traceback.splitlines()]
            output = prepare.error_output(failure.ename, failure.evalue, lines)
            self.prepared.notebook.cells[self.index].setdefault("outputs", []).append(output)

    def _current(self) -> CurrentCell:
        """Return the cell that is being executed, or was the last."""
        if self.index < 0:
            return CurrentCell()
        cell = self.prepared.cells[self.index]
        return CurrentCell(
            number=cell.number,
            source=self.prepared.notebook.cells[self.index].source,
            may_raise=cell.may_raise,
            last=not any(later.run for later in self.prepared.cells[self.index + 1 :]),
        )

    def _exit(self) -> KernelExit:
        return KernelExit(
            code=self.kernel.exit_code,
            log_tail=self.kernel.log_tail(),
            used=self.monitor.exceeded if self.monitor is not None else None,
            system_out_of_memory=oom_kills() > self.oom_before,
        )

    async def _finish(self) -> None:
        """Record what is only known at the end, such as an install that ran in the background."""
        self.client.set_widgets_metadata()
        late = self.installs.refused()
        builder, job = self.builder, self.job
        if late and not job.allow_errors and builder.passes:
            self._judge(judge_install(self._current(), late))
        # A warm kernel tells the same as a cold one: its template held nothing that the notebook does not load itself.
        covered = kernel_env.COVERAGE in job.binding.env
        if covered and builder.answers:
            await self._answer(finish_coverage(self.kernel))
        if builder.passes and builder.answers and job.warm_start.want_modules and job.edits == Edits() and not covered:
            modules = await self._answer(ask_modules(self.kernel, self.place.home, self.search_path))
            builder.result = replace(builder.result, modules=modules or ())
        if builder.answers:
            opened = self.place.base / OPENED if self.place.isolation == "namespace" else None
            await self._answer(finish_reading(self.kernel, opened=opened))
        # A notebook that has ended its kernel has no variables, and has passed all the same.
        if builder.passes and builder.answers and job.want_values:
            values, faults = await self._answer(ask_values(self.kernel)) or (None, {})
            builder.result = replace(builder.result, values=values, value_faults=faults)

    async def _answer(self, question: Awaitable[_T]) -> _T | None:
        """Await the answer to what is asked after the last cell.

        A kernel that gives none is asked nothing more. The verdict on its cells stands: no cell was to blame.
        """
        try:
            return await question
        except KernelDiedError:
            return None
        except OutOfTimeError:
            self.builder.silent = True
            return None

    async def _end(self) -> None:
        builder = self.builder
        if self.monitor is not None:
            self.monitor.note_high_water()
        if builder.answers:
            await self.kernel.farewell()
        if self.monitor is not None:
            builder.result = replace(builder.result, peak_rss_bytes=self.monitor.stop() or None)
            self.kernel.seen |= self.monitor.seen
        await self.kernel.close()
        with contextlib.suppress(OSError):
            builder.void = read_side_file(self.place.base / _VOID).decode(errors="replace")
