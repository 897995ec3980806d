"""Slurm, asked in a way that keeps its own words: in which state a block is, why, and where.

Parsl's provider asks `sacct`, which not every site has, or `squeue` for what still runs; a block that `squeue` lists no
more counts as completed there, and an unknown state as nothing. Here `squeue` is asked for ended jobs as well, which
Slurm remembers for minutes (its MinJobAge), and a block that will never start counts as failed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from parsl.jobs.states import JobState, JobStatus
from parsl.providers import SlurmProvider

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

NEVER_ENDS = ("MinutesLimit", "PerJobLimit")
"""How the reasons end that tell that an account is used up, or that a job is too large for it."""


class SlurmBlocks(SlurmProvider):
    """Parsl's provider for Slurm, with Slurm's words in the message of each state."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.silence = ""
        """What `squeue` said when it did not answer the last question."""
        # Parsl asks for another block; the same one, queued again, would only come back much later.
        self.scheduler_options += "#SBATCH --no-requeue\n"

    def _status(self) -> None:
        active = [str(job) for job, kept in self.resources.items() if not kept["status"].terminal]
        if not active:
            return
        clusters = f" --clusters={self.clusters}" if self.clusters else ""
        command = f"squeue{clusters} --noheader --states=all --format='%i|%T|%r|%N|%S|%e' --job '{','.join(active)}'"
        code, output, error = self.execute_wait(command)  # type: ignore[no-untyped-call]
        answered = code == 0 or "Invalid job id" in error
        self.silence = "" if answered else error.strip() or f"squeue ended with {code}"
        if not answered:
            return  # which says nothing of the blocks
        told = {job: rest for job, *rest in (line.split("|") for line in output.splitlines()) if len(rest) == 5}  # noqa: PLR2004
        for job in active:
            state, reason, nodes, *times = told.get(job, ("COMPLETED", "Slurm does not know it any more", "", "", ""))
            self._note(job, state, reason, nodes)
            if state in ON_NODES:
                self.resources[job] |= dict(zip(("nodes", "started", "ends"), (nodes, *map(_iso, times)), strict=True))

    def _note(self, job: str, state: str, reason: str, nodes: str) -> None:
        """Keep what Slurm says of a job, and cancel one that will never start."""
        kept = self.resources[job]
        why = f" ({reason})" if reason not in {"None", ""} else ""
        words = f"Slurm: job {job} {state}{why}{f' on {nodes}' if nodes else ''}"
        found = STATES.get(state, JobState.UNKNOWN)
        if found is JobState.PENDING and never_starts(reason):
            self.cancel([job])  # type: ignore[no-untyped-call]
            found = JobState.FAILED
        kept["status"] = JobStatus(
            found, message=words, stdout_path=kept["job_stdout_path"], stderr_path=kept["job_stderr_path"]
        )


def never_starts(reason: str) -> bool:
    """Tell whether a job that waits for a reason will never start by itself."""
    return reason.split(",", maxsplit=1)[0] in NEVER or reason.endswith(NEVER_ENDS)


def _iso(text: str) -> str | None:
    """Return a time of Slurm's, which is the local one, with its zone; None when it has none, such as ``N/A``."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat(timespec="seconds")
    except ValueError:
        return None
