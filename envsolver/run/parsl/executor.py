"""Parsl, behind one door: an executor per environment, jobs in, results out.

The pool runs on envsolver's own interpreter, since Parsl's interchange refuses any other; the
environment is bound through `worker_init`, which the job reads and proves. Parsl writes its files
below a directory whose path needs no quoting, since its scripts do not quote it.
"""

from __future__ import annotations

import atexit
import contextlib
import shlex
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.parsl.monitoring import interrupts_held, make_hub
from envsolver.worker.processes import RUN_MARK

if TYPE_CHECKING:
    from parsl.dataflow.dflow import DataFlowKernel
    from parsl.executors import HighThroughputExecutor

HEARTBEAT_SECONDS = 2
"""How often a pool looks for dead workers and tells the interchange that it lives."""

HEARTBEAT_THRESHOLD_SECONDS = 60
"""Silence after which the interchange gives a pool up; a dead local pool is noticed sooner."""


class JobExecutor(Protocol):
    """What carries jobs to where they run."""

    def open(self, key: str, prefix: Path, workers: int, gpus: tuple[str, ...] = ()) -> None:
        """Get ready for up to `workers` jobs at once in the environment `key`; returns at once.

        Each of `gpus` names what one worker is pinned to, such as ``0`` or ``0,1``; there are no more workers then.
        """

    def submit(self, key: str, job: Job) -> Future[Result]:
        """Start a job in an opened environment. The future raises when its worker is lost."""

    def broken(self) -> tuple[str, ...]:
        """Name the environments whose workers are gone for good."""

    def reopen(self, key: str) -> None:
        """Replace the workers of a broken environment."""

    def close(self, *, gently: bool) -> None:
        """Stop everything; without `gently`, do not wait for anything."""


