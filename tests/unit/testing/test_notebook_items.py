"""Promises of `pytest --notebooks`: pytest selects and reports as with any test, and one run has the verdicts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fakes import write_notebook

from envsolver.config import validation  # noqa: F401  loaded here once, and not by each run
from envsolver.core.errors import ConfigurationError
from envsolver.core.progress import Progress
from envsolver.core.results import Failure, Result, Run
from envsolver.core.verdicts import Verdict
from envsolver.run.options import Options
from envsolver.run.parsl.prestart import ParslPrestart
from envsolver.testing import notebook_items

NAMES = ("demos/core/quick.ipynb", "demos/core/slow.ipynb", "demos/ml/train.ipynb", "other/left_out.ipynb")
CONFIGURATION = """
notebooks = ["demos/**/*.ipynb"]
[notebook."demos/ml/*.ipynb"]
marks = ["heavy"]
"""


class FakeRun:
    """Stands for `workflow.run`: it has the verdicts that it is given, in this order, and otherwise passes.

    Attributes
    ----------
    asked
        What each run was asked for.
    projects
        Of what project.
    begun
        Has an entry for each time that Parsl was started ahead of it.
    """

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.asked: list[Options] = []
        self.projects: list[Any] = []
        self.begun: list[bool] = []
        self.status = 0
        self.lost: set[str] = set()

    def ends(self, name: str, **changes: Any) -> None:
        """Give a notebook its verdict."""
        result = Result(notebook=name, group="core", python="3.11", status="passed", seconds=2.5)
        self.results.append(replace(result, **changes))

    def __call__(self, project: Any, options: Options, progress: Progress, **_: object) -> tuple[Run, int]:
        self.asked.append(options)
        self.projects.append(project)
        known = {result.notebook for result in self.results}
        for name in options.patterns:
            if name not in known:
                self.ends(name)
        shown: list[Result] = []
        for result in self.results:
            if result.notebook in set(options.patterns) - self.lost:
                shown.append(result)
                progress.finished(result)
                if options.stop is not None and options.stop(result):
                    break
        directory = options.directory or Path()
        return Run(directory=directory, started="", wall_seconds=1, workers=1, results=tuple(shown)), self.status


@pytest.fixture
def fake(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """Return what stands for a run, in a project of three notebooks, and one that is left out."""
    for name in NAMES:
        write_notebook(pytester.path, name, "x = 1", tags=["long"] if "slow" in name else [])
    (pytester.path / "envsolver.toml").write_text(CONFIGURATION, encoding="utf-8")
    made = FakeRun()
    monkeypatch.setattr(notebook_items, "run", made)
    monkeypatch.setattr(ParslPrestart, "begin", lambda _: made.begun.append(True))
    return made


@pytest.fixture
def run_pytest(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    def run(*arguments: str) -> pytest.RunResult:
        # Each run imports anew what the one before imported, and Hypothesis has much.
        without = ("-p", "no:timeout", "-p", "no:hypothesispytest")
        return pytester.runpytest_inprocess("--notebooks", *without, *arguments, no_reraise_ctrlc=True)

    return run


def listed(done: pytest.RunResult) -> list[str]:
    return [line for line in done.outlines if line.endswith("::notebook")]


def test_a_pytest_that_is_not_asked_for_notebooks_imports_nothing_of_ours_but_the_options() -> None:
    code = (
        "import sys; before = set(sys.modules); import envsolver.testing.plugin;"
        "print(*sorted(name for name in set(sys.modules) - before if name not in sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [name for name in done.stdout.split() if name.split(".")[0] not in sys.stdlib_module_names]
    assert ours == ["envsolver", "envsolver.testing", "envsolver.testing.plugin"]


def test_pytest_imports_ours_as_any_library(pytester: pytest.Pytester) -> None:
    (pytester.path / "envsolver.toml").write_text("notebooks = ['*.ipynb']\n", encoding="utf-8")
    write_notebook(pytester.path, "a.ipynb", "x = 1")
    pytester.makeconftest(
        """
        import pytest
        pytest.register_assert_rewrite("envsolver")  # as it does itself where we are installed, and not editable

        def pytest_sessionfinish():
            from envsolver.testing import notebook_items
            print("by", type(notebook_items.__spec__.loader).__name__)
        """
    )
    done = pytester.runpytest_subprocess("--notebooks", "--collect-only", "-s", "-p", "no:hypothesispytest")
    assert "by SourceFileLoader" in str(done.stdout)


def test_the_case_of_generated_files_is_still_had_from_the_package() -> None:
    import envsolver.testing as package

    assert package.NotebookTestCase.__name__ == "NotebookTestCase"
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = package.other


def test_nothing_is_collected_unless_it_is_asked_for(pytester: pytest.Pytester, fake: FakeRun) -> None:
    assert listed(pytester.runpytest_inprocess("--collect-only", "-q", "demos")) == []


@pytest.mark.parametrize(
    ("arguments", "selected"),
    [
        ((), (0, 1, 2)),
        (("demos/core",), (0, 1)),
        (("other/left_out.ipynb",), (3,)),
        (("demos/core/quick.ipynb::notebook",), (0,)),
        (("-k", "core and not slow"), (0,)),
        (("-k", "train"), (2,)),
        (("-m", "long"), (1,)),
        (("-m", "long or heavy", "--strict-markers"), (1, 2)),
        (("--deselect", "demos/core/quick.ipynb::notebook"), (1, 2)),
        (("--ignore", "demos/core"), (2,)),
    ],
)
def test_pytest_selects_as_it_does_with_other_tests(
    fake: FakeRun, run_pytest: Callable[..., pytest.RunResult], arguments: Sequence[str], selected: Sequence[int]
) -> None:
    names = [NAMES[number] for number in selected]
    assert listed(run_pytest("--collect-only", "-q", *arguments)) == [f"{name}::notebook" for name in names]
    assert fake.asked == []
    run_pytest(*arguments).assert_outcomes(passed=len(names), deselected=None)
    assert [options.patterns for options in fake.asked] == [tuple(names)]


def test_all_notebooks_are_found_where_testpaths_name_tests_alone(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    pytester.makeini("[pytest]\ntestpaths = tests")
    pytester.mkdir("tests").joinpath("test_a.py").write_text("def test_one(): pass\n", encoding="utf-8")
    run_pytest().assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *[(good, "passed") for good in ("passed", "cached")],
        ("skipped", "skipped"),
        *[(bad, "failed") for bad in ("failed", "timeout", "memory", "crashed", "environment", "lost")],
    ],
)
def test_each_verdict_has_its_outcome(
    fake: FakeRun, run_pytest: Callable[..., pytest.RunResult], status: Any, outcome: str
) -> None:
    fake.ends(NAMES[0], status=status, reason="it is so")
    done = run_pytest(NAMES[0], "-ra")
    done.assert_outcomes(**{outcome: 1})
    assert ("it is so" in str(done.stdout)) is (outcome != "passed")


def test_a_failure_shows_the_cell_the_error_and_what_was_printed(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult], monkeypatch: Any
) -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": ["so far\n"]}, {"data": {"text/plain": "42"}}]
    executed = pytester.path / "executed.ipynb"
    executed.write_text(json.dumps({"cells": [{}, {"outputs": outputs}]}), encoding="utf-8")
    failure = Failure(cell=1, ename="ValueError", evalue="too far", source="x = 1")
    fake.ends(NAMES[0], status="failed", reason="", failure=failure, executed=str(executed))
    done = run_pytest(NAMES[0], "-rf")
    done.stdout.fnmatch_lines(
        [
            "*_ demos/core/quick _*",
            "*1   x = 1",
            "ValueError: too far",
            "*Captured stdout call*",
            "so far",
            "42",
            f"FAILED {NAMES[0]}::notebook - cell 1: ValueError: too far",
        ]
    )


def test_a_failure_on_one_line_names_the_line_of_the_file(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    failure = Failure(cell=1, ename="ValueError", evalue="too far", source="x = 1")
    fake.ends(NAMES[0], status="failed", failure=failure)
    done = run_pytest(NAMES[0], "--tb=line")
    done.stdout.fnmatch_lines(["*= FAILURES =*", "*quick.ipynb:1: cell 1: ValueError: too far"], consecutive=True)


def test_verdicts_are_shown_as_they_come(fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]) -> None:
    for name in (NAMES[2], NAMES[0], NAMES[1]):
        fake.ends(name)
    shown = [line.split("::")[0] for line in run_pytest("-v").outlines if "::notebook PASSED" in line]
    assert shown == [NAMES[2], NAMES[0], NAMES[1]]


@pytest.mark.parametrize("option", ["-x", "--maxfail=1", "--stepwise"])
def test_a_failure_stops_the_run_where_pytest_stops(
    fake: FakeRun, run_pytest: Callable[..., pytest.RunResult], option: str
) -> None:
    fake.ends(NAMES[1], status="failed", reason="no")
    run_pytest(option).assert_outcomes(failed=1)


def test_what_failed_last_is_run_again_alone(fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]) -> None:
    fake.ends(NAMES[1], status="failed", reason="no")
    run_pytest().assert_outcomes(failed=1, passed=2)
    run_pytest("--lf").assert_outcomes(failed=1)
    assert fake.asked[-1].patterns == (NAMES[1],)
    run_pytest("--ff").assert_outcomes(failed=1, passed=2)
    assert (fake.asked[-1].patterns[0], fake.asked[-1].order) == (NAMES[1], "failed")


def test_what_a_projects_hooks_skip_is_not_run(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.get_closest_marker("long"):
                    item.add_marker(pytest.mark.skip(reason="takes long"))
        """
    )
    done = run_pytest("-rs")
    done.assert_outcomes(passed=2, skipped=1)
    assert fake.asked[0].patterns == (NAMES[0], NAMES[2])
    assert "takes long" in str(done.stdout)


