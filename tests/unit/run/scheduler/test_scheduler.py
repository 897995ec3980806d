"""Promises of the scheduling loop, with a fake executor in place of Parsl."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest
from fakes import FakeProgress, job

from envsolver.core.environments import Environment, Target
from envsolver.core.errors import HandedBackError
from envsolver.core.jobs import Binding, Cost, Job
from envsolver.core.results import Result
from envsolver.core.verdicts import Verdict
from envsolver.run.options import Options
from envsolver.run.scheduler import scheduler
from envsolver.run.scheduler.events import (
    EnvironmentLocated,
    EnvironmentReady,
    EnvironmentUnavailable,
    Message,
    StopRequested,
)
from envsolver.run.scheduler.outcome import RunOutcome, Verdicts
from envsolver.run.scheduler.policy import Budget
from envsolver.run.scheduler.protocols import PoolRequest
from envsolver.run.scheduler.scheduler import Scheduler


def result(sent: Job, status: Verdict = "passed", reason: str = "") -> Result:
    return Result(
        notebook=sent.notebook,
        group=sent.group,
        python=sent.python,
        status=status,
        environment=sent.binding.environment,
        reason=reason,
    )


class FakeExecutor:
    """Runs a job by asking a script what becomes of it; keeps what was asked of it."""

    def __init__(self, script: Callable[[Job, int], Result | Exception] | None = None, *, hold: bool = False) -> None:
        self.script = script or (lambda sent, attempt: result(sent))
        self.hold = hold
        self.opened: list[tuple[str, int]] = []
        self.sent: list[Job] = []
        self.held: list[tuple[Job, Future[Result]]] = []
        self.most = 0
        self.gone: list[str] = []
        self.cleared: list[str] = []

    def open(self, key: str, pool: PoolRequest) -> None:
        self.opened.append((key, pool.workers))

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

    def clear(self, job: Job) -> None:
        self.cleared.append(job.mark)

    def broken(self) -> Mapping[str, str]:
        gone, self.gone = dict.fromkeys(self.gone, "its pool of workers ended"), []
        return gone

    def reopen(self, key: str) -> None:
        self.opened.append((key, -1))
        self.hold = False

    def close(self, *, gently: bool) -> None:
        pass


class Releasing(FakeExecutor):
    """Holds all jobs; whenever nothing happens, one of them ends."""

    def broken(self) -> Mapping[str, str]:
        for sent, future in [(sent, future) for sent, future in self.held if not future.done()][:1]:
            self._settle(sent, future)
        return {}


class FakeTemplates:
    """One template of `size` bytes, which all kernels share."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.learnt: list[tuple[str, str]] = []

    def path_for(self, job: Job) -> str:
        return "/template.sock"

    def loading(self, job: Job) -> frozenset[str]:
        return frozenset()

    def shared(self, job: Job) -> int:
        return self.size

    def memory(self) -> int:
        return self.size

    def learn(self, job: Job, result: Result) -> None:
        self.learnt.append((job.id, result.status))


def ready(group: str = "core", **env: str) -> EnvironmentReady:
    environment = Environment(key=f"key-{group}", group=group, python="3.11.7", prefix=Path(f"/env/{group}"))
    return EnvironmentReady(target=Target(group, "3.11"), environment=environment, env=env)


def budget(slots: int) -> Budget:
    return Budget(slots=slots, cores=slots, memory=10**9)


def make(
    jobs: list[Job],
    executor: FakeExecutor,
    *,
    slots: int = 2,
    failfast: bool = False,
    retries: int = 0,
    costs: dict[str, Cost] | None = None,
    templates: FakeTemplates | None = None,
    budgets: dict[str, Budget] | None = None,
) -> tuple[Scheduler, FakeProgress]:
    progress = FakeProgress()
    loop = Scheduler(
        jobs=jobs,
        executor=executor,
        progress=progress,
        slots=slots,
        budgets={"": Budget(slots=slots, cores=max(slots, 2), memory=10**9), **(budgets or {})},
        verdicts=Verdicts(progress, why_stop=Options(failfast=failfast).why_stop),
        retries=retries,
        costs=costs,
        templates=templates,
    )
    return loop, progress


