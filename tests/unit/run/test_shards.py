"""Promises of shards: every notebook runs on exactly one, their times are alike, and a merge hides nothing."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envsolver.config.load import load_config
from envsolver.core.environments import Environment
from envsolver.core.errors import ConfigurationError, NothingToRunError
from envsolver.core.results import Result, Run, Shard
from envsolver.report.results_json import read_results, write_results
from envsolver.run.history import History
from envsolver.run.merge import find_runs, merge
from envsolver.run.shards import make_shard, parse_shard, read_times, split, weights

NOTEBOOKS = tuple(f"n{number:02}.ipynb" for number in range(33))


def result(notebook: str, **changes: Any) -> Result:
    given = {
        "group": "core",
        "python": "3.11",
        "status": "passed",
        "seconds": 2.0,
        "worker": "core/0",
        "environment": "e",
        **changes,
    }
    return Result(notebook=notebook, **given)


@pytest.mark.parametrize("count", [1, 2, 4, 7, 40])
def test_every_notebook_is_on_exactly_one_shard(count: int) -> None:
    for times in ({}, {path: float(len(path)) for path in NOTEBOOKS[:9]}):
        slices = split(weights(NOTEBOOKS, times), count)
        assert Counter(each.notebook for each in slices) == Counter(NOTEBOOKS)
        assert {each.shard for each in slices} <= set(range(1, count + 1))


def test_the_split_depends_neither_on_the_order_of_notebooks_nor_of_times() -> None:
    chance = random.Random(1)  # noqa: S311  # nothing secret is drawn
    times = {path: chance.uniform(1, 60) for path in NOTEBOOKS[:20]}
    expected = split(weights(NOTEBOOKS, times), 4)
    for _ in range(5):
        notebooks = chance.sample(NOTEBOOKS, len(NOTEBOOKS))
        shuffled = dict(chance.sample(sorted(times.items()), len(times)))
        assert split(weights(notebooks, shuffled), 4) == expected


def loads(times: dict[str, float], count: int) -> list[float]:
    slices = split(weights(NOTEBOOKS, times), count)
    return [sum(times[each.notebook] for each in slices if each.shard == shard + 1) for shard in range(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 4])
def test_times_are_shared_out_evenly(seed: int, count: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # as above
    times = {path: chance.uniform(1, 20) for path in NOTEBOOKS}
    assert max(loads(times, count)) < 1.1 * sum(times.values()) / count


def test_one_long_notebook_has_a_shard_for_itself() -> None:
    times = {**dict.fromkeys(NOTEBOOKS, 1.0), NOTEBOOKS[5]: 100.0}
    assert sorted(loads(times, 3)) == [16.0, 16.0, 100.0]


def test_without_times_the_numbers_are_equal() -> None:
    numbers = Counter(each.shard for each in split(weights(NOTEBOOKS, {}), 4))
    assert sorted(numbers.values()) == [8, 8, 8, 9]


def test_a_new_notebook_is_expected_to_take_the_usual_time() -> None:
    assert weights(["a", "b", "c", "new"], {"a": 1.0, "b": 5.0, "c": 90.0, "gone": 1000.0})["new"] == 5.0


@pytest.mark.parametrize(("text", "expected"), [("2/4", (2, 4)), (" 1 / 1 ", (1, 1)), ("04/4", (4, 4))])
def test_a_shard_is_written_as_a_fraction(text: str, expected: tuple[int, int]) -> None:
    assert parse_shard(text, {}) == expected


@pytest.mark.parametrize(
    "text", ["", "2", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/2/3", "1.5/2", "auto/0", "auto/x", "automatic"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--shard"):
        parse_shard(text, {"JOB_COMPLETION_INDEX": "0"})


def test_auto_asks_the_job_array() -> None:
    assert parse_shard("auto", {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}) == (2, 3)


def test_auto_may_name_how_many_there_are() -> None:
    assert parse_shard("auto/8", {"JOB_COMPLETION_INDEX": "7"}) == (8, 8)


def test_a_projects_own_history_has_no_say(tmp_path: Path) -> None:
    before = make_shard(load_config(tmp_path), NOTEBOOKS, (1, 2), None)
    History(tmp_path / ".envsolver/history.sqlite").add(result(NOTEBOOKS[0], seconds=500.0), "digest")
    assert make_shard(load_config(tmp_path), NOTEBOOKS, (1, 2), None) == before


def test_all_shards_of_the_same_times_know_the_same_split(tmp_path: Path) -> None:
    history = tmp_path / "times.sqlite"
    for number, path in enumerate(NOTEBOOKS):
        History(history).add(result(path, seconds=float(number)), "digest")
    shards = [make_shard(load_config(tmp_path), NOTEBOOKS, (index, 3), history) for index in (1, 2, 3)]
    assert len({shard.slices for shard in shards}) == 1
    assert sorted(path for shard in shards for path in shard.notebooks) == sorted(NOTEBOOKS)


def test_a_notebook_that_the_configuration_skips_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").touch()
    (tmp_path / "envsolver.toml").write_text("[notebook.'a.ipynb']\nskip = 'needs a licence'\n")
    shards = [make_shard(load_config(tmp_path), ["a.ipynb", "b.ipynb", "c.ipynb"], (n, 2), None) for n in (1, 2)]
    assert sorted(len(set(shard.notebooks) - {"a.ipynb"}) for shard in shards) == [1, 1]


def test_times_are_read_from_a_history_a_folder_of_a_run_and_its_results(tmp_path: Path) -> None:
    History(tmp_path / "history.sqlite").add(result("a.ipynb", seconds=4.0), "digest")
    assert read_times(tmp_path / "history.sqlite") == {"a.ipynb": 4.0}
    results = (result("a.ipynb", seconds=3.0), result("a.ipynb", python="3.12", seconds=5.0))
    failed = result("b.ipynb", status="failed", seconds=1.0)
    path = write_results(run(tmp_path / "run", results=(*results, failed)))
    assert read_times(path) == {"a.ipynb": 4.0}
    assert read_times(path.parent) == {"a.ipynb": 4.0}
    assert read_times(path.rename(tmp_path / "times.json")) == {"a.ipynb": 4.0}


def test_times_that_are_not_there_stop_the_run_since_others_may_have_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file") as caught:
        read_times(tmp_path / "none.sqlite")
    assert "the same times" in caught.value.tip


@pytest.mark.parametrize("content", [b"not a database, but long enough to look like one" * 9, b""])
def test_what_holds_no_times_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "times").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"--times .*times: is neither a history nor the results of a run"):
        read_times(tmp_path / "times")


def test_results_in_which_nothing_passed_hold_no_times(tmp_path: Path) -> None:
    write_results(run(tmp_path / "run", results=(result("a.ipynb", status="failed"),)))
    with pytest.raises(ConfigurationError, match="holds no time of a notebook that passed"):
        read_times(tmp_path / "run")


def run(directory: Path, **changes: Any) -> Run:
    given: dict[str, Any] = {"started": "2026-03-14T09:00:00+00:00", "wall_seconds": 10.0, "workers": 2, "results": ()}
    return Run(directory=directory, **{**given, **changes})


Shards = Callable[..., list[Run]]


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Write what the shards of a run of six notebooks leave behind."""

    def write(count: int = 3) -> list[Run]:
        slices = split(weights(NOTEBOOKS[:6], {}), count)
        runs = []
        for index in range(1, count + 1):
            ours = tuple(each.notebook for each in slices if each.shard == index)
            directory = tmp_path / f"shard-{index}"
            results = tuple(
                result(path, executed=f"executed/{path}", log=f"logs/{index}-{path}.log", environment="e")
                for path in ours
            )
            for each in results:
                for relative in (each.executed, each.log):
                    (directory / relative).parent.mkdir(parents=True, exist_ok=True)
                    (directory / relative).write_text(f"{relative} of shard {index}")
            environment = Environment(
                key="e", group="core", python="3.11", prefix=Path("/cache"), built=index == 2, seconds=float(index)
            )
            runs.append(
                run(
                    directory,
                    started=f"2026-03-14T09:0{index}:00+00:00",
                    results=results,
                    environments=(environment,),
                    shard=Shard(index=index, count=count, slices=slices, notebooks=ours),
                )
            )
            write_results(runs[-1])
        return runs

    return write


