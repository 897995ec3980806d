"""An environment's executor on a cluster: blocks of nodes from one of Parsl's providers, and what their loss means.

The pools run on a Python at the same path on every node, and find the environment, the project and the run's folder at
the same paths, on a shared file system.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import CommandClientBadError, CommandClientTimeoutError, ManagerLost
from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
from parsl.executors.status_handling import BlockProviderExecutor
from parsl.jobs.states import JobState, JobStatus

from envsolver.core.errors import UnfitPlaceError
from envsolver.core.jobs import Job
from envsolver.core.paths import PROJECT_ARCHIVE
from envsolver.core.profiles import Profile
from envsolver.core.progress import BlockListener
from envsolver.core.results import Result
from envsolver.run.parsl.addresses import address_of
from envsolver.run.parsl.awaited import AwaitedJobs
from envsolver.run.parsl.block_watch import BlockWatch
from envsolver.run.parsl.blocks import UNHEARD, BlockBudget, Blocks
from envsolver.run.parsl.pool import interchange_ended, launcher, worker_init
from envsolver.run.parsl.providers import make_provider
from envsolver.run.parsl.sent_project import SENT_PROJECT
from envsolver.run.parsl.task import BLOCK_SECONDS
from envsolver.run.scheduler.protocols import PoolRequest
from envsolver.run.warm.remote import order_file

HEARTBEAT_SECONDS = 4
HEARTBEAT_THRESHOLD_SECONDS = 20
"""Silence after which a node is taken for dead, and for a node the controller."""

IDLE_SECONDS = 30.0
"""How long a block may have nothing to do before it is given back; at once when another environment needs a block."""

SHORT_IDLE_SECONDS = 2.0
"""That of one block of several, when another environment needs one."""

TRIES = 3
"""How many blocks in a row may end without ever having worked."""

SILENT_SECONDS = 300.0
"""How long the scheduler may not answer, while no node works, before the notebooks are given up."""

LINES = 5
"""How much of a block's own error output is shown."""

ANSWER_SECONDS = 10.0
"""How long an interchange may take to answer."""

GIB = 1024**3

RUNNING = JobState.RUNNING

_NUMBERS = re.compile(r"[0-9a-f]*\d[0-9a-f]*")

DEFAULT_PORTS = (54000, 55000)


class BlocksFailedError(Exception):
    """No block can be had; the message holds the scheduler's words."""