def verdicts(outcome: RunOutcome) -> dict[str, str]:
    return {r.notebook: r.status for r in outcome.results}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CHECK_SECONDS", 0.01)


def test_every_job_gets_its_verdict_in_its_groups_environment() -> None:
    executor = FakeExecutor()
    loop, _ = make([job("a"), job("b", "ml")], executor)
    loop.post(ready("core"))
    loop.post(ready("ml"))
    outcome = loop.run()
    assert verdicts(outcome) == {"a.ipynb": "passed", "b.ipynb": "passed"}
    assert {sent.notebook: sent.binding.prefix for sent in executor.sent} == {
        "a.ipynb": "/env/core",
        "b.ipynb": "/env/ml",
    }


def test_an_executor_gets_no_more_workers_than_it_has_jobs() -> None:
    executor = FakeExecutor()
    loop, _ = make([job("a"), *(job(f"b{n}", "ml") for n in range(9))], executor, slots=4)
    loop.post(ready("core"))
    loop.post(ready("ml"))
    loop.run()
    assert executor.opened == [("key-core", 1), ("key-ml", 4)]


def test_workers_start_as_soon_as_it_is_known_where_the_environment_will_be() -> None:
    executor = FakeExecutor()
    loop, _ = make([job("a")], executor)
    loop.post(EnvironmentLocated(target=Target("core", "3.11"), key="key-core", prefix=Path("/env/core")))
    loop.post(Message(text="core: building"))
    loop.post(ready("core"))
    loop.run()
    assert executor.opened == [("key-core", 1)]


def test_a_free_slot_goes_to_any_group_that_has_work() -> None:
    executor = FakeExecutor(hold=True)
    loop, _ = make([job("a"), job("b"), job("c", "ml")], executor, slots=2)
    loop.post(ready("ml"))
    loop.post(EnvironmentUnavailable(target=Target("core", "3.11"), reason="no"))
    executor.hold = False
    assert verdicts(loop.run()) == {"c.ipynb": "passed", "a.ipynb": "environment", "b.ipynb": "environment"}


def test_a_target_may_be_unavailable_for_some_of_its_notebooks_and_serve_the_others() -> None:
    loop, _ = make([job("a"), job("b")], FakeExecutor())
    loop.post(EnvironmentUnavailable(target=Target("core", "3.11"), reason="no", notebooks=frozenset({"a.ipynb"})))
    loop.post(ready("core"))
    assert verdicts(loop.run()) == {"a.ipynb": "environment", "b.ipynb": "passed"}


def test_never_more_jobs_run_at_once_than_there_are_slots() -> None:
    executor = Releasing(hold=True)
    loop, _ = make([job(f"n{n}", "core" if n % 2 else "ml") for n in range(8)], executor, slots=3)
    loop.post(ready("core"))
    loop.post(ready("ml"))
    assert len(loop.run().results) == 8
    assert executor.most == 3


def test_failfast_stops_at_the_first_notebook_that_does_not_pass_and_names_the_rest() -> None:
    executor = FakeExecutor(lambda sent, attempt: result(sent, "failed" if sent.id == "b" else "passed", "x"))
    loop, _ = make([job(name) for name in "abcd"], executor, slots=1, failfast=True)
    loop.post(ready())
    outcome = loop.run()
    assert verdicts(outcome) == {"a.ipynb": "passed", "b.ipynb": "failed"}
    assert outcome.not_run == ("c.ipynb", "d.ipynb")
    assert "b.ipynb" in outcome.stopped


def test_services_variables_reach_the_job() -> None:
    executor = FakeExecutor()
    loop, _ = make([job("a", binding=Binding(env={"A": "1"}))], executor)
    loop.post(ready("core", BEAM_URL="http://x"))
    loop.run()
    assert executor.sent[0].binding.env == {"A": "1", "BEAM_URL": "http://x"}