def test_shards_joined_are_the_whole_run(shards: Shards, tmp_path: Path) -> None:
    shards()
    merged = merge(find_runs([tmp_path]), tmp_path / "merged")
    assert sorted(each.notebook for each in merged.results) == list(NOTEBOOKS[:6])
    assert (merged.not_run, merged.stopped, merged.shard) == ((), "", None)
    assert (merged.started, merged.wall_seconds, merged.workers) == ("2026-03-14T09:01:00+00:00", 130.0, 6)
    assert {each.worker for each in merged.results} == {"1:core/0", "2:core/0", "3:core/0"}
    assert [(each.built, each.seconds) for each in merged.environments] == [(True, 2.0)]
    for each in merged.results:
        assert (merged.directory / each.executed).read_text().startswith("executed")
        assert (merged.directory / each.log).read_text().startswith("logs")


def test_what_was_written_of_a_shard_is_read_back(shards: Shards) -> None:
    for each in shards():
        assert read_results(each.directory) == each


def test_a_missing_shard_is_told_with_its_notebooks_and_the_run_is_not_good(shards: Shards, tmp_path: Path) -> None:
    first, second, _ = shards()
    merged = merge([second, first], tmp_path / "merged")
    assert merged.stopped == "shard 3 of 3 missing (`envsolver run --shard 3/3` runs one alone)"
    assert merged.not_run == (NOTEBOOKS[2], NOTEBOOKS[5])


