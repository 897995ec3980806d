"""Slurm, asked in a way that keeps its own words: in which state a block is, why, and where.

Parsl's provider asks `sacct`, which not every site has, or `squeue` for what still runs; a block that `squeue` lists no
more counts as completed there, and an unknown state as nothing. Here `squeue` is asked for ended jobs as well, which
Slurm remembers for minutes (its MinJobAge), and a block that will never start counts as failed. An answer without
its heading is none. A block may be in the queue although its `sbatch` did not answer; it is cancelled by its name.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from parsl.jobs.states import JobState, JobStatus
from parsl.providers import SlurmProvider
from parsl.providers.errors import SubmitException

from envsolver.run.parsl.blocks import SilentError
from envsolver.run.parsl.commands import CommandOutput, ask

STATES = {
    **dict.fromkeys(("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED"), JobState.PENDING),
    **dict.fromkeys(("RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT"), JobState.RUNNING),
    **dict.fromkeys(("SUSPENDED", "STOPPED", "RESV_DEL_HOLD"), JobState.HELD),
    **dict.fromkeys(("TIMEOUT", "DEADLINE", "PREEMPTED"), JobState.TIMEOUT),
    **dict.fromkeys(("FAILED", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "REVOKED"), JobState.FAILED),
    **dict.fromkeys(("SPECIAL_EXIT", "REQUEUE_HOLD"), JobState.FAILED),
    "CANCELLED": JobState.CANCELLED,
    "COMPLETED": JobState.COMPLETED,
}
"""Slurm's states of a job (squeue's manual, "JOB STATE CODES"), and Parsl's."""

ON_NODES = frozenset({"RUNNING", "COMPLETING"})
"""States of which the node and the times are what they say; those of one that waits are guesses."""

NEVER = frozenset({
    "AccountNotAllowed", "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS", "JobHeldAdmin",
    "JobHeldUser", "JobHoldMaxRequeue", "PartitionNodeLimit", "PartitionTimeLimit", "QOSNotAllowed",
    "launch_failed_requeued_held",
})  # fmt: skip
"""Reasons for which a job that waits will never start by itself."""

FORMAT = "%i|%T|%r|%N|%S|%e"
HEADING = "JOBID|STATE|REASON|NODELIST|START_TIME|END_TIME"
"""What `squeue` is asked for, and the line above its answer: without it, what it printed is no answer."""

UNHEARD = (
    "has not answered within", "Unable to contact slurm controller", "Zero Bytes were transmitted", "timed out",
    "Connection refused", "communication", "Protocol authentication error", "controller in standby mode",
    "temporarily unable to accept", "Unable to establish", "Munge", "Invalid authentication credential",
)  # fmt: skip
"""What Slurm's commands say when they did not reach it (slurm_errno.c), and ours: that passes by itself.

They end with 1 whatever went wrong, and tell of it in no other form (`--json` is for answers). Nothing rests on this
list alone: when `squeue` does not answer either, Slurm is out of reach whatever the words are, and when it does it
tells whether there is a block. Without a spelling that is missing here, a block counts as refused that may come later;
it works like any other, and ends when it finds no run.
"""

NOT_LAUNCHED = frozenset({"JobLaunchFailure", "launch_failed_requeued_held"})
"""Reasons of a block that its node could not start, as it cannot when there is no place for what the block prints."""

NEVER_ENDS = ("MinutesLimit", "PerJobLimit")
"""How the reasons end that tell that an account is used up, or that a job is too large for it."""

PASSES = "RunMinutesLimit"
"""How those end that bound what runs at once, in minutes to go: they pass as other jobs come to their end."""