class InlineExecutor:
    """Run one job at a time in this process, without Parsl."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="job")

    def open(self, key: str, prefix: Path, workers: int, gpus: tuple[str, ...] = ()) -> None:
        """Nothing to prepare."""

    def submit(self, key: str, job: Job) -> Future[Result]:  # noqa: ARG002  the job itself names its environment
        """Run the job on the one thread."""
        from envsolver.worker.run_job import run_job

        return self._thread.submit(run_job, job)

    def broken(self) -> tuple[str, ...]:
        """Nothing breaks here."""
        return ()

    def reopen(self, key: str) -> None:
        """Nothing to replace."""

    def close(self, *, gently: bool) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=gently, cancel_futures=True)


class ParslJobExecutor:
    """One `HighThroughputExecutor` per environment under a single `DataFlowKernel`.

    Parameters
    ----------
    run_id
        Marks every process that is started.
    directory
        Where Parsl writes; its path must be free of characters that a shell treats specially.
    server
        Socket of the `fork_server` that forks Parsl's programs; where none answers, they start anew.
    monitor
        Have Parsl measure the run, into a database in `directory`.
    """

    def __init__(
        self,
        *,
        run_id: str,
        directory: Path,
        server: str = "",
        monitor: bool = False,
    ) -> None:
        self._run_id = run_id
        self._server = server
        self._monitor = monitor
        self._directory = directory
        self._kernel: DataFlowKernel | None = None
        self._opened: dict[str, Future[HighThroughputExecutor]] = {}
        self._specification: dict[str, tuple[Path, int, tuple[str, ...]]] = {}
        self._generation: dict[str, int] = {}
        # Executors are started one after the other, in the order of their work's urgency: each start is
        # bound by the processor, and Parsl's kernel is not made for starts from several threads.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parsl-start")
        self._starter.submit(self._load)

    def open(self, key: str, prefix: Path, workers: int, gpus: tuple[str, ...] = ()) -> None:
        """Queue the start of the environment's executor."""
        self._specification[key] = (prefix, workers, gpus)
        self._generation[key] = self._generation.get(key, 0) + 1
        label = key[:12] if self._generation[key] == 1 else f"{key[:12]}-{self._generation[key]}"
        self._opened[key] = self._starter.submit(self._start, key, label)

    def submit(self, key: str, job: Job) -> Future[Result]:
        """Send the job as soon as the executor stands."""
        outcome: Future[Result] = Future()
        self._opened[key].add_done_callback(lambda started: self._send(started, job, outcome))
        return outcome

    def broken(self) -> tuple[str, ...]:
        """Name environments whose interchange, or whose only pool, has ended."""
        return tuple(key for key, opened in self._opened.items() if _is_broken(opened))

    def reopen(self, key: str) -> None:
        """Start another executor in place of a broken one."""
        self.open(key, *self._specification[key])

    def close(self, *, gently: bool) -> None:
        """Stop Parsl. Without `gently` its processes are taken for dead and nothing is awaited."""
        self._starter.shutdown(wait=gently, cancel_futures=True)
        if self._kernel is None:
            return
        if gently and not self.broken():
            self._kernel.cleanup()
        else:
            # Parsl's own clean-up asks the interchange, which would wait for ever on a dead one.
            atexit.unregister(self._kernel.atexit_cleanup)
        self._kernel = None

    def _load(self) -> DataFlowKernel:
        if self._kernel is not None:
            return self._kernel
        from parsl.config import Config
        from parsl.dataflow.dflow import DataFlowKernel

        with self._quiet():
            self._kernel = DataFlowKernel(
                Config(
                    executors=[],
                    strategy="none",
                    strategy_period=1,
                    run_dir=str(self._directory),
                    initialize_logging=False,
                    usage_tracking=0,
                    monitoring=make_hub() if self._monitor else None,
                )
            )
        return self._kernel

    def _quiet(self) -> contextlib.AbstractContextManager[None]:
        """Keep Ctrl-C from the processes that monitoring starts; the run ends them itself."""
        return interrupts_held() if self._monitor else contextlib.nullcontext()

    def _start(self, key: str, label: str) -> HighThroughputExecutor:
        prefix, workers, gpus = self._specification[key]
        executor = make_executor(
            label,
            workers=workers,
            worker_init=worker_init(prefix, self._run_id),
            accelerators=gpus,
            server=self._server,
            output=self._directory / f"{label}.interchange.out",
        )
        kernel = self._load()
        with self._quiet():
            kernel.add_executors([executor])
        # The strategy would start the first block at its next look; asking for it now saves that wait.
        executor.scale_out_facade(1)
        return executor

    def _send(self, started: Future[HighThroughputExecutor], job: Job, outcome: Future[Result]) -> None:
        if started.cancelled():
            outcome.cancel()
            return
        error = started.exception()
        if error is not None:
            outcome.set_exception(error)
            return
        try:
            from parsl import python_app

            from envsolver.run.parsl.task import run_job

            app = python_app(run_job, data_flow_kernel=self._kernel, executors=[started.result().label], cache=False)
            app(job).add_done_callback(lambda done: _copy(done, outcome))
        except Exception as problem:  # noqa: BLE001  any failure to send must reach whoever waits
            outcome.set_exception(problem)


def _copy(done: Future[Result], outcome: Future[Result]) -> None:
    error = done.exception()
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())


def _is_broken(opened: Future[Any]) -> bool:
    if not opened.done() or opened.cancelled():
        return False
    if opened.exception() is not None:
        return True
    executor = opened.result()
    if executor.bad_state_is_set or executor.interchange_proc.poll() is not None:
        return True
    blocks = list(executor.provider.resources)
    states = executor.provider.status(blocks)
    return bool(states) and all(state.terminal for state in states)


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
    label: str,
    *,
    workers: int,
    worker_init: str,
    output: Path,
    server: str = "",
    accelerators: tuple[str, ...] = (),
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
    from parsl.launchers import SimpleLauncher
    from parsl.providers import LocalProvider

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
        provider=LocalProvider(
            init_blocks=0, min_blocks=0, max_blocks=1, launcher=SimpleLauncher(), worker_init=worker_init
        ),
    )
