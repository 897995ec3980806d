"""Parsl's executor for one environment on this machine: how its pool of workers is started and bound."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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


def make_executor(
    label: str, *, workers: int, worker_init: str, output: Path, server: str = "", accelerators: tuple[str, ...] = ()
) -> HighThroughputExecutor:
    """Build an executor on this machine whose pool runs on this interpreter.

    Parameters
    ----------
    label
        Unique name, also of its log directory.
    workers
        How many jobs it can run at once.
    worker_init
        Shell text run before the pool starts.
    output
        File for what the interchange prints.
    server
        Socket of the process that forks Parsl's programs.
    accelerators
        GPUs to pin workers to, one each.
    """
    from parsl.executors import HighThroughputExecutor
    from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

    client = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")), server]
    pool = shlex.join([*client, "", "pool"]).replace("{", "{{").replace("}", "}}")
    return HighThroughputExecutor(
        label=label,
        address="127.0.0.1",
        # Tasks are pickles: without certificates any user of the machine could send one, and an interchange that
        # a killed run left behind could take the tasks of the next.
        encrypted=True,
        cores_per_worker=1e-6,  # envsolver's own budget decides how many jobs run at once
        max_workers_per_node=workers,
        available_accelerators=list(accelerators),
        heartbeat_period=HEARTBEAT_SECONDS,
        heartbeat_threshold=HEARTBEAT_THRESHOLD_SECONDS,
        launch_cmd=DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", f"exec {pool}", 1),
        interchange_launch_cmd=[*client, str(output), "interchange"],
        block_error_handler=False,
        provider=_local_provider(worker_init),
    )


def _local_provider(worker_init: str) -> LocalProvider:
    from parsl.launchers import SimpleLauncher
    from parsl.providers import LocalProvider

    return LocalProvider(init_blocks=0, min_blocks=0, max_blocks=1, launcher=SimpleLauncher(), worker_init=worker_init)
