"""Promises of the scheduling loop, with a fake dispatcher in place of Parsl."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
from fakes import job

from envsolver.core.environments import Environment, Target
from envsolver.core.jobs import Binding, Cost, Job, Limits
from envsolver.core.results import Result
from envsolver.core.verdicts import Verdict
from envsolver.run.scheduler import scheduler
from envsolver.run.scheduler.events import (
    CoresReleased,
    EnvironmentLocated,
    EnvironmentReady,
    EnvironmentUnavailable,
    Message,
)
from envsolver.run.scheduler.policy import Budget
from envsolver.run.scheduler.scheduler import RunOutcome, Scheduler


def result(sent: Job, status: Verdict = "passed", reason: str = "") -> Result:
    return Result(
        notebook=sent.notebook,
        group=sent.group,
        python=sent.python,
        status=status,
        environment=sent.binding.environment,
        reason=reason,
    )


class FakeDispatcher:
    """Runs a job by asking a script what becomes of it; keeps what was asked of it."""

    def __init__(self, script: Callable[[Job, int], Result | Exception] | None = None, *, hold: bool = False) -> None:
        self.script = script or (lambda sent, attempt: result(sent))
        self.hold = hold
        self.opened: list[tuple[str, int]] = []
        self.sent: list[Job] = []
        self.held: list[tuple[Job, Future[Result]]] = []
        self.most = 0
        self.gone: list[str] = []

    def open(self, key: str, prefix: Path, workers: int, gpus: tuple[str, ...] = ()) -> None:
        self.opened.append((key, workers))

    def submit(self, key: str, job: Job) -> Future[Result]:
        self.sent.append(job)
        future: Future[Result] = Future()
        if self.hold:
            self.held.append((job, future))
            self.most = max(self.most, len([f for _, f in self.held if not f.done()]))
        else:
            self._settle(job, future)
        return future

    def _settle(self, job: Job, future: Future[Result]) -> None:
        attempt = len([sent for sent in self.sent if sent.id == job.id])
        answer = self.script(job, attempt)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def broken(self) -> tuple[str, ...]:
        gone, self.gone = tuple(self.gone), []
        return gone

    def reopen(self, key: str) -> None:
        self.opened.append((key, -1))
        self.hold = False

    def close(self, *, gently: bool) -> None:
        pass


class Releasing(FakeDispatcher):
    """Holds all jobs; whenever nothing happens, one of them ends."""

    def broken(self) -> tuple[str, ...]:
        self._settle(*next((j, f) for j, f in self.held if not f.done()))
        return ()


class FakeWarmth:
    """One template of `size` bytes, which all kernels share."""

    def __init__(self, size: int) -> None:
        self.size = size

    def path_for(self, job: Job) -> str:
        return "/template.sock"

    def loading(self, job: Job) -> frozenset[str]:
        return frozenset()

    def shared(self, job: Job) -> int:
        return self.size

    def memory(self) -> int:
        return self.size


class FakeProgress:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.verdicts: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None = None, pythons: Sequence[str] = ()
    ) -> None:
        pass

    def started(self, job: Job, expected: float | None = None) -> None:
        pass

    def finished(self, result: Result) -> None:
        self.verdicts.append(f"{result.notebook} {result.status}")

    def end(self) -> None:
        pass


def ready(group: str = "core", **env: str) -> EnvironmentReady:
    environment = Environment(key=f"key-{group}", group=group, python="3.11.7", prefix=Path(f"/env/{group}"))
    return EnvironmentReady(target=Target(group, "3.11"), environment=environment, env=env)


def make(
    jobs: list[Job],
    dispatcher: FakeDispatcher,
    *,
    slots: int = 2,
    failfast: bool = False,
    retries: int = 0,
    costs: dict[str, Cost] | None = None,
    warmth: FakeWarmth | None = None,
    core_release: str = "",
) -> tuple[Scheduler, FakeProgress]:
    progress = FakeProgress()
    runner = Scheduler(
        jobs=jobs,
        dispatcher=dispatcher,
        progress=progress,
        budget=Budget(slots=slots, cores=max(slots, 2), memory=10**9),
        failfast=failfast,
        retries=retries,
        costs=costs,
        warmth=warmth,
        core_release=core_release,
    )
    return runner, progress


def verdicts(outcome: RunOutcome) -> dict[str, str]:
    return {r.notebook: r.status for r in outcome.results}


@pytest.fixture(autouse=True)
def quick_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(scheduler, "kill_marked", lambda name, value: 0)


def test_every_job_gets_its_verdict_in_its_groups_environment() -> None:
    dispatcher = FakeDispatcher()
    runner, _ = make([job("a"), job("b", "ml")], dispatcher)
    runner.post(ready("core"))
    runner.post(ready("ml"))
    outcome = runner.run()
    assert verdicts(outcome) == {"a.ipynb": "passed", "b.ipynb": "passed"}
    assert {sent.notebook: sent.binding.prefix for sent in dispatcher.sent} == {
        "a.ipynb": "/env/core",
        "b.ipynb": "/env/ml",
    }


def test_an_executor_gets_no_more_workers_than_it_has_jobs() -> None:
    dispatcher = FakeDispatcher()
    runner, _ = make([job("a"), *(job(f"b{n}", "ml") for n in range(9))], dispatcher, slots=4)
    runner.post(ready("core"))
    runner.post(ready("ml"))
    runner.run()
    assert dispatcher.opened == [("key-core", 1), ("key-ml", 4)]


def test_workers_start_as_soon_as_it_is_known_where_the_environment_will_be() -> None:
    dispatcher = FakeDispatcher()
    runner, _ = make([job("a")], dispatcher)
    runner.post(EnvironmentLocated(target=Target("core", "3.11"), key="key-core", prefix=Path("/env/core")))
    runner.post(Message(text="core: building"))
    runner.post(ready("core"))
    runner.run()
    assert dispatcher.opened == [("key-core", 1)]


def test_a_free_slot_goes_to_any_group_that_has_work() -> None:
    dispatcher = FakeDispatcher(hold=True)
    runner, _ = make([job("a"), job("b"), job("c", "ml")], dispatcher, slots=2)
    runner.post(ready("ml"))
    runner.post(EnvironmentUnavailable(target=Target("core", "3.11"), reason="no"))
    dispatcher.hold = False
    assert verdicts(runner.run()) == {"c.ipynb": "passed", "a.ipynb": "environment", "b.ipynb": "environment"}


def test_a_site_may_be_unavailable_for_some_of_its_notebooks_and_serve_the_others() -> None:
    runner, _ = make([job("a"), job("b")], FakeDispatcher())
    runner.post(EnvironmentUnavailable(target=Target("core", "3.11"), reason="no", notebooks=frozenset({"a.ipynb"})))
    runner.post(ready("core"))
    assert verdicts(runner.run()) == {"a.ipynb": "environment", "b.ipynb": "passed"}


def test_never_more_jobs_run_at_once_than_there_are_slots() -> None:
    dispatcher = Releasing(hold=True)
    runner, _ = make([job(f"n{n}", "core" if n % 2 else "ml") for n in range(8)], dispatcher, slots=3)
    runner.post(ready("core"))
    runner.post(ready("ml"))
    assert len(runner.run().results) == 8
    assert dispatcher.most == 3


def test_failfast_stops_at_the_first_notebook_that_does_not_pass_and_names_the_rest() -> None:
    dispatcher = FakeDispatcher(lambda sent, attempt: result(sent, "failed" if sent.id == "b" else "passed", "x"))
    runner, _ = make([job(name) for name in "abcd"], dispatcher, slots=1, failfast=True)
    runner.post(ready())
    outcome = runner.run()
    assert verdicts(outcome) == {"a.ipynb": "passed", "b.ipynb": "failed"}
    assert outcome.not_run == ("c.ipynb", "d.ipynb")
    assert "b.ipynb" in outcome.stopped


def test_services_variables_reach_the_job() -> None:
    dispatcher = FakeDispatcher()
    runner, _ = make([job("a", binding=Binding(env={"A": "1"}))], dispatcher)
    runner.post(ready("core", BEAM_URL="http://x"))
    runner.run()
    assert dispatcher.sent[0].binding.env == {"A": "1", "BEAM_URL": "http://x"}


def test_a_retry_that_passes_says_what_went_wrong_before() -> None:
    script = lambda sent, attempt: result(sent, *(("failed", "boom") if attempt == 1 else ("passed", "")))  # noqa: E731
    runner, progress = make([job("a")], FakeDispatcher(script), retries=2)
    runner.post(ready())
    (final,) = runner.run().results
    assert (final.status, final.attempts) == ("passed", 2)
    assert "failed, boom" in final.reason
    assert progress.verdicts == ["a.ipynb passed"]


def test_without_retries_a_failure_is_final() -> None:
    dispatcher = FakeDispatcher(lambda sent, attempt: result(sent, "failed", "boom"))
    runner, _ = make([job("a")], dispatcher)
    runner.post(ready())
    assert runner.run().results[0].attempts == 1


def test_a_lost_worker_is_tried_again_once_and_then_the_verdict_is_lost() -> None:
    dispatcher = FakeDispatcher(lambda sent, attempt: RuntimeError("WorkerLost"))
    runner, _ = make([job("a")], dispatcher)
    runner.post(ready())
    (final,) = runner.run().results
    assert (final.status, final.attempts) == ("lost", 2)
    assert "WorkerLost" in final.reason


def test_what_a_lost_worker_left_running_is_ended_before_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(scheduler, "kill_marked", lambda name, value: ended.append(value))
    dispatcher = FakeDispatcher(lambda sent, attempt: RuntimeError("gone") if attempt == 1 else result(sent))
    runner, _ = make([job("a")], dispatcher)
    runner.post(ready())
    assert runner.run().results[0].status == "passed"
    assert ended == ["x/a/1"]


def test_jobs_of_a_pool_that_died_run_in_a_new_one() -> None:
    dispatcher = FakeDispatcher(hold=True)
    dispatcher.gone = ["key-core"]
    runner, _ = make([job("a")], dispatcher)
    runner.post(ready())
    assert runner.run().results[0].status == "passed"
    assert dispatcher.opened == [("key-core", 1), ("key-core", -1)]


def test_an_interruption_keeps_the_finished_verdicts_and_names_the_others() -> None:
    class Interrupted(FakeDispatcher):
        def broken(self) -> tuple[str, ...]:
            raise KeyboardInterrupt

    def script(sent: Job, attempt: int) -> Result:
        dispatcher.hold = True
        return result(sent)

    dispatcher = Interrupted(script)
    runner, _ = make([job("a"), job("b")], dispatcher, slots=1)
    runner.post(ready())
    outcome = runner.run()
    assert outcome.interrupted
    assert verdicts(outcome) == {"a.ipynb": "passed"}
    assert outcome.not_run == ("b.ipynb",)


def test_each_result_names_one_of_as_many_workers_as_there_are_slots() -> None:
    runner, _ = make([job(f"n{n}") for n in range(6)], FakeDispatcher(), slots=2)
    runner.post(ready())
    assert {r.worker for r in runner.run().results} <= {"worker 1", "worker 2"}


def test_a_job_knows_what_it_is_expected_to_take() -> None:
    dispatcher = FakeDispatcher()
    runner, _ = make([job("a")], dispatcher, costs={"a": Cost(seconds=7.5)})
    runner.post(ready())
    runner.run()
    assert dispatcher.sent[0].warm_start.expected == 7.5


def test_memory_that_kernels_share_with_their_template_counts_once() -> None:
    names = ["a", "b", "c", "d"]
    costs = {name: Cost(seconds=1.0, memory=400_000_000) for name in names}  # each 0.5 GB with its margin, of 1 GB
    most = {}
    for size in (0, 400_000_000):
        dispatcher = Releasing(hold=True)
        runner, _ = make([job(name) for name in names], dispatcher, slots=4, costs=costs, warmth=FakeWarmth(size))
        runner.post(ready())
        runner.run()
        most[size] = dispatcher.most
    assert most == {0: 2, 400_000_000: 4}


class Giving(FakeDispatcher):
    """Holds all jobs; whenever nothing happens, one that runs says that it has given its cores back."""

    def __init__(self) -> None:
        super().__init__(hold=True)
        self.runner: Scheduler | None = None
        self.told: list[str] = []
        self.order: list[str] = []

    def submit(self, key: str, job: Job) -> Future[Result]:
        self.order.append(f"start {job.id}")
        return super().submit(key, job)

    def broken(self) -> tuple[str, ...]:
        assert self.runner is not None
        untold = [sent for sent, _ in self.held if sent.mark not in self.told]
        if untold and len(self.told) < len(self.sent):
            self.told.append(untold[0].mark)
            self.order.append(f"told {untold[0].id}")
            self.runner.post(CoresReleased(mark=untold[0].mark))
        else:
            sent, future = next((j, f) for j, f in self.held if not f.done())
            self.order.append(f"done {sent.id}")
            self._settle(sent, future)
        return ()


def test_the_next_job_starts_while_one_that_gave_its_cores_back_is_ending() -> None:
    dispatcher = Giving()
    runner, _ = make([job("a"), job("b")], dispatcher, slots=1, core_release="/n")
    dispatcher.runner = runner
    runner.post(ready())
    outcome = runner.run()
    assert verdicts(outcome) == {"a.ipynb": "passed", "b.ipynb": "passed"}
    assert dispatcher.order[:3] == ["start a", "told a", "start b"]
    assert [sent.core_release for sent in dispatcher.sent] == ["/n", "/n"]
    # Its lane is free too: bars of the timeline do not overlap.
    assert {r.worker for r in outcome.results} == {"worker 1"}


def test_no_more_jobs_are_ending_at_once_than_there_are_workers_for() -> None:
    dispatcher = Giving()
    runner, _ = make([job(name) for name in "abcde"], dispatcher, slots=1, core_release="/n")
    dispatcher.runner = runner
    runner.post(ready())
    assert len(runner.run().results) == 5
    assert dispatcher.opened == [("key-core", 3)]
    assert dispatcher.most == 3


def test_without_word_from_workers_there_are_no_spare_ones() -> None:
    dispatcher = FakeDispatcher()
    runner, _ = make([job(name) for name in "abcde"], dispatcher, slots=1)
    runner.post(ready())
    runner.run()
    assert dispatcher.opened == [("key-core", 1)]


def test_a_job_that_gave_its_cores_back_keeps_its_memory() -> None:
    dispatcher = Giving()
    big = [job(name, limits=Limits(memory=600_000_000)) for name in "ab"]
    runner, _ = make(big, dispatcher, slots=2, core_release="/n")
    dispatcher.runner = runner
    runner.post(ready())
    runner.run()
    assert dispatcher.order[:4] == ["start a", "told a", "done a", "start b"]


class Loading(FakeWarmth):
    """Templates of which each job needs the parts in `needs`, until they are up."""

    def __init__(self, needs: Mapping[str, set[str]]) -> None:
        super().__init__(0)
        self.needs = needs

    def loading(self, job: Job) -> frozenset[str]:
        return frozenset(self.needs.get(job.id, ()))


@pytest.mark.parametrize(
    ("needs", "first"),
    [
        ({"a": {"torch"}, "b": {"torch"}, "c": {"scipy"}}, ["a", "c"]),
        ({"a": {"numpy", "torch"}, "b": {"numpy"}, "c": {"numpy", "scipy"}}, ["a", "c"]),
        ({"a": {"torch"}, "b": {"torch"}, "c": set()}, ["a", "c"]),
        ({"a": {"torch"}, "b": {"torch"}, "c": {"torch"}}, ["a", "b"]),
        ({}, ["a", "b"]),
    ],
    ids=["another", "another below the same", "none", "the same for all", "all are up"],
)
def test_one_job_waits_for_a_template_while_others_run(needs: dict[str, set[str]], first: list[str]) -> None:
    dispatcher = Giving()
    runner, _ = make([job(name) for name in "abc"], dispatcher, slots=2, warmth=Loading(needs))
    dispatcher.runner = runner
    runner.post(ready())
    assert len(runner.run().results) == 3
    assert [sent.id for sent in dispatcher.sent[:2]] == first
