"""Promise: what becomes of a block is told once for each change, with its node and its times."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from parsl.jobs.states import JobState, JobStatus

from envsolver.core.profiles import Profile, ProfileSettings
from envsolver.core.results import Block
from envsolver.run.parsl.block_watch import BlockWatch

PROFILE = Profile(name="p", settings=ProfileSettings(provider="slurm"), options={"walltime": "00:10:00"})


class Followed:
    """An executor with one block, and what is told of it."""

    def __init__(self) -> None:
        self.told: list[Block] = []
        self.watch = BlockWatch(PROFILE, self.told.append)
        self.kept: dict[str, Any] = {}
        self.managers: list[dict[str, str]] = []

    def look(self, state: JobState, message: str = "") -> Block:
        executor: Any = SimpleNamespace(
            label="a1b2",
            blocks_to_job_id={"0": "77"},
            provider=SimpleNamespace(resources={"77": self.kept}),
            connected_managers=lambda: self.managers,
        )
        self.watch.look(executor, {"0": JobStatus(state, message=message), "1": JobStatus(JobState.FAILED)})
        return self.told[-1]


def test_a_block_waits_runs_and_ends() -> None:
    followed = Followed()
    waits = followed.look(JobState.PENDING, "Priority")
    assert (waits.name, waits.profile, waits.environment, waits.state) == ("77", "p", "a1b2", "queued")
    followed.look(JobState.PENDING, "Priority")
    assert (len(followed.told), waits.started, waits.node, waits.reason) == (1, None, "", "Priority")
    times = {"started": "2026-03-14T09:00:00+00:00", "ends": "2026-03-14T09:05:00+00:00"}
    followed.kept |= {"nodes": "n1", **times}
    runs = followed.look(JobState.RUNNING)
    assert (runs.state, runs.node, runs.started, runs.ends) == ("running", "n1", *times.values())
    ended = followed.look(JobState.TIMEOUT, "TIMEOUT")
    assert (ended.state, ended.node, ended.reason, ended.ended is None) == ("ended", "n1", "TIMEOUT", False)
    followed.look(JobState.TIMEOUT, "TIMEOUT")
    followed.watch.close()
    assert len(followed.told) == 3


def test_where_the_scheduler_says_less_what_comes_from_a_block_tells() -> None:
    followed = Followed()
    followed.kept |= {"started": "2026-03-14T09:00:00+00:00"}
    followed.managers = [{"block_id": "0"}]
    runs = followed.look(JobState.PENDING)
    assert (runs.state, runs.node, runs.ends) == ("running", "", "2026-03-14T09:10:00+00:00")
    for node in ("a", "b"):
        followed.watch.add_node("a1b2", "0", node)
    assert [block.node for block in followed.told] == ["", "a"]
    followed.kept |= {"nodes": "n[1-2]"}
    assert followed.look(JobState.RUNNING).node == "n[1-2]"


def test_a_block_that_is_left_ends_with_the_run() -> None:
    followed = Followed()
    followed.look(JobState.RUNNING)
    followed.watch.close()
    assert followed.told[-1].state == "ended"