def test_a_retry_that_passes_says_what_went_wrong_before() -> None:
    script = lambda sent, attempt: result(sent, *(("failed", "boom") if attempt == 1 else ("passed", "")))  # noqa: E731
    loop, progress = make([job("a")], FakeExecutor(script), retries=2)
    loop.post(ready())
    (final,) = loop.run().results
    assert (final.status, final.attempts) == ("passed", 2)
    assert "failed, boom" in final.reason
    assert progress.verdicts == ["a.ipynb passed"]


def test_without_retries_a_failure_is_final() -> None:
    executor = FakeExecutor(lambda sent, attempt: result(sent, "failed", "boom"))
    loop, _ = make([job("a")], executor)
    loop.post(ready())
    assert loop.run().results[0].attempts == 1


def test_a_lost_worker_is_tried_again_once_and_then_the_verdict_is_lost() -> None:
    executor = FakeExecutor(lambda sent, attempt: RuntimeError("WorkerLost"))
    loop, _ = make([job("a")], executor)
    loop.post(ready())
    (final,) = loop.run().results
    assert (final.status, final.attempts) == ("lost", 2)
    assert "WorkerLost" in final.reason


def test_what_a_lost_worker_left_running_is_ended_before_the_next_attempt() -> None:
    executor = FakeExecutor(lambda sent, attempt: RuntimeError("gone") if attempt == 1 else result(sent))
    loop, _ = make([job("a")], executor)
    loop.post(ready())
    assert loop.run().results[0].status == "passed"
    assert executor.cleared == [executor.sent[0].mark]


def test_jobs_of_a_pool_that_died_run_in_a_new_one() -> None:
    executor = FakeExecutor(hold=True)
    executor.gone = ["key-core"]
    loop, _ = make([job("a")], executor)
    loop.post(ready())
    assert loop.run().results[0].status == "passed"
    assert executor.opened == [("key-core", 1), ("key-core", -1)]


class Breaking(FakeExecutor):
    """The pool of one environment breaks when three jobs run, and fails all that it is sent until it is replaced.

    Parameters
    ----------
    told
        How many of the jobs that it was running fail by themselves.
    """

    def __init__(self, told: int) -> None:
        super().__init__(hold=True)
        self.told = told
        self.down = False

    def submit(self, key: str, job: Job) -> Future[Result]:
        future = super().submit(key, job)
        if self.down and key == "key-core":
            future.set_exception(RuntimeError("its pool is gone"))
        elif len(self.sent) == 3:
            self.down = True
            for _, running in self.held[: self.told]:
                running.set_exception(RuntimeError("its manager was lost"))
        return future

    def broken(self) -> Mapping[str, str]:
        return {"key-core": "its pool of workers ended"} if self.down else {}

    def reopen(self, key: str) -> None:
        super().reopen(key)
        self.down = False
        self._settle(*self.held[2])


@pytest.mark.parametrize("told", [0, 1, 2])
def test_one_fault_uses_up_one_attempt_of_the_notebooks_that_it_hit_and_none_of_the_others(told: int) -> None:
    executor = Breaking(told)
    loop, _ = make([job("a"), job("b"), job("c", "ml"), job("d")], executor, slots=3)
    loop.post(ready("core"))
    loop.post(ready("ml"))
    outcome = loop.run()
    assert {r.notebook: (r.status, r.attempts) for r in outcome.results} == {
        "a.ipynb": ("passed", 2),
        "b.ipynb": ("passed", 2),
        "c.ipynb": ("passed", 1),
        "d.ipynb": ("passed", 1),
    }
    assert executor.opened.count(("key-core", -1)) == 1