def test_a_shard_that_ended_too_early_is_told(shards: Shards, tmp_path: Path) -> None:
    first, second, third = shards()
    cut = replace(second, results=second.results[:1])
    stopped = replace(third, results=third.results[:1], not_run=(NOTEBOOKS[5],), stopped="interrupted")
    merged = merge([first, cut, stopped], tmp_path / "merged")
    assert merged.not_run == (NOTEBOOKS[4], NOTEBOOKS[5])
    assert merged.stopped == "shard 3/3: interrupted; shard 2/3 ended before all its notebooks had a verdict"


def test_notebooks_that_a_shard_was_not_asked_to_run_are_not_missed(shards: Shards, tmp_path: Path) -> None:
    runs = shards()
    assert runs[1].shard is not None
    narrow = replace(runs[1], results=(), shard=replace(runs[1].shard, notebooks=()))
    assert merge([runs[0], narrow, runs[2]], tmp_path / "merged").not_run == ()


def test_runs_that_do_not_belong_together_are_refused_with_all_faults(shards: Shards, tmp_path: Path) -> None:
    first, second, third = shards()
    assert second.shard is not None
    other = replace(second, shard=replace(second.shard, slices=split(weights(NOTEBOOKS[:7], {}), 3)))
    twin = replace(first, directory=tmp_path / "again")
    with pytest.raises(ConfigurationError) as caught:
        merge([first, other, third, twin, run(tmp_path / "whole")], tmp_path / "merged")
    said = caught.value.message
    assert f"{second.directory}: was split differently from {first.directory}, which concerns {NOTEBOOKS[6]}" in said
    assert f"{tmp_path / 'again'}: is shard 1/3, and so is {first.directory}" in said
    assert f"{tmp_path / 'whole'}: is no shard, and the others are" in said
    assert not (tmp_path / "merged").exists()


def test_shards_of_different_counts_are_refused(shards: Shards, tmp_path: Path) -> None:
    first = shards(3)[0]
    assert first.shard is not None
    other = replace(first, shard=replace(first.shard, index=2, count=4), directory=tmp_path / "other")
    with pytest.raises(ConfigurationError, match=r"is shard 2/4, and .* is shard 1/3"):
        merge([first, other], tmp_path / "merged")


def test_runs_that_are_no_shards_are_joined_when_they_do_not_overlap(tmp_path: Path) -> None:
    one = run(tmp_path / "a", results=(result("a.ipynb"),))
    two = run(tmp_path / "b", results=(result("a.ipynb", python="3.12"),))
    assert [each.python for each in merge([one, two], tmp_path / "merged").results] == ["3.11", "3.12"]
    with pytest.raises(ConfigurationError, match=r"has results that .*a has too: a\.ipynb"):
        merge([one, replace(two, results=one.results)], tmp_path / "merged")


def test_runs_are_found_by_folder_by_file_and_below_a_directory(shards: Shards, tmp_path: Path) -> None:
    first, second, _ = shards()
    (tmp_path / "shard-1" / "latest").symlink_to(tmp_path / "shard-1")
    assert find_runs([first.directory, second.directory / "results.json"]) == (first, second)
    assert len(find_runs([tmp_path])) == 3


def test_the_same_run_found_twice_counts_once(shards: Shards, tmp_path: Path) -> None:
    first = shards()[0]
    shutil.copytree(first.directory, tmp_path / "shard-1-latest")
    assert len(find_runs([tmp_path])) == 3


def test_an_earlier_merge_is_not_taken_for_a_shard(shards: Shards, tmp_path: Path) -> None:
    shards()
    merged = tmp_path / "merged"
    write_results(merge(find_runs([tmp_path], without=merged), merged))
    assert len(find_runs([tmp_path], without=merged)) == 3


def test_a_place_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NothingToRunError, match=r"holds no results\.json"):
        find_runs([tmp_path])


def test_a_file_that_leads_out_of_the_runs_folder_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    evil = run(tmp_path / "a", results=(result("a.ipynb", log="../secret"),))
    merge([evil], tmp_path / "b" / "merged")
    assert not (tmp_path / "b" / "secret").exists()