class SlurmBlocks(SlurmProvider):
    """Parsl's provider for Slurm, with Slurm's words in the message of each state."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.silence = ""
        """What `squeue` said when it did not answer the last question."""
        # Parsl asks for another block; the same one, queued again, would only come back much later.
        self.scheduler_options += "#SBATCH --no-requeue\n"
        self._options = self.scheduler_options
        self._uncertain: list[str] = []  # names of blocks of which `sbatch` has not said whether there are any

    def execute_wait(self, cmd: str, timeout: int | None = None) -> CommandOutput:
        """Run one of Slurm's commands, which may not take for ever."""
        if cmd.startswith("sacct"):
            return CommandOutput(1, "", "")  # Parsl wants to know whether it works
        return ask(cmd, timeout or self.cmd_timeout)

    def submit(self, command: str, tasks_per_node: int, job_name: str = "parsl.slurm") -> str:
        """Ask for a block.

        Raises
        ------
        SilentError
            Slurm did not answer.
        RuntimeError
            Slurm does not take it.
        """
        if not self._cancel_uncertain():
            raise SilentError(self.silence)
        name = f"{job_name}.{uuid.uuid4().hex[:12]}"
        self.scheduler_options = f"{self._options}#SBATCH --job-name={name}\n"
        try:
            return super().submit(command, tasks_per_node, name)
        except SubmitException as error:
            words = " / ".join(f"{error.stderr}\n{error.stdout}".split("\n")).strip(" /")
            if (job := self._find(name)) is not None:
                return job
            if error.retcode != 0 and not self.silence and not is_unheard(words):
                raise RuntimeError(f"Slurm: {words or f'sbatch ended with {error.retcode}'}") from error
            self._uncertain.append(name)
            raise SilentError(words or "sbatch printed nothing") from error

    def _find(self, name: str) -> str | None:
        """Return the block of a name that is in the queue although `sbatch` has not said so."""
        job = next((row[0] for row in self._rows(f"--name={name}") or []), None)
        if job is not None:
            scripts = Path(str(self.script_dir)).glob(f"{name}.*")
            script = next(each for each in scripts if each.suffix not in {".stdout", ".stderr"})
            paths = {"job_stdout_path": f"{script}.stdout", "job_stderr_path": f"{script}.stderr"}
            self.resources[job] = {"job_id": job, "status": JobStatus(JobState.PENDING), **paths}
        return job

    def _cancel_uncertain(self) -> bool:
        """Cancel the blocks that may be in the queue untold; false when Slurm does not answer."""
        if self._uncertain:
            names = f"--name={','.join(self._uncertain)}"
            code, _, error = self._cancel(names)
            if code != 0 and (is_unheard(error) or self._may_be_there(names)):
                self.silence = error.strip() or self.silence or f"scancel ended with {code}"
                return False
            self._uncertain.clear()
        return True

    def _may_be_there(self, which: str) -> bool:
        """Return whether blocks wait or run, or Slurm does not say so."""
        rows = self._rows(which)
        return rows is None or any(not JobStatus(STATES.get(row[1], JobState.UNKNOWN)).terminal for row in rows)

    def cancel(self, job_ids: Sequence[object]) -> list[bool]:
        """Give blocks back, and return for each whether Slurm has taken it."""
        if not job_ids:
            return []
        code, _, error = self._cancel(" ".join(map(str, job_ids)))
        self.silence = error.strip() if code != 0 and is_unheard(error) else self.silence
        if code == 0:
            for job in job_ids:
                self.resources[str(job)]["status"] = JobStatus(JobState.CANCELLED)
        return [code == 0] * len(job_ids)

    def _cancel(self, which: str) -> CommandOutput:
        clusters = f"--clusters={self.clusters} " if self.clusters else ""
        return self.execute_wait(f"scancel {clusters}{which}")

    def clean_up(self) -> None:
        """Cancel the blocks that may be in the queue untold.

        Raises
        ------
        SilentError
            Slurm did not answer.
        """
        if not self._cancel_uncertain():
            raise SilentError(self.silence)

    def _status(self) -> None:
        active = [str(job) for job, kept in self.resources.items() if not kept["status"].terminal]
        if not active:
            return
        rows = self._rows(f"--job '{','.join(active)}'")
        if rows is None:
            return  # which says nothing of the blocks
        told = {job: rest for job, *rest in rows}
        for job in active:
            state, reason, nodes, *times = told.get(job, ("COMPLETED", "Slurm does not know it any more", "", "", ""))
            self._note(job, state, reason, nodes)
            if state in ON_NODES:
                self.resources[job] |= dict(zip(("nodes", "started", "ends"), (nodes, *map(_iso, times)), strict=True))

    def _rows(self, which: str) -> list[list[str]] | None:
        """Return what `squeue` has on some jobs, a list of its columns for each; None when it does not answer."""
        lines = self._ask_queue(which)
        rows = [line.split("|") for line in lines or () if line != HEADING]
        return None if lines is None else [row for row in rows if len(row) == len(FORMAT.split("|"))]

    def _ask_queue(self, which: str) -> list[str] | None:
        """Return the lines that `squeue` has on some jobs, with its heading; None when that is no answer."""
        clusters = f" --clusters={self.clusters}" if self.clusters else ""
        code, output, error = self.execute_wait(f"squeue{clusters} --states=all --format='{FORMAT}' {which}")
        lines = output.splitlines()
        answered = HEADING in lines if code == 0 else "Invalid job id" in error
        self.silence = "" if answered else error.strip() or f"squeue ended with {code} and no answer: {output[:100]!r}"
        return lines if answered else None

    def _note(self, job: str, state: str, reason: str, nodes: str) -> None:
        """Keep what Slurm says of a job, and cancel one that will never start."""
        kept = self.resources[job]
        why = f" ({reason})" if reason not in {"None", ""} else ""
        words = f"Slurm: job {job} {state}{why}{f' on {nodes}' if nodes else ''}"
        if reason in NOT_LAUNCHED:
            words += (
                f"; most often the node does not see {self.script_dir}, or cannot write there, where what the block "
                "prints is to go: all nodes must see that folder at this path"
            )
        found = STATES.get(state, JobState.UNKNOWN)
        if found is JobState.PENDING and never_starts(reason):
            self.cancel([job])
            found = JobState.FAILED
        kept["status"] = JobStatus(
            found, message=words, stdout_path=kept["job_stdout_path"], stderr_path=kept["job_stderr_path"]
        )


def is_unheard(error: str) -> bool:
    """Tell whether a command's error output says that it did not reach Slurm, which may pass."""
    return any(words.lower() in error.lower() for words in UNHEARD)


def never_starts(reason: str) -> bool:
    """Tell whether a job that waits for a reason will never start by itself."""
    ends = reason.endswith(NEVER_ENDS) and not reason.endswith(PASSES)
    return reason.split(",", maxsplit=1)[0] in NEVER or ends


def _iso(text: str) -> str | None:
    """Return a time of Slurm's, which is the local one, with its zone; None when it has none, such as ``N/A``."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat(timespec="seconds")
    except ValueError:
        return None
