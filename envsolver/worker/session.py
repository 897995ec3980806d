"""One kernel and the notebook that it executes: every way that this can end becomes a verdict.

What decides between the verdicts, where that is not plain:

- A cell that leaves the kernel with ``exit()`` while code cells remain makes the notebook `crashed`, since it did not
  run to its end; in the last code cell it is a way to end, and passes.
- A cell tagged ``raises-exception`` may raise. It may not install what the environment lacks, because no exception
  says so; with `allow_errors` even that passes.
- SIGKILL that we did not send is `memory` when the system's count of out-of-memory kills went up, else `crashed`.
- A kernel that ends before it is ready is `environment` when it lacks ipykernel, else `crashed`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envsolver.core.jobs import Edits, Job
from envsolver.core.results import CellTime, Failure, Result
from envsolver.core.verdicts import Verdict
from envsolver.worker import kernel_env, prepare, scratch
from envsolver.worker.bounded_client import BoundedClient
from envsolver.worker.core_release import release_cores
from envsolver.worker.kernel import QUIET, Kernel, KernelDiedError, OutOfTimeError
from envsolver.worker.memory import Monitor, oom_kills
from envsolver.worker.processes import JOB_MARK

_BINDING = {
    "prefix": "__import__('os').path.realpath(__import__('sys').prefix)",
    # Let a crash write its Python stack to the kernel's log; ipykernel has put a pipe in the place of standard error.
    "stack": "__import__('faulthandler').enable(__import__('sys').stderr._original_stdstream_copy, False)",
}
# In the order of their import, those that came from a file: with its path, when that is outside the environment.
_MODULES = {
    "modules": (
        "'\\n'.join(name if origin in ('built-in', 'frozen') or origin.startswith(homes) else name + '=' + origin"
        " for homes in [tuple({p + '/' for s in [__import__('sys')] for p in (s.prefix, s.base_prefix)})]"
        " for name, module in list(__import__('sys').modules.items())"
        " for spec in [getattr(module, '__dict__', {}).get('__spec__')]"
        " for origin in [getattr(spec, 'origin', None)]"
        " if isinstance(name, str) and isinstance(origin, str) and getattr(spec, 'name', None) == name)"
    )
}
_VALUES = {"values": "__import__('_envsolver_values').captured(globals())"}
_SIGKILL = -9
_LATE_OUTPUT = 10  # seconds in which output may arrive after the cell's end; nbclient's 4 are few on a busy machine
_LONGEST_TEXT = 100_000  # characters of an error's message or traceback that a result carries
_QUESTION_TIME = 30.0  # seconds for the kernel to answer a question of ours after the last cell


@dataclass(kw_only=True, slots=True)
class ResultBuilder:
    """What is known so far about a job; becomes its result, whose fields it mirrors.

    Attributes
    ----------
    began
        Reading of the monotonic clock.
    allowed
        Phrases for the errors that `allow_errors` let pass.
    waited
        Seconds that passed until a template answered; they are not the notebook's.
    ended
        Reading of the monotonic clock when the notebook no longer needed its cores; None when it had them to the end.
    changed
        Files of the project itself that changed meanwhile.
    """

    job: Job
    began: float = field(default_factory=time.monotonic)
    status: Verdict = "passed"
    reason: str = ""
    failure: Failure | None = None
    cells: list[CellTime] = field(default_factory=list)
    start_seconds: float = 0.0
    peak: int | None = None
    left_behind: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    executed: str = ""
    log: str = ""
    modules: tuple[str, ...] = ()
    values: dict[str, object] | None = None
    value_faults: dict[str, str] = field(default_factory=dict)
    warm: bool = False
    waited: float = 0.0
    ended: float | None = None
    allowed: list[str] = field(default_factory=list)

    def fail(self, status: Verdict, reason: str) -> None:
        """Give the verdict and the sentence why."""
        self.status, self.reason = status, reason

    def remaining(self) -> float:
        """Return what is left of the notebook's time, seconds."""
        return self.job.limits.timeout - (time.monotonic() - self.began - self.waited)

    def result(self, started: str) -> Result:
        """Return all of it as a result; `started` is ISO 8601."""
        job = self.job
        reason = self.reason
        if self.status == "passed" and self.allowed:
            reason = f"errors are allowed, and {', '.join(self.allowed)}"
        if self.changed:
            told = f"while it ran, files of the project changed: {', '.join(self.changed)}"
            reason = f"{reason}; {told}" if reason else told
        return Result(
            notebook=job.notebook,
            group=job.group,
            python=job.python,
            environment=job.binding.environment,
            status=self.status,
            started=started,
            seconds=(self.ended or time.monotonic()) - self.began,
            start_seconds=self.start_seconds,
            peak_rss_bytes=self.peak,
            reason=reason,
            failure=self.failure,
            cells=tuple(self.cells),
            left_behind=self.left_behind,
            executed=self.executed,
            log=self.log,
            modules=self.modules,
            warm=self.warm,
            values=self.values,
            value_faults=self.value_faults,
        )


