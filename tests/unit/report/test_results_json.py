"""What `results.json` promises: the documented keys, a full round trip, clear faults."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import report_samples

from envsolver.core.errors import ConfigurationError
from envsolver.core.results import Run
from envsolver.report.results_json import read_results, run_from_data, run_to_data, write_results

PROMISED = [
    "notebook", "group", "python", "environment", "status", "started", "seconds",
    "peak_rss_bytes", "worker", "reason", "failure",
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return report_samples.with_failures(tmp_path)


def test_a_written_run_is_read_back_equal(run: Run) -> None:
    write_results(run)
    assert read_results(run.directory) == run


def test_data_equals_what_json_gives_back(run: Run) -> None:
    data = run_to_data(run)
    assert json.loads(json.dumps(data)) == data


def test_promised_keys_come_first_in_their_order(run: Run) -> None:
    data = run_to_data(run)
    assert list(data)[:5] == ["schema", "started", "wall_seconds", "workers", "results"]
    assert data["schema"] == 1
    assert list(data["results"][0])[: len(PROMISED)] == PROMISED


def test_the_modules_of_a_kernel_are_no_part_of_it(run: Run) -> None:
    results = tuple(dataclasses.replace(result, modules=("a_module_of_it",)) for result in run.results)
    write_results(dataclasses.replace(run, results=results))
    assert "a_module_of_it" not in (run.directory / "results.json").read_text(encoding="utf-8")
    assert read_results(run.directory) == run


def test_a_failure_holds_its_cell_name_value_and_traceback(run: Run) -> None:
    failures = [result["failure"] for result in run_to_data(run)["results"] if result["status"] == "failed"]
    assert failures == [
        {
            "cell": 9,
            "ename": "AssertionError",
            "evalue": report_samples.ASSERTION.evalue,
            "traceback": report_samples.ASSERTION.traceback,
            "source": report_samples.ASSERTION.source,
        }
    ]


def test_environments_hold_their_packages(run: Run) -> None:
    core = run_to_data(run)["environments"][0]
    assert core["group"] == "core"
    assert {"name": "numpy", "version": "2.4.6"} in core["packages"]


def test_data_of_only_the_promised_keys_is_read(run: Run) -> None:
    data = run_to_data(run)
    results = [{key: result[key] for key in PROMISED} for result in data["results"]]
    small = {key: data[key] for key in ("schema", "started", "wall_seconds", "workers")} | {"results": results}
    assert [r.status for r in run_from_data(small, run.directory).results] == [r.status for r in run.results]


def test_unknown_keys_are_ignored(run: Run) -> None:
    assert run_from_data(run_to_data(run) | {"later": 1}, run.directory) == run


def test_text_that_utf8_cannot_hold_is_kept(run: Run) -> None:
    odd = dataclasses.replace(run, stopped="lone \udce9 surrogate, nul \x00, snowman \u2603")
    write_results(odd)
    assert read_results(run.directory).stopped == odd.stopped


def test_another_schema_is_named(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="has schema 2; this envsolver reads schema 1"):
        run_from_data(run_to_data(run) | {"schema": 2}, run.directory)


@pytest.mark.parametrize("data", [[], {}, "text", None, {"results": []}])
def test_data_that_is_no_run_is_refused(data: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no `schema`"):
        run_from_data(data, tmp_path)


def test_all_faults_are_named_with_their_places(run: Run) -> None:
    data = run_to_data(run)
    data["results"][1]["status"] = "fine"
    data["results"][2]["seconds"] = "long"
    with pytest.raises(ConfigurationError) as caught:
        run_from_data(data, run.directory)
    assert [fault.split(": ")[1] for fault in caught.value.faults] == ["results[1].status", "results[2].seconds"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"results\.json: there is no such file"):
        read_results(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"schema": 1,')
    with pytest.raises(ConfigurationError, match=r"results\.json: not JSON: .* in line 1, column 14"):
        read_results(tmp_path)


def test_writing_leaves_no_other_file(run: Run) -> None:
    write_results(run)
    write_results(run)
    assert [path.name for path in run.directory.iterdir()] == ["results.json"]


def test_a_failed_write_keeps_the_old_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_results(run)
    before = path.read_bytes()

    def no_space(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_results(run)
    assert path.read_bytes() == before
    assert list(run.directory.iterdir()) == [path]