def test_a_second_fault_in_a_row_ends_with_the_cause() -> None:
    class Broken(FakeExecutor):
        def broken(self) -> Mapping[str, str]:
            return {"key-core": "its pool of workers ended"}

        def reopen(self, key: str) -> None:
            pass

    executor = Broken(hold=True)
    loop, _ = make([job("a")], executor)
    loop.post(ready())
    (final,) = loop.run().results
    assert (final.status, final.attempts) == ("lost", 2)
    assert "its pool of workers ended" in final.reason


def test_a_result_that_came_back_before_its_pool_was_given_up_counts() -> None:
    class Late(FakeExecutor):
        def broken(self) -> Mapping[str, str]:
            if self.opened[-1] == ("key-core", -1):
                return {}
            self._settle(*self.held[0])  # nobody has dealt with it when the pool is given up
            return {"key-core": "its pool of workers ended"}

    executor = Late(hold=True)
    loop, _ = make([job("a"), job("b")], executor)
    loop.post(ready())
    assert {r.notebook: r.attempts for r in loop.run().results} == {"a.ipynb": 1, "b.ipynb": 2}


def test_a_broken_pool_is_replaced_however_much_goes_on_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CHECK_SECONDS", 0.0)

    class Busy(FakeExecutor):
        def submit(self, key: str, job: Job) -> Future[Result]:
            self.hold = job.group == "core" and ("key-core", -1) not in self.opened
            return super().submit(key, job)

    executor = Busy()
    loop, _ = make([job("a"), *(job(f"b{n}", "ml") for n in range(30))], executor, slots=2)
    loop.post(ready("core"))
    loop.post(ready("ml"))
    executor.gone = ["key-core"]
    assert [r.notebook for r in loop.run().results].index("a.ipynb") < 5


def test_an_interruption_keeps_the_finished_verdicts_and_names_the_others() -> None:
    class Interrupted(FakeExecutor):
        def broken(self) -> Mapping[str, str]:
            raise KeyboardInterrupt

    def script(sent: Job, attempt: int) -> Result:
        executor.hold = True
        return result(sent)

    executor = Interrupted(script)
    loop, _ = make([job("a"), job("b")], executor, slots=1)
    loop.post(ready())
    outcome = loop.run()
    assert outcome.interrupted
    assert verdicts(outcome) == {"a.ipynb": "passed"}
    assert outcome.not_run == ("b.ipynb",)


def test_a_request_to_stop_is_an_interruption_with_a_reason() -> None:
    loop, _ = make([job("a")], FakeExecutor(lambda sent, _: result(sent)))
    loop.post(StopRequested(reason="a file was saved"))
    outcome = loop.run()
    assert (outcome.interrupted, outcome.stopped, outcome.not_run) == (True, "a file was saved", ("a.ipynb",))


def test_each_result_names_one_of_as_many_workers_as_there_are_slots() -> None:
    loop, _ = make([job(f"n{n}") for n in range(6)], FakeExecutor(), slots=2)
    loop.post(ready())
    assert {r.worker for r in loop.run().results} <= {"worker 1", "worker 2"}


def test_a_job_knows_what_it_is_expected_to_take() -> None:
    executor = FakeExecutor()
    loop, _ = make([job("a")], executor, costs={"a": Cost(seconds=7.5)})
    loop.post(ready())
    loop.run()
    assert executor.sent[0].warm_start.expected == 7.5


def test_memory_that_kernels_share_with_their_template_counts_once() -> None:
    names = ["a", "b", "c", "d"]
    costs = {name: Cost(seconds=1.0, memory=400_000_000) for name in names}  # each 0.5 GB with its margin, of 1 GB
    most = {}
    for size in (0, 400_000_000):
        executor = Releasing(hold=True)
        loop, _ = make([job(name) for name in names], executor, slots=4, costs=costs, templates=FakeTemplates(size))
        loop.post(ready())
        loop.run()
        most[size] = executor.most
    assert most == {0: 2, 400_000_000: 4}


def test_templates_hear_what_each_attempt_came_to() -> None:
    templates = FakeTemplates(0)
    loop, _ = make([job(name) for name in "ab"], Releasing(), slots=1, templates=templates)
    loop.post(ready())
    loop.run()
    assert templates.learnt == [("a", "passed"), ("b", "passed")]