class Session:
    """One kernel and the notebook that it executes.

    Parameters
    ----------
    script
        The executed copy; outputs are written into it.
    story
        What becomes known is written into it.
    variables
        The kernel's environment variables.
    log
        File for the kernel's own output.
    """

    def __init__(
        self,
        job: Job,
        script: prepare.PreparedNotebook,
        story: ResultBuilder,
        place: scratch.Scratch,
        *,
        variables: dict[str, str],
        log: Path,
    ) -> None:
        self.job = job
        self.script = script
        self.story = story
        self.installs = Path(variables[kernel_env.INSTALL_RECORD])
        self.installs_read = 0
        self.oom_before = oom_kills()
        self.mark = variables[JOB_MARK]
        self.prefix = os.path.realpath(job.binding.prefix)
        self.private = place.base
        self.kernel = Kernel(
            prefix=job.binding.prefix,
            private=place.base,
            folder=place.folder,
            variables=variables,
            log=log,
            template="" if job.warm_start.cold else job.warm_start.template,
        )
        self.client = BoundedClient(
            script.notebook,
            job.limits.output,
            km=self.kernel.manager,
            log=QUIET,
            timeout=None,
            # Each cell is told on its own what it may do, so nbclient must stop at nothing.
            allow_errors=True,
            iopub_timeout=_LATE_OUTPUT,
        )
        self.monitor: Monitor | None = None
        self.index = -1

    async def run(self) -> None:
        """Start the kernel, run the cells, and end all processes, whatever happens."""
        try:
            if await self._start():
                await self._cells()
                await self._finish()
            self._give_back()
        except OutOfTimeError:
            self._out_of_time()
        except KernelDiedError:
            self._died()
        finally:
            await self._end()

    async def _start(self) -> bool:
        """Start the kernel; False when it is not in the environment that the job was planned for."""
        began = time.monotonic()
        try:
            await self.kernel.start()
        except OSError as error:
            self.story.fail("environment", f"the environment's interpreter cannot be run: {error}")
            return False
        self.story.warm = self.kernel.warm
        if self.kernel.warm or self.job.warm_start.template:
            self.story.waited = time.monotonic() - began
        self.monitor = Monitor(self.kernel.pid, self.mark, self.job.limits.memory)
        self.monitor.start()
        self.client.kc = self.kernel.client
        info = await self.kernel.unless_dead(self.kernel.ready(), self.story.remaining())
        self.script.notebook.metadata["language_info"] = info.get("language_info", {})
        answer = await self.kernel.unless_dead(self.kernel.ask(_BINDING), self.story.remaining())
        self.story.start_seconds = time.monotonic() - self.story.began
        if answer["prefix"] != self.prefix:
            reason = f"the kernel runs in {answer['prefix']}, but the job was planned for {self.prefix}"
            self.story.fail("environment", reason)
            return False
        return True

    async def _cells(self) -> None:
        for index, step in enumerate(self.script.steps):
            if step.run and not await self._cell(index, step):
                return

    async def _cell(self, index: int, step: prepare.PreparedCell) -> bool:
        """Execute one cell; False when the notebook ends here."""
        self.index = index
        cell = self.script.notebook.cells[index]
        began = time.monotonic()
        limit = min(self.job.limits.cell_timeout, self.story.remaining())
        try:
            reply = await self.kernel.unless_dead(self.client.execute_one(cell, index), limit)
        except KernelDiedError:
            await self.kernel.wait_dead(1.0)  # so that how it ended is known
            raise
        finally:
            self.story.cells.append(CellTime(cell=step.number, seconds=time.monotonic() - began))
        return self._judge(step, reply)

    def _judge(self, step: prepare.PreparedCell, reply: dict[str, Any]) -> bool:
        refused = self._refused_installs()
        raised = reply.get("status") == "error"
        if refused:
            self._blame("failed", "PackageNotInEnvironment", refused, show=True)
        elif raised and not step.may_raise:
            self._blame_exception(reply)
        elif any(map(_leaves, reply.get("payload") or ())):
            return self._left(step)
        elif not raised and reply.get("status") != "ok":
            self._blame("crashed", "NoReply", f"the kernel gave no verdict on cell {step.number}")
        if self.story.status != "passed" and self.job.allow_errors:
            self.story.allowed.append(f"cell {step.number} raised {reply.get('ename') or 'PackageNotInEnvironment'}")
            self.story.status, self.story.reason, self.story.failure = "passed", "", None
        return self.story.status == "passed"

    def _left(self, step: prepare.PreparedCell) -> bool:
        if any(later.run for later in self.script.steps[self.index + 1 :]):
            text = f"cell {step.number} left the kernel with exit(), and the cells after it were not run"
            self._blame("crashed", "KernelExit", text)
        return False

    def _blame_exception(self, reply: dict[str, Any]) -> None:
        ename, evalue = str(reply.get("ename", "")), str(reply.get("evalue", ""))
        number, source = self._current()
        trace = "\n".join(map(str, reply.get("traceback", ())))
        if ename == "StdinNotImplementedError":
            self.story.fail("failed", f"cell {number} asks for input, and nobody is there to answer: remove input()")
        else:
            told = f"cell {number} raised {ename}: {_first_line(evalue)}".rstrip(": ")
            self.story.fail("failed", told + self._remedy(ename, evalue))
        self.story.failure = Failure(
            cell=number, ename=ename, evalue=_bounded(evalue), traceback=_bounded(trace), source=source
        )

    def _remedy(self, ename: str, evalue: str) -> str:
        """Say what to add, and where, when a module was missing; empty for any other error."""
        missing = re.fullmatch(r"No module named '([\w.]+)'.*", _first_line(evalue))
        if ename != "ModuleNotFoundError" or missing is None:
            return ""
        module = missing[1].split(".")[0]
        where = self.job.binding.requirements_file
        if not where:
            return f"; its environment follows from its imports: a line `%pip install {module}` in it would add that"
        return f"; if it should be there, add what provides {module} to {where} (group {self.job.group})"

    def _blame(self, status: Verdict, ename: str, text: str, *, show: bool = True, detail: str = "") -> None:
        """Make the current cell the culprit of something that is no exception, and show it in the executed copy."""
        number, source = self._current()
        self.story.fail(status, text)
        self.story.failure = Failure(cell=number, ename=ename, evalue=text, traceback=detail, source=source)
        if show and self.index >= 0:
            lines = [f"{ename}: {text}", *detail.splitlines()]
            output = prepare.error_output(ename, text, lines)
            self.script.notebook.cells[self.index].setdefault("outputs", []).append(output)

    def _current(self) -> tuple[int | None, str]:
        if self.index < 0:
            return None, ""
        return self.script.steps[self.index].number, self.script.notebook.cells[self.index].source

    def _out_of_time(self) -> None:
        number, _ = self._current()
        whole = self.story.remaining() <= 0
        name, seconds = ("notebook", self.job.limits.timeout) if whole else ("cell", self.job.limits.cell_timeout)
        limit = f"the {name}'s limit of {seconds:g} s"
        if number is None:
            self._blame("timeout", "NotebookTimeout", f"the kernel was not ready within {limit}")
        else:
            ename = "NotebookTimeout" if whole else "CellTimeout"
            self._blame("timeout", ename, f"cell {number} was still running when {limit} had passed")

    def _died(self) -> None:
        number, _ = self._current()
        phrase = self.kernel.exit_phrase
        where = "before it was ready" if number is None else f"in cell {number}"
        tail = self.kernel.log_tail()
        exceeded = self.monitor.exceeded if self.monitor is not None else None
        if exceeded is not None and self.job.limits.memory is not None:
            limit, used = _mebibytes(self.job.limits.memory), _mebibytes(exceeded)
            text = f"the memory limit of {limit} was exceeded {where}: {used} were in use"
            self._blame("memory", "MemoryLimit", text)
        elif self.kernel.exit_code == _SIGKILL and oom_kills() > self.oom_before:
            self._blame("memory", "OutOfMemory", f"the system was out of memory and killed the kernel {where}")
        else:
            missing = number is None and "No module named ipykernel" in tail
            text = f"the kernel {phrase} {where}"
            if tail:
                text += f"; its last lines were:\n{tail}"
            self._blame("environment" if missing else "crashed", "KernelDied", text, detail=tail)

    async def _finish(self) -> None:
        """Record what is only known at the end, such as an install that ran in the background."""
        self.client.set_widgets_metadata()
        late = self._refused_installs()
        if late and not self.job.allow_errors and self.story.status == "passed":
            self._blame("failed", "PackageNotInEnvironment", late)
        # A warm kernel tells the same as a cold one: its template held nothing that the notebook does not load itself.
        if self.story.status == "passed" and self.job.warm_start.want_modules and self.job.edits == Edits():
            answer = await self.kernel.unless_dead(self.kernel.ask(_MODULES), _QUESTION_TIME)
            local = f"={self.private}/"  # what stands in the scratch directory is the project's
            names = (answer["modules"] or "").split("\n")
            self.story.modules = tuple(name for name in names if name and local not in name)
        if self.story.status == "passed" and self.job.want_values:
            await self._values()

    async def _values(self) -> None:
        """Ask for the notebook's variables; one that has ended its kernel has none, and has passed all the same."""
        with contextlib.suppress(KernelDiedError, OutOfTimeError):
            answer = await self.kernel.unless_dead(self.kernel.ask(_VALUES), _QUESTION_TIME)
            if answer["values"]:
                found = json.loads(answer["values"])
                self.story.values, self.story.value_faults = found["values"], found["faults"]

    def _give_back(self) -> None:
        """Let another notebook have the cores, unless this one will be tried again, in a cold kernel."""
        if self.story.status == "passed" or (self.story.status == "failed" and not self.story.warm):
            self.story.ended = time.monotonic()
            release_cores(self.job.core_release, self.mark)

    async def _end(self) -> None:
        if self.monitor is not None:
            self.monitor.note_high_water()
        if self.story.status in {"passed", "failed"}:
            await self.kernel.farewell()
        if self.monitor is not None:
            self.story.peak = self.monitor.stop() or None
            self.kernel.seen |= self.monitor.seen
        await self.kernel.close()

    def _refused_installs(self) -> str:
        """Return the messages of the pip guard since the last call."""
        try:
            lines = self.installs.read_text(encoding="utf-8").splitlines()
        except OSError:
            return ""
        new, self.installs_read = lines[self.installs_read :], len(lines)
        return "\n".join(str(json.loads(line)["message"]) for line in new if line.strip())


def _leaves(payload: dict[str, Any]) -> bool:
    return payload.get("source") == "ask_exit" and not payload.get("keepkernel")


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:500]


def _bounded(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
