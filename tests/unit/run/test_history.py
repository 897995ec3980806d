"""Promises of the history: estimates, flakiness, and that losing it harms nothing."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import job

from envsolver.core.environments import Target
from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import KernelHistory
from envsolver.core.results import AFTER_VOID, LEADING, NOTHING, Result
from envsolver.core.verdicts import Verdict
from envsolver.run.history import KEPT, History


def result(
    notebook: str = "a.ipynb", status: Verdict = "passed", seconds: float = 1.0, memory: int | None = None
) -> Result:
    return Result(
        notebook=notebook,
        group="core",
        python="3.11",
        status=status,
        environment="e",
        seconds=seconds,
        peak_rss_bytes=memory,
    )


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "sub" / "history.sqlite")


def test_the_estimate_is_the_median_of_the_last_five_passes(history: History) -> None:
    for seconds in (100, 100, 1, 2, 3, 4, 50):
        history.add(result(seconds=seconds), "d")
    history.add(result(status="timeout", seconds=600), "d")
    assert history.costs([job("a")])["a"].seconds == 3


def test_a_run_can_be_compared_with_what_came_before_it(history: History) -> None:
    for hour, seconds in ((8, 3.0), (9, 4.0), (10, 50.0)):
        started = f"2026-03-14T{hour + 2:02}:26:53.125+02:00"
        history.add(dataclasses.replace(result(seconds=seconds), started=started), "d")
    assert history.expected(before="2026-03-14T10:00:00+00:00") == {("a.ipynb", "core", "3.11"): 3.5}
    assert history.expected(before="2026-03-14T08:00:00+00:00") == {}
    assert history.expected() == {("a.ipynb", "core", "3.11"): 4.0}


def test_a_notebook_is_expected_to_last_as_long_as_on_another_python(history: History) -> None:
    history.add(result(seconds=60), "d")
    history.add(result(notebook="b.ipynb", seconds=1), "d")
    other = dataclasses.replace(job("a"), python="3.13")
    assert history.costs([other])["a"].seconds == 60


def test_each_void_attempt_leaves_a_notebook_less_to_have_ahead_and_after_three_nothing(history: History) -> None:
    targets = {Target("core", "3.11"): "e"}
    found = []
    for _ in range(4):
        history.add(dataclasses.replace(result(), warm_verdict="void: why", modules=(AFTER_VOID, "numpy=n")), "d")
        found.append(history.known([job("a")], digests={"a.ipynb": "d"}, environments=targets)["a"].modules)
    assert found == [(AFTER_VOID, "numpy=n"), (LEADING,), (NOTHING,), (NOTHING,)]


def test_a_new_notebook_is_expected_to_last_as_long_as_its_group_does(history: History) -> None:
    for number, seconds in enumerate((1, 5, 60)):
        history.add(result(notebook=f"{number}.ipynb", seconds=seconds), "d")
    costs = history.costs([job("new"), job("other", group="ml")])
    assert costs["new"].seconds == 5
    assert costs["other"].seconds is None


@pytest.mark.parametrize(
    ("verdict", "modules", "cold"),
    [("void: why", ("a",), False), ("void: why", (), True), ("failed: why", ("a",), True)],
)
def test_after_a_void_attempt_a_notebook_stays_warm_with_what_it_had_before(
    history: History, verdict: str, modules: tuple[str, ...], cold: bool
) -> None:
    history.add(dataclasses.replace(result(), warm_verdict=verdict, modules=modules), "d")
    targets = {Target("core", "3.11"): "e"}
    known = history.known([job("a")], digests={"a.ipynb": "d"}, environments=targets)
    assert known == {"a": KernelHistory(modules=modules, cold=cold)}


def test_memory_is_the_largest_recent_peak_and_a_failure_is_remembered(history: History) -> None:
    history.add(result(memory=300), "d")
    history.add(result(memory=200), "d")
    history.add(result(status="failed"), "d")
    cost = history.costs([job("a")])["a"]
    assert cost.memory == 300
    assert cost.failed


def test_a_notebook_whose_attempts_differed_is_flaky(history: History) -> None:
    history.add(dataclasses.replace(result(status="failed"), flaky=True), "d")
    assert history.records()[0].flaky


@pytest.mark.parametrize(("digests", "flaky"), [(("d", "d"), True), (("d", "changed"), False)])
def test_a_verdict_that_changes_with_the_same_code_is_flaky(
    history: History, digests: tuple[str, str], *, flaky: bool
) -> None:
    history.add(result(), digests[0])
    history.add(result(status="failed"), digests[1])
    assert history.records()[0].flaky is flaky


@pytest.mark.parametrize("status", ["skipped", "environment", "cached"])
def test_verdicts_that_say_nothing_of_the_notebook_are_not_kept(history: History, status: Verdict) -> None:
    history.add(result(status=status), "d")
    assert history.records() == ()


def test_old_results_are_dropped(history: History) -> None:
    for _ in range(KEPT + 3):
        history.add(result(), "d")
    assert history.records()[0].runs == KEPT


def test_a_file_that_is_no_history_is_as_good_as_none_for_planning(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_text("not a database, " * 100)
    assert History(path).costs([job("a")]) == {}
    with pytest.raises(ConfigurationError, match=r"history\.sqlite: is not a history that can be read"):
        History(path).records()


def test_two_runs_that_write_at_once_lose_nothing(history: History) -> None:
    def write(name: str) -> None:
        for _ in range(10):
            history.add(result(notebook=name), "d")

    threads = [threading.Thread(target=write, args=(f"{n}.ipynb",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.runs for record in history.records()] == [10] * 4


def make_foreign(history: Path) -> None:
    """Put a database of somebody else into the history's place."""
    history.unlink()
    edit(history, "CREATE TABLE result (something TEXT)")