class Loading(FakeTemplates):
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
    executor = Releasing(hold=True)
    loop, _ = make([job(name) for name in "abc"], executor, slots=2, templates=Loading(needs))
    loop.post(ready())
    assert len(loop.run().results) == 3
    assert [sent.id for sent in executor.sent[:2]] == first


def test_each_profile_has_a_budget_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CHECK_SECONDS", 0.01)
    jobs = [job(f"far{n}", "gpu", profile="gpu") for n in range(4)] + [job(f"near{n}") for n in range(4)]
    executor = Releasing(hold=True)
    loop, _ = make(jobs, executor, slots=5, budgets={"": budget(2), "gpu": budget(3)})
    loop.post(ready("gpu"))
    loop.post(ready())
    loop.run()
    first = [sent.id for sent in executor.sent[:5]]
    assert sorted(first) == ["far0", "far1", "far2", "near0", "near1"]
    assert executor.most == 5


def test_all_profiles_together_run_no_more_jobs_than_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CHECK_SECONDS", 0.01)
    jobs = [job(f"far{n}", "gpu", profile="gpu") for n in range(4)] + [job(f"near{n}") for n in range(4)]
    executor = Releasing(hold=True)
    loop, _ = make(jobs, executor, slots=2, budgets={"": budget(2), "gpu": budget(2)})
    loop.post(ready("gpu"))
    loop.post(ready())
    outcome = loop.run()
    assert (executor.most, len(outcome.results)) == (2, 8)


def test_two_groups_with_one_environment_have_workers_under_each_profile() -> None:
    jobs = [job("far", "there", profile="gpu"), job("near", "here")]
    executor = FakeExecutor()
    loop, _ = make(jobs, executor, budgets={"": budget(2), "gpu": budget(2)})
    environment = Environment(key="key", group="", python="3.11.7", prefix=Path("/env"))
    for group in ("there", "here"):
        loop.post(EnvironmentReady(target=Target(group, "3.11"), environment=environment))
    loop.run()
    assert [name for name, _ in executor.opened] == ["key@gpu", "key"]


def test_a_job_that_is_handed_back_waits_and_then_runs_as_if_it_had_never_been_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(scheduler, "HOLD_SECONDS", 0.1)
    executor = FakeExecutor(
        lambda sent, attempt: HandedBackError(90) if sent.id == "a" and attempt < 4 else result(sent)
    )
    loop, progress = make([job("a"), job("b")], executor, slots=1)
    loop.post(ready())
    outcome = loop.run()
    assert [sent.id for sent in executor.sent] == ["a", "b", "a", "a", "a"]
    assert {each.notebook: (each.status, each.attempts) for each in outcome.results} == {
        "a.ipynb": ("passed", 1),
        "b.ipynb": ("passed", 1),
    }
    assert progress.notes == ["a.ipynb waits for another block: only 1 min 30 s are left of this one"] * 3
    assert executor.cleared == []


def test_a_job_that_waits_after_it_was_handed_back_has_its_verdict_when_its_environment_is_gone() -> None:
    executor = FakeExecutor(lambda sent, _: HandedBackError(90))
    loop, _ = make([job("a")], executor)
    loop.post(ready())
    timer = threading.Timer(0.2, loop.post, [EnvironmentUnavailable(target=Target("core", "3.11"), reason="gone")])
    timer.start()
    outcome = loop.run()
    assert [each.status for each in outcome.results] == ["environment"]


def test_a_group_whose_environment_is_another_than_was_meant_runs_each_notebook_once() -> None:
    executor = FakeExecutor()
    loop, _ = make([job("a"), job("b")], executor)
    loop.post(EnvironmentLocated(target=Target("core", "3.11"), key="meant", prefix=Path("/meant")))
    loop.post(ready())
    assert len(loop.run().results) == 2
    assert [name for name, _ in executor.opened] == ["meant", "key-core"]