class ClusterExecutor(HighThroughputExecutor):
    """Parsl's executor, which gives no block back when its strategy asks for none, and awaits no answer for ever.

    Asked to give back no block but idle ones, Parsl's gives back all that have not connected yet, so that where a block
    has a place too many, blocks are cancelled and asked for again without an end. And the thread that looks after the
    blocks of all executors would wait for ever for an interchange that has ended.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._asking = threading.Lock()

    def answers(self) -> bool:
        """Return whether the interchange is there, and has answered in time until now."""
        return bool(self.command_client.ok) and not interchange_ended(self)

    def connected_managers(self) -> list[dict[str, Any]]:
        """Return what the interchange knows of the pools that have come; nothing when it does not answer."""
        found: list[dict[str, Any]] = self._ask("MANAGERS") or []
        return found

    def connected_blocks(self) -> list[str]:
        """Return the blocks whose pools have come; nothing when the interchange does not answer."""
        found: list[str] = self._ask("CONNECTED_BLOCKS") or []
        return found

    def _hold_manager(self, manager_id: str) -> None:
        self._ask(["HOLD_MANAGER", manager_id])

    def _ask(self, question: object) -> Any:
        with (
            self._asking
        ):  # one that waits behind another's question has none of its time left, and then waits for ever
            if self.answers():
                with contextlib.suppress(CommandClientTimeoutError, CommandClientBadError):
                    return self.command_client.run(question, timeout_s=ANSWER_SECONDS)
        return None

    def scale_in(self, blocks: int, max_idletime: float | None = None) -> list[str]:
        """Give back so many blocks, and return which."""
        if max_idletime is not None and isinstance(self.provider, Blocks) and self.provider.others_wait():
            max_idletime = min(max_idletime, SHORT_IDLE_SECONDS)
        return super().scale_in(blocks, max_idletime) if blocks > 0 else []


class ClusterPools:
    """Makes the executors of a run on a cluster, and judges what becomes of their blocks.

    Parameters
    ----------
    profile
        Where jobs run.
    run_id
        The run's mark.
    directory
        Where Parsl writes, on the shared file system.
    server
        Socket of the process that forks Parsl's programs here.
    note
        Says one line to whoever follows the run.
    on_block
        Is told what becomes of blocks.
    """

    strategy = "htex_auto_scale"
    idle_seconds = IDLE_SECONDS

    def __init__(
        self,
        profile: Profile,
        *,
        run_id: str,
        directory: Path,
        server: str = "",
        note: Callable[[str], None],
        on_block: BlockListener,
    ) -> None:
        self._profile = profile
        self._note = note
        self._told: dict[str, dict[str, tuple[JobState, str | None]]] = defaultdict(dict)
        self._run_id = run_id
        self._directory = directory
        self._server = server
        self._budget = BlockBudget(profile.settings.max_blocks)
        self._awaited = AwaitedJobs()
        self._managers: dict[str, str] = {}
        self._useful: dict[str, set[str]] = defaultdict(set)  # the blocks that results have come from
        self._placed_since: dict[Any, float] = {}  # by the scheduler's name of a block
        self._block_watch = BlockWatch(profile, on_block)

    @property
    def waiting_seconds(self) -> float:
        """How much longer a job may take than on this machine, since it waits in a queue."""
        return self._profile.settings.start_deadline

    def watch(self, awaited: AwaitedJobs) -> None:
        """Tell from now on which jobs workers have taken."""
        self._awaited = awaited

    def make(self, label: str, request: PoolRequest) -> HighThroughputExecutor:
        """Make an environment's executor."""
        profile, settings = self._profile, self._profile.settings
        low, high = settings.ports or DEFAULT_PORTS
        inner = make_provider(profile, self._worker_init(request.prefix), request, self._run_id)
        provider = Blocks(inner, self._budget, settings.poll)
        python, program = settings.python or sys.executable, Path(__file__).with_name("node.py")
        pool = shlex.join([python, str(program), self._run_id, str(order_file(self._directory, label))])
        memory = None if request.memory is None else request.memory / GIB
        return ClusterExecutor(
            label=label,
            address=address_of(settings),
            worker_port_range=(low, high),
            encrypted=True,
            # A notebook that wants more than a node has gets a node of its own.
            cores_per_worker=min(request.cores, provider.cores_per_node or request.cores),
            mem_per_worker=min(memory, provider.mem_per_node or memory) if memory else None,
            max_workers_per_node=profile.workers_per_node,
            available_accelerators=list(request.gpus),
            heartbeat_period=HEARTBEAT_SECONDS,
            heartbeat_threshold=HEARTBEAT_THRESHOLD_SECONDS,
            launch_cmd=DEFAULT_LAUNCH_CMD.replace(
                "process_worker_pool.py", f"exec {pool}".replace("{", "{{").replace("}", "}}"), 1
            ),
            interchange_launch_cmd=[
                *launcher(self._server),
                str(self._directory / f"{label}.interchange.out"),
                "interchange",
            ],
            block_error_handler=self._watch,
            provider=provider,
        )

    def _worker_init(self, prefix: Path) -> str:
        settings = self._profile.settings
        first = [f"export {BLOCK_SECONDS}={self._profile.walltime or 0:.0f}"]
        if settings.project == "send":
            first += [f"export {SENT_PROJECT}={archive}" for archive in self._directory.glob(f"*{PROJECT_ARCHIVE}")]
        if settings.scratch:
            first += [f'export TMPDIR="{settings.scratch}"', 'mkdir -p "$TMPDIR"']
        return "\n".join([*first, worker_init(prefix, self._run_id)])

    def started(self, executor: HighThroughputExecutor) -> None:
        """Leave it to Parsl's strategy when a block is asked for."""

    def why_broken(self, executor: HighThroughputExecutor) -> str:
        """Return why an executor must be replaced. One that gets no blocks need not: its jobs have their verdict."""
        if executor.bad_state_is_set:
            return ""
        if interchange_ended(executor):
            return "the interchange of its pools of workers ended"
        if isinstance(executor, ClusterExecutor) and not executor.answers():
            return f"the interchange of its pools of workers has not answered for {ANSWER_SECONDS:g} s"
        return ""

    def abandon(self, executor: HighThroughputExecutor) -> None:
        """Give back the blocks of an executor that is replaced, which gets no others."""
        self._blocks(executor).retire()

    def close(self) -> None:
        """Cancel every block."""
        self._block_watch.close()
        for words in self._budget.close():
            self._note(f"profile {self._profile.name}: not given back: {words}; a block ends when it finds no run")

    def explain(self, job: Job, error: Exception, executor: HighThroughputExecutor) -> Result | Exception:
        """Return what the end of a job means that came back without a result.

        A verdict where no block can be had; else an error, with the scheduler's words about the block.
        """
        if isinstance(executor.executor_exception, BlocksFailedError):
            return Result(
                notebook=job.notebook,
                group=job.group,
                python=job.python,
                environment=job.binding.environment,
                strategy=job.strategy,
                status="environment",
                reason=f"profile {self._profile.name}: {executor.executor_exception}",
            )
        if isinstance(error, UnfitPlaceError):
            self._leave(executor, error)
            return error
        block = self._managers.get(error.manager_id.decode()) if isinstance(error, ManagerLost) else None
        words = "" if block is None else self._give_up(executor, block)
        return RuntimeError(f"{error}; {words}") if words else error

    def located(self, result: Result, executor: HighThroughputExecutor) -> Result:
        """Return a result with the scheduler's name of its block."""
        _, block, _ = result.worker.rsplit("/", 2)
        self._useful[executor.label].add(block)
        self._block_watch.add_node(executor.label, block, result.node)
        return replace(result, block=str(executor.blocks_to_job_id.get(block, block)))

    def _look_for_managers(self, executor: HighThroughputExecutor) -> None:
        managers = self._awaited.look(executor.label, executor.connected_managers)
        self._managers |= {each["manager"]: each["block_id"] for each in managers}

    def _leave(self, executor: HighThroughputExecutor, unfit: UnfitPlaceError) -> None:
        """Send no more jobs to a block whose node lacks something that is here, and give it back."""
        job = executor.blocks_to_job_id.get(unfit.block)
        blocks = self._blocks(executor)
        if job is None or blocks.nodes_per_block != 1 or not os.path.lexists(unfit.path):
            return
        self._look_for_managers(executor)
        for manager in [each for each, block in self._managers.items() if block == unfit.block]:
            executor._hold_manager(manager)  # noqa: SLF001  Parsl's own way holds the managers that it chooses
        if not blocks.resources[job]["status"].terminal:
            blocks.fail(job, unfit.words, worked=unfit.block in self._useful[executor.label])

    def _give_up(self, executor: HighThroughputExecutor, block: str) -> str:
        """Give back a block whose node is silent, so that another one may start; return what the scheduler says."""
        job = executor.blocks_to_job_id.get(block)
        blocks = self._blocks(executor)
        kept = blocks.resources.get(job)
        if kept is None:
            return ""
        words = str(kept["status"].message or "")
        if not kept["status"].terminal and blocks.nodes_per_block == 1:
            blocks.cancel([job])
        return words

    def _blocks(self, executor: BlockProviderExecutor) -> Blocks:
        provider = executor.provider
        assert isinstance(provider, Blocks)  # noqa: S101  this is who gave it
        return provider

    def _watch(self, executor: BlockProviderExecutor, status: Mapping[str, JobStatus]) -> None:
        """Look at an executor's blocks; Parsl calls this after each question to the scheduler."""
        if not isinstance(executor, ClusterExecutor) or executor.bad_state_is_set or not executor.answers():
            return
        self._look_for_managers(executor)
        self._tell(executor, status)
        self._block_watch.look(executor, status)
        self._end_unconnected(executor, status)
        ended = [each for _, each in sorted(status.items(), key=lambda item: int(item[0]))]
        running = any(each.state is RUNNING for each in ended)
        misses = misses_in_a_row(ended)
        blocks = self._blocks(executor)
        blocks.missed(len(misses))
        blocks.wanted = executor.outstanding() > 0
        if not blocks.wanted and blocks.active() and blocks.others_wait():
            executor.scale_in_facade(len(blocks.active()))
        waits = [blocks.asked[job] for job in blocks.active() if job in blocks.asked and not blocks.placed(job)]
        if len(misses) >= TRIES and not running:
            self._fail(executor, "no block could be started: " + "; ".join(unlike(map(words_of, misses))))
        elif waits and not running and time.monotonic() - min(waits) > self._profile.settings.start_deadline:
            words = "; ".join(unlike(words_of(each) for each in ended if each.state is JobState.PENDING))
            self._fail(executor, f"no block started within {self._profile.settings.start_deadline:g} s: {words}")
        elif blocks.silent_seconds() > max(SILENT_SECONDS, 3 * blocks.poll) and not executor.connected_managers():
            self._fail(
                executor, f"the scheduler has not answered for {blocks.silent_seconds():.0f} s: {blocks.silence}"
            )

    def _end_unconnected(self, executor: ClusterExecutor, status: Mapping[str, JobStatus]) -> None:
        """Give back blocks that have their nodes, and whose workers do not come: what comes before them hangs."""
        now, seconds, blocks = time.monotonic(), self._profile.settings.connect_deadline, self._blocks(executor)
        active = {block: executor.blocks_to_job_id[block] for block, each in status.items() if not each.terminal}
        placed = {block: job for block, job in active.items() if blocks.placed(job)}
        late = [block for block, job in placed.items() if now - self._placed_since.setdefault(job, now) > seconds]
        if not late or not executor.answers():
            return
        for block in set(late) - set(executor.connected_blocks()):
            blocks.fail(placed[block], f"its workers have not come within {seconds:g} s")

    def _tell(self, executor: BlockProviderExecutor, status: Mapping[str, JobStatus]) -> None:
        """Say of each block that its state is another than before, or what it waits for."""
        told = self._told[executor.label]
        for block, now in status.items():
            # In the numbers alone it changes all the time, as in that of the nodes that are full.
            why = _NUMBERS.sub("", now.message or "") if now.state is JobState.PENDING else None
            seen = (now.state, why)
            if told.get(block) != seen:
                told[block] = seen
                state = now.state.name.replace("_", " ").lower()
                self._note(now.message or f"block {block} of {executor.label}: {state}")

    def _fail(self, executor: BlockProviderExecutor, words: str) -> None:
        executor.set_bad_state_and_fail_all(BlocksFailedError(words))
        self._blocks(executor).retire()


def misses_in_a_row(statuses: list[JobStatus]) -> list[JobStatus]:
    """Return the last blocks, in their order, that ended without ever having worked.

    Those do not count for which the scheduler could not be asked: it may take them later.
    """
    missed: list[JobStatus] = []
    for status in statuses:
        if UNHEARD in str(status.message or ""):
            continue
        if status.state is JobState.MISSING:
            missed.append(status)
        elif status.terminal and status.state is not JobState.SCALED_IN:
            missed.clear()
    return missed


def words_of(status: JobStatus) -> str:
    """Return what the scheduler says of a block, and the end of what the block itself wrote to its error output."""
    lines = [line for line in (status.stderr or "").splitlines() if line.strip()] if status.stderr_path else []
    return ": ".join(filter(None, [str(status.message or status.state.name), " / ".join(lines[-LINES:])]))


def unlike(texts: Iterable[str]) -> list[str]:
    """Return texts without those that differ from a later one in names and numbers of blocks alone."""
    return list({_NUMBERS.sub("", text): text for text in texts}.values())
