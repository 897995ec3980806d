"""The commands that need neither uv nor a kernel, invoked as commands."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import nbformat
import pytest
import report_samples
from click.testing import CliRunner, Result
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.cli.main import cli
from envsolver.core.errors import ConfigurationError, EnvsolverError, NothingToRunError
from envsolver.core.results import Run, Shard, Slice
from envsolver.report.results_json import read_results, write_results
from envsolver.run.history import History
from envsolver.run.project import open_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENVSOLVER_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "project"
    (root / "demos").mkdir(parents=True)
    (root / "envsolver.toml").write_text('[notebook."demos/no.ipynb"]\nskip = "needs a licence"\n')
    for name in ("a", "b", "no"):
        nbformat.write(new_notebook(cells=[new_code_cell("x = 1")]), root / f"demos/{name}.ipynb")
    return root


def invoke(root: Path, *arguments: str) -> Result:
    try:
        return CliRunner().invoke(cli, ["-C", str(root), *arguments], standalone_mode=False, catch_exceptions=False)
    finally:
        for thread in threading.enumerate():
            if thread.name == "parsl-import":  # what it warns of later would be the next test's
                thread.join()


def fault(root: Path, kind: type[EnvsolverError], *arguments: str) -> str:
    with pytest.raises(kind) as caught:
        invoke(root, *arguments)
    return caught.value.message


def a_run(root: Path, name: str = "one") -> Run:
    run = report_samples.all_pass(root / ".envsolver/runs" / name)
    write_results(run)
    run.directory.with_name("latest").symlink_to(name)
    return run


def test_generate_writes_a_test_file_for_each_notebook_that_is_run(root: Path) -> None:
    done = invoke(root, "generate")
    assert done.return_value == 0
    assert done.output.splitlines() == [
        "wrote tests/booktests/tb_a.py",
        "wrote tests/booktests/tb_b.py",
        "none for demos/no.ipynb: needs a licence",
    ]
    assert 'notebook = "demos/a.ipynb"' in (root / "tests/booktests/tb_a.py").read_text()


def test_generate_keeps_what_is_there(root: Path) -> None:
    invoke(root, "generate", "--notebook", "demos/a.ipynb")
    path = root / "tests/booktests/tb_a.py"
    path.write_text(path.read_text() + "# mine\n")
    done = invoke(root, "generate", "--notebook", "demos/a.ipynb")
    assert done.output.splitlines() == ["kept tests/booktests/tb_a.py, which tests demos/a.ipynb", "nothing to write"]
    assert path.read_text().endswith("# mine\n")


def test_check_fails_until_every_notebook_has_a_test(root: Path) -> None:
    before = invoke(root, "check")
    assert before.return_value == 1
    assert "  demos/a.ipynb" in before.output
    invoke(root, "generate")
    assert invoke(root, "check").return_value == 0


def test_schema_is_json_for_editors(root: Path) -> None:
    assert "cell-timeout" in json.loads(invoke(root, "schema").output)["properties"]


@pytest.mark.parametrize("named", [(), ("one",), (".envsolver/runs/one",)])
def test_report_is_built_anew_from_the_results(
    root: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]
) -> None:
    run = a_run(root)
    monkeypatch.chdir(root)
    done = invoke(root, "report", "--no-open", *named)
    assert Path(done.output.strip()).resolve() == (run.directory / "report.html").resolve()
    assert "All 33 notebooks passed" in (run.directory / "report.html").read_text(encoding="utf-8")


def test_report_of_a_run_that_is_not_there_says_where_runs_are(root: Path) -> None:
    assert fault(root, NothingToRunError, "report", "--no-open", "other") == "there is no run other"


def test_history_is_empty_before_the_first_run(root: Path) -> None:
    assert fault(root, NothingToRunError, "history") == "there is no history yet"


@pytest.mark.parametrize(
    ("by", "names"), [("time", "cab"), ("memory", "bca"), ("name", "abc"), ("flaky", "abc"), (None, "cab")]
)
def test_history_is_sorted_as_asked(root: Path, by: str | None, names: str) -> None:
    history = open_project(root).history
    result = report_samples.all_pass(root).results[0]
    (root / ".envsolver").mkdir()
    for name, seconds, memory in (("a", 2.0, 1), ("b", 1.0, 3), ("c", 3.0, 2)):
        history.add(replace(result, notebook=name, seconds=seconds, peak_rss_bytes=memory * 2**20), "digest")
    lines = invoke(root, "history", *([] if by is None else ["--by", by])).output.splitlines()
    assert lines[0].split() == ["notebook", "group", "python", "runs", "median", "peak", "last"]
    assert "".join(line.split()[0] for line in lines[1:]) == names
    assert next(line.split()[4:8] for line in lines if line.startswith("c")) == ["3.0", "s", "2", "MiB"]


def test_history_lists_flaky_notebooks_alone_where_that_is_asked_for(root: Path) -> None:
    history = open_project(root).history
    result = report_samples.all_pass(root).results[0]
    (root / ".envsolver").mkdir()
    for name, flaky in (("a", False), ("b", True)):
        history.add(replace(result, notebook=name, flaky=flaky), "digest")
    lines = invoke(root, "history", "--flaky").output.splitlines()
    assert [line.split()[0] for line in lines] == ["notebook", "b"]


def shards(root: Path) -> tuple[Path, Path]:
    """Write the two halves of a run."""
    whole = report_samples.all_pass(root)
    slices = tuple(Slice(notebook=r.notebook, shard=1 + n % 2) for n, r in enumerate(whole.results))
    folders = root / "shard-1", root / "shard-2"
    for index, folder in enumerate(folders, 1):
        mine = tuple(s.notebook for s in slices if s.shard == index)
        write_results(
            replace(
                whole,
                directory=folder,
                results=tuple(r for r in whole.results if r.notebook in mine),
                shard=Shard(index=index, count=2, slices=slices, notebooks=mine),
            )
        )
    return folders


def test_merge_joins_the_shards_of_a_run(root: Path) -> None:
    done = invoke(root, "merge", *map(str, shards(root)), "-o", str(root / "whole"), "--no-color")
    assert (done.return_value, done.output.splitlines()[-1]) == (0, "33 passed, 0 failed, 0 skipped")
    assert len(read_results(root / "whole").results) == 33
    assert {path.name for path in (root / "whole").iterdir()} >= {"results.json", "junit.xml", "report.html"}


def test_merge_joins_the_histories_of_the_shards_and_tells_of_one_that_is_none(root: Path) -> None:
    first, second = shards(root)
    History(first / "history.sqlite").add(read_results(first).results[0], "digest")
    (second / "history.sqlite").write_bytes(b"no history" * 999)
    done = invoke(root, "merge", str(first), str(second), "-o", str(root / "whole"))
    assert done.return_value == 0
    assert f"{(second / 'history.sqlite').resolve()}: is no history of this version" in done.output
    assert [record.notebook for record in open_project(root).history.records()] == [
        read_results(first).results[0].notebook
    ]


def test_merge_keeps_the_histories_of_strategies_apart(root: Path) -> None:
    (root / "envsolver.toml").write_text("[strategies.smoke]\n")
    first, second = shards(root)
    for folder in (first, second):
        text = (folder / "results.json").read_text(encoding="utf-8")
        text = text.replace('"strategy": ""', '"strategy": "smoke"')
        (folder / "results.json").write_text(text, encoding="utf-8")
    result = read_results(first).results[0]
    History(first / "history-smoke.sqlite").add(result, "digest")
    assert invoke(root, "merge", str(first), str(second), "-o", str(root / "whole")).return_value == 0
    assert open_project(root).history.records() == ()
    own = History(root / ".envsolver" / "history-smoke.sqlite")
    assert [record.notebook for record in own.records()] == [result.notebook]


def test_merge_without_a_shard_is_not_good(root: Path) -> None:
    first, second = shards(root)
    shutil.rmtree(second)
    done = invoke(root, "merge", str(first), "-o", str(root / "whole"))
    assert done.return_value == 1
    assert "16 notebooks not run" in done.output


def test_merge_of_a_folder_without_results_says_so(root: Path) -> None:
    assert "holds no results.json" in fault(root, NothingToRunError, "merge", str(root / "demos"))


def test_diff_with_a_run_that_is_not_there_names_the_newest(root: Path) -> None:
    a_run(root)
    with pytest.raises(NothingToRunError, match='no run is called "two"') as caught:
        invoke(root, "diff", "one", "two")
    assert caught.value.tip == "The newest in .envsolver/runs: one."


def test_clean_of_an_empty_cache_says_where_it_is(root: Path) -> None:
    done = invoke(root, "clean")
    assert done.output.splitlines()[-1].startswith("0 environments, ")
    assert "the cache holds no such environment" in fault(root, ConfigurationError, "clean", "--key", "abc")


def test_monitoring_without_its_libraries_says_what_to_install(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without(name: str, *rest: str | None) -> ModuleSpec | None:  # a thread that imports Parsl asks for others
        return None if name.startswith("sqlalchemy") else find_spec(name, *rest)

    monkeypatch.setattr("importlib.util.find_spec", without)
    assert "SQLAlchemy" in fault(root, ConfigurationError, "run", "--monitor", "demos/a.ipynb")


def test_monitoring_needs_parsl(root: Path) -> None:
    assert "--sequential" in fault(root, ConfigurationError, "run", "--monitor", "--sequential")


@pytest.mark.parametrize("other", [["--dry-run"], ["--shard", "1/2"], ["--run-dir", "x"], ["--profile", "x"]])
def test_what_does_not_go_with_watching_is_refused(root: Path, other: list[str]) -> None:
    assert f"--watch does not go with {other[0]}" in fault(root, ConfigurationError, "run", "--watch", *other)


def test_times_without_a_shard_are_refused(root: Path) -> None:
    assert fault(root, ConfigurationError, "run", "--sequential", "--times", "x") == "--times needs --shard"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--with", "numpy=2", "is not a requirement such as"),
        ("--index", "nightly", "is not the address of an index"),
        ("--index", "nightly=host/simple", "is not the address of an index"),
    ],
)
def test_versions_to_try_that_cannot_be_read_are_a_usage_error(option: str, value: str, said: str) -> None:
    done = CliRunner().invoke(cli, ["run", option, value])
    assert (done.exit_code, said in done.output) == (2, True)
