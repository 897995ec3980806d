"""What has become of a profile's blocks, as it is shown and written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from parsl.jobs.states import JobState, JobStatus

from envsolver.core.profiles import Profile
from envsolver.core.progress import BlockListener
from envsolver.core.results import Block

if TYPE_CHECKING:
    from parsl.executors import HighThroughputExecutor


class _Place(NamedTuple):
    """Where a block is found: its executor's label, and the number that this gave it."""

    executor: str
    block: str


class BlockWatch:
    """Follows the blocks of a profile's executors, and tells of each that changes.

    Parameters
    ----------
    tell
        Is called with a block as it is now.
    """

    def __init__(self, profile: Profile, tell: BlockListener) -> None:
        self._profile = profile
        self._tell = tell
        self._blocks: dict[_Place, Block] = {}

    def look(self, executor: HighThroughputExecutor, status: Mapping[str, JobStatus]) -> None:
        """Compare an executor's blocks with what was known of them."""
        connected = {manager["block_id"] for manager in executor.connected_managers()}
        resources: Mapping[Any, Mapping[str, Any]] = getattr(executor.provider, "resources", {})
        for key, now in status.items():
            job = executor.blocks_to_job_id.get(key)
            if job is None:
                continue
            place = _Place(executor.label, key)
            known = self._blocks.get(place) or Block(
                name=str(job), profile=self._profile.name, environment=executor.label, state="queued", asked=_iso()
            )
            seen = self._seen(known, now, resources.get(job, {}), connected=key in connected)
            if place not in self._blocks or seen != known:
                self._keep(place, seen)

    def add_node(self, label: str, key: str, node: str) -> None:
        """Note a node from which a result of a block has come, unless the scheduler has told which nodes it has."""
        place = _Place(label, key)
        known = self._blocks.get(place)
        if known is not None and not known.node:
            self._keep(place, replace(known, node=node))

    def _keep(self, place: _Place, block: Block) -> None:
        self._blocks[place] = block
        self._tell(block)

    def close(self) -> None:
        """Tell of those that are left that they end with the run."""
        for place, block in tuple(self._blocks.items()):
            if block.state != "ended":
                self._keep(place, replace(block, state="ended", ended=_iso()))

    def _seen(self, known: Block, now: JobStatus, kept: Mapping[str, Any], *, connected: bool) -> Block:
        """Return a block as it is now, by the scheduler's words and by whether a node of it has connected."""
        seen = replace(known, reason=str(now.message or known.reason))
        if now.terminal:
            return replace(seen, state="ended", ended=known.ended or _iso())
        if not (now.state is JobState.RUNNING or connected):
            return seen
        started = kept.get("started") or known.started or _iso()
        ends = kept.get("ends") or known.ends or self._end(started)
        node = kept.get("nodes") or known.node
        return replace(seen, state="running", node=node, started=started, ends=ends)

    def _end(self, started: str) -> str | None:
        walltime = self._profile.walltime
        return None if walltime is None else _iso(datetime.fromisoformat(started) + timedelta(seconds=walltime))


def _iso(moment: datetime | None = None) -> str:
    return (moment or datetime.now(timezone.utc).astimezone()).isoformat(timespec="seconds")