def edit(history: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(history)
    with connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seconds", "soon"),
        ("seconds", float("inf")),
        ("seconds", -1.0),
        ("memory", "much"),
        ("status", "splendid"),
        ("notebook", b"\x00"),
        ("warm", "hot"),
    ],
)
def test_a_damaged_row_is_passed_over_and_the_others_count(
    column: str, value: object, history: History, tmp_path: Path
) -> None:
    history.add(result(seconds=2.0), "d")
    history.add(result("b.ipynb", seconds=9.0), "d")
    edit(tmp_path / "sub" / "history.sqlite", f"UPDATE result SET {column} = ? WHERE notebook = 'b.ipynb'", value)  # noqa: S608  a test's own
    assert [(record.notebook, record.seconds) for record in history.records()] == [("a.ipynb", 2.0)]


@pytest.mark.parametrize("packed", [b"no zlib", "text"])
def test_names_of_modules_that_are_damaged_are_not_known(packed: object, history: History, tmp_path: Path) -> None:
    history.add(dataclasses.replace(result(), modules=("numpy",)), "d")
    edit(tmp_path / "sub" / "history.sqlite", "UPDATE modules SET names = ?", packed)
    targets = {Target("core", "3.11"): "e"}
    (known,) = history.known([job("a")], digests={"a.ipynb": "d"}, environments=targets).values()
    assert known == KernelHistory()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database at all " * 100),
        lambda path: path.write_bytes(path.read_bytes()[:100] + b"\xff" * 8000),
        make_foreign,
    ],
    ids=["no database", "overwritten", "another table"],
)
def test_a_damaged_file_is_put_aside_when_something_is_to_be_remembered(
    damage: Callable[[Path], object], history: History, tmp_path: Path
) -> None:
    path = tmp_path / "sub" / "history.sqlite"
    history.add(result(seconds=9.0), "d")
    damage(path)
    history.add(result(seconds=2.0), "d")
    assert [(record.runs, record.seconds) for record in history.records()] == [(1, 2.0)]
    assert path.with_name("history.sqlite.damaged").exists()


def test_a_file_that_is_held_is_not_put_aside(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envsolver.run.history_file.BUSY_SECONDS", 0.01)
    history.add(result(seconds=2.0), "d")
    holder = sqlite3.connect(tmp_path / "sub" / "history.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    history.add(result(seconds=9.0), "d")
    holder.close()
    assert [record.runs for record in history.records()] == [1]


def test_a_history_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history.sqlite")
    history.add(result(), "d")
    history.record_facts({"k": "{}"})
    assert history.template_facts() == {}


def test_a_verdict_without_an_environment_says_nothing_of_the_notebook(history: History) -> None:
    history.add(dataclasses.replace(result(status="crashed"), environment=""), "d")
    assert history.records() == ()