@pytest.mark.parametrize(
    ("mark", "outcomes"),
    [
        ("skipif('sys.version_info > (3,)', reason='new')", {"passed": 2, "skipped": 1}),
        ("skipif(condition=True, reason='so')", {"passed": 2, "skipped": 1}),
        ("xfail(run=False)", {"passed": 2, "xfailed": 1}),
        ("skipif('no such name', reason='odd')", {"passed": 2, "errors": 1}),
        ("skipif('sys.version_info < (3,)', reason='old')", {"passed": 3}),
    ],
)
def test_conditions_of_marks_are_pytests(
    mark: str,
    outcomes: dict[str, int],
    pytester: pytest.Pytester,
    fake: FakeRun,
    run_pytest: Callable[..., pytest.RunResult],
) -> None:
    pytester.makeconftest(
        f"""
        import pytest

        def pytest_itemcollected(item):
            if "slow" in item.nodeid:
                item.add_marker(pytest.mark.{mark})
        """
    )
    run_pytest().assert_outcomes(**outcomes)
    assert (NAMES[1] in fake.asked[0].patterns) == (outcomes["passed"] == len(NAMES) - 1)


def test_an_expected_failure_is_one(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    (pytester.path / "envsolver.toml").write_text(CONFIGURATION.replace('"heavy"', '"xfail"'), encoding="utf-8")
    fake.ends(NAMES[2], status="failed", reason="it raised")
    run_pytest().assert_outcomes(passed=2, xfailed=1)


def test_tests_of_the_same_folders_keep_their_fixtures(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    text = "import pytest\n@pytest.fixture(scope='package', autouse=True)\ndef made():\n    yield\n"
    for folder in ("core", "ml"):
        (pytester.path / "demos" / folder / "conftest.py").write_text(text, encoding="utf-8")
        (pytester.path / "demos" / folder / f"test_{folder}.py").write_text("def test_one(): pass\n", encoding="utf-8")
    for name in (NAMES[2], NAMES[0], NAMES[1]):
        fake.ends(name)
    run_pytest().assert_outcomes(passed=5)


def test_a_junit_file_has_the_notebooks_times_and_verdicts(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    fake.ends(NAMES[0])
    fake.ends(NAMES[1], status="cached")
    run_pytest("demos/core", "--junitxml=junit.xml")
    cases = list(ET.parse(pytester.path / "junit.xml").iter("testcase"))  # noqa: S314  # pytest wrote it
    assert [float(case.get("time", "")) // 1 for case in cases] == [2.0, 0.0]
    properties = [[each.get("value") for each in case.iter("property")] for case in cases]
    assert properties == [["passed", "core", "3.11"], ["cached", "core", "3.11"]]


@pytest.mark.parametrize("arguments", [("-n", "2"), ("--dist", "load", "--tx", "popen")])
def test_workers_of_xdist_are_refused(
    fake: FakeRun, run_pytest: Callable[..., pytest.RunResult], arguments: Sequence[str]
) -> None:
    done = run_pytest(*arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "--notebooks: pytest-xdist would split the notebooks" in str(done.stderr)


def test_a_wrong_configuration_is_one_clear_error(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    (pytester.path / "envsolver.toml").write_text("timeout = 'x'", encoding="utf-8")
    done = run_pytest()
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "--notebooks: envsolver.toml:1: timeout" in str(done.stderr)


def test_what_keeps_a_run_from_starting_is_one_clear_error(
    fake: FakeRun, run_pytest: Callable[..., pytest.RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object, **__: object) -> None:
        raise ConfigurationError(["a lock file is stale"], tip="refresh it")

    monkeypatch.setattr(notebook_items, "run", stale)
    done = run_pytest()
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "--notebooks: a lock file is stale\nrefresh it" in str(done.stderr)


def test_a_notebook_without_a_verdict_does_not_pass(fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]) -> None:
    fake.lost = {NAMES[2]}
    run_pytest().assert_outcomes(passed=2, failed=1)


def test_an_interrupted_run_interrupts_pytest(fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]) -> None:
    fake.lost, fake.status = {NAMES[2]}, 130
    assert run_pytest().ret == pytest.ExitCode.INTERRUPTED


def test_options_reach_the_run(fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]) -> None:
    run_pytest("--notebooks-workers=3", "--notebooks-timeout=9", "--notebooks-rerun")
    (options,) = fake.asked
    assert (options.workers, options.timeout, options.rerun) == (3, 9.0, True)


def test_a_cell_has_the_limit_that_is_asked_for(fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]) -> None:
    run_pytest("--notebooks-cell-timeout=900")
    config = fake.projects[0].config
    assert (config.cell_timeout, config.timeout) == (900, 900)
    done = run_pytest("--notebooks-cell-timeout=0")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "--notebooks-cell-timeout: 0.0 is no number of seconds above 0" in str(done.stderr)


OUTPUT = {"output_type": "stream", "name": "stdout", "text": ["2\n"]}


@pytest.mark.parametrize(
    ("executed", "said"),
    [
        (("passed", "x = 1"), "has new outputs"),
        (("passed", "x = 2"), "is left as it is: settings changed its code for the run"),
        (("passed", None), "is left as it is: it cannot be written: No such file"),
        (("failed", "x = 1"), ""),
        (("cached", "x = 1"), ""),
    ],
)
def test_outputs_are_written_into_notebooks_that_passed_where_that_is_asked_for(
    executed: tuple[Verdict, str | None],
    said: str,
    pytester: pytest.Pytester,
    fake: FakeRun,
    run_pytest: Callable[..., pytest.RunResult],
) -> None:
    (status, source), place = executed, pytester.path / NAMES[0]
    before = place.read_text(encoding="utf-8")
    if source is not None:
        injected = {"cell_type": "code", "source": ["y = 1"], "metadata": {"tags": ["injected-parameters"]}}
        cell = {"cell_type": "code", "source": source, "metadata": {}, "execution_count": 2, "outputs": [OUTPUT]}
        copy = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [injected, cell]}
        (pytester.path / "copy.ipynb").write_text(json.dumps(copy), encoding="utf-8")
    fake.ends(NAMES[0], status=status, executed=str(pytester.path / "copy.ipynb"))
    run_pytest(NAMES[0])
    assert place.read_text(encoding="utf-8") == before
    done = run_pytest("--notebooks-overwrite", NAMES[0])
    after = json.loads(place.read_text(encoding="utf-8"))
    assert (after["cells"][0]["outputs"] == [OUTPUT]) == (said == "has new outputs")
    assert said in str(done.stdout)
    after["cells"][0] |= {"outputs": [], "execution_count": None}
    assert after["cells"] == [{"execution_count": None, **cell} for cell in json.loads(before)["cells"]]


def test_parsl_is_started_ahead_unless_all_may_be_cached(
    pytester: pytest.Pytester, fake: FakeRun, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    begun = []
    for arguments in ((), ("--notebooks-rerun",), ()):
        run_pytest(*arguments)
        begun.append(len(fake.begun))
        (pytester.path / ".envsolver/history.sqlite").touch()
    assert begun == [1, 2, 2]
