"""Parsl's executor for one environment: how its pool of workers is started and bound, on this machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.parsl.awaited import AwaitedJobs
from envsolver.run.parsl.pool_logs import explained, last_words, stuck
from envsolver.run.scheduler.protocols import PoolRequest
from envsolver.worker.processes import RUN_MARK

if TYPE_CHECKING:
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

HEARTBEAT_SECONDS = 2
"""How often a pool looks for dead workers and sends the interchange a sign of life."""


HEARTBEAT_THRESHOLD_SECONDS = 60
"""Silence after which the interchange counts a pool as lost; a dead local pool is noticed sooner."""


def worker_init(prefix: Path, run_id: str) -> str:
    """Build the shell text that binds a pool to an environment.

    Parameters
    ----------
    prefix
        The environment's directory.
    run_id
        The run's mark.

    Returns
    -------
    str
        One export a line.
    """
    exports = {"VIRTUAL_ENV": str(prefix), RUN_MARK: run_id}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    lines.append(f"export PATH={shlex.quote(str(prefix / 'bin'))}:$PATH")
    lines.append("unset PYTHONHOME")
    return "\n".join(lines)


def launcher(server: str) -> list[str]:
    """Return the command that has one of Parsl's programs forked here; a file for its output and its name follow.

    Parameters
    ----------
    server
        Socket of the process that forks them.
    """
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")), server]


def interchange_ended(executor: HighThroughputExecutor) -> bool:
    """Return whether the process is gone that hands jobs to an executor's pools."""
    return executor.interchange_proc is not None and executor.interchange_proc.poll() is not None


class Pools(Protocol):
    """What differs between executors on this machine and on a cluster.

    Attributes
    ----------
    strategy, idle_seconds
        Parsl's strategy of scaling, and how long a block may have nothing to do.
    """

    strategy: str
    idle_seconds: float

    @property
    def waiting_seconds(self) -> float:
        """How much longer than its limits allow a job may take, since it waits for a place."""

    def watch(self, awaited: AwaitedJobs) -> None:
        """Be given what is to know which jobs workers have taken."""

    def make(self, label: str, request: PoolRequest) -> HighThroughputExecutor:
        """Make an environment's executor."""

    def started(self, executor: HighThroughputExecutor) -> None:
        """Do what an executor needs that has just been started."""

    def why_broken(self, executor: HighThroughputExecutor) -> str:
        """Return why an executor can carry no jobs and must be replaced; empty for one that can."""

    def abandon(self, executor: HighThroughputExecutor) -> None:
        """Give back what an executor holds that is replaced."""

    def explain(self, job: Job, error: Exception, executor: HighThroughputExecutor) -> Result | Exception:
        """Return what the end of a job means that came back without a result."""

    def located(self, result: Result, executor: HighThroughputExecutor) -> Result:
        """Return a result that names where it is from."""

    def close(self) -> None:
        """Give back what all executors hold, whatever state they are in."""


class LocalPools:
    """Makes executors on this machine, each with one pool of workers.

    Parameters
    ----------
    run_id
        The run's mark.
    directory
        Where Parsl writes.
    server
        Socket of the process that forks Parsl's programs.
    """

    strategy = "none"
    idle_seconds = 0.0
    waiting_seconds = 0.0

    def __init__(self, *, run_id: str, directory: Path, server: str = "") -> None:
        self._run_id = run_id
        self._directory = directory
        self._server = server

    def watch(self, awaited: AwaitedJobs) -> None:
        """Tell nothing: a job that is sent has a worker."""

    def make(self, label: str, request: PoolRequest) -> HighThroughputExecutor:
        """Make an executor whose pool runs on this interpreter."""
        from parsl.executors import HighThroughputExecutor
        from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

        client = launcher(self._server)
        pool = shlex.join([*client, "", "pool"]).replace("{", "{{").replace("}", "}}")
        return HighThroughputExecutor(
            label=label,
            address="127.0.0.1",
            # Tasks are pickles: without certificates any user of the machine could send one, and an interchange that
            # a killed run left behind could take the tasks of the next.
            encrypted=True,
            cores_per_worker=1e-6,  # envsolver's own budget decides how many jobs run at once
            max_workers_per_node=request.workers,
            available_accelerators=list(request.gpus),
            heartbeat_period=HEARTBEAT_SECONDS,
            heartbeat_threshold=HEARTBEAT_THRESHOLD_SECONDS,
            launch_cmd=DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", f"exec {pool}", 1),
            interchange_launch_cmd=[*client, str(self._directory / f"{label}.interchange.out"), "interchange"],
            block_error_handler=False,
            provider=_local_provider(worker_init(request.prefix, self._run_id)),
        )

    def started(self, executor: HighThroughputExecutor) -> None:
        """Ask for the pool at once: the strategy would at its next look, and never for one that replaces another."""
        executor.scale_out_facade(1)

    def why_broken(self, executor: HighThroughputExecutor) -> str:
        """Return why an executor can carry no jobs; empty for one that can."""
        if executor.bad_state_is_set or interchange_ended(executor):
            return "the interchange of its pool of workers ended"
        provider: Any = executor.provider
        blocks = list(provider.resources)
        states = provider.status(blocks) if blocks else list(executor.status_facade.values())
        if states and all(state.terminal for state in states):
            cause = last_words(states[-1].stderr_summary or states[-1].message or "")
            return explained(": ".join(filter(None, ("its pool of workers ended", cause))))
        cause = stuck(Path(executor.logdir))
        return explained(f"its pool of workers is stuck: {cause}") if cause else ""

    def abandon(self, executor: HighThroughputExecutor) -> None:
        """Leave its processes to the end of the run."""

    def explain(self, job: Job, error: Exception, executor: HighThroughputExecutor) -> Exception:  # noqa: ARG002
        """Return the error: its job has lost its worker."""
        return error

    def located(self, result: Result, executor: HighThroughputExecutor) -> Result:  # noqa: ARG002
        """Return the result: it is from this machine."""
        return result

    def close(self) -> None:
        """Leave its processes to the end of the run."""


def _local_provider(worker_init: str) -> LocalProvider:
    from parsl.launchers import SimpleLauncher
    from parsl.providers import LocalProvider

    # Where other executors of the run are scaled, this one is to keep the one block that it gets.
    return LocalProvider(init_blocks=0, min_blocks=1, max_blocks=0, launcher=SimpleLauncher(), worker_init=worker_init)
