"""What the report at a run's end says."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import report_samples

from envsolver.core.results import Failure, Result, Run
from envsolver.report.formatting import strip_ansi
from envsolver.report.live import PlainProgress
from envsolver.report.text import report_lines, verdict_line
from envsolver.report.tracebacks import fault_line, last_frames, source_lines


def a_run(*results: Result, stopped: str = "", not_run: tuple[str, ...] = ()) -> Run:
    return Run(
        directory=Path("run"),
        started="2026-03-14T09:26:53+00:00",
        wall_seconds=10.0,
        workers=2,
        results=results,
        stopped=stopped,
        not_run=not_run,
    )


def a_result(**values: object) -> Result:
    base = Result(notebook="a.ipynb", group="core", python="3.11", status="passed", started="2026-03-14T09:26:53Z")
    return replace(base, **values)  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return report_samples.with_failures(tmp_path)


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        ([], "OK"),
        (["passed", "passed"], "OK"),
        (["passed", "skipped"], "OK (skipped=1)"),
        (["cached", "skipped"], "OK (skipped=1, cached=1)"),
        (["skipped", "timeout", "failed", "failed"], "FAILED (failed=2, timeout=1, skipped=1)"),
        (["passed", "lost"], "FAILED (lost=1)"),
    ],
)
def test_the_verdict_line_is_as_in_unittest(statuses: list[str], line: str) -> None:
    assert verdict_line(a_run(*(a_result(status=status) for status in statuses))) == line


LONG = "a" * 3000
REMEDY = '`cell-timeout = 10` in [notebook."a.ipynb"] of envsolver.toml'
WORDS = f"cell 1 raised ModuleNotFoundError: no {LONG}"


@pytest.mark.parametrize(
    "values",
    [
        {"status": "environment"},
        {"status": "skipped"},
        {"status": "passed"},
        {
            "status": "timeout",
            "failure": Failure(cell=1, ename="CellTimeout", evalue=f"{LONG}: {REMEDY}", traceback=""),
        },
        {
            "status": "failed",
            "reason": f"{WORDS}; {REMEDY}",
            "failure": Failure(cell=1, ename="ModuleNotFoundError", evalue=f"no {LONG}", traceback="Traceback"),
        },
        {
            "status": "crashed",
            "reason": f"{REMEDY}; its last lines were:\nlast words",
            "failure": Failure(cell=1, ename="KernelDied", evalue="it", traceback="last words"),
        },
    ],
    ids=lambda values: values["status"],
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_terminal_prints_a_remedy_whole_and_once(values: dict[str, object], count: int) -> None:
    results = [a_result(**{"reason": f"{LONG}: {REMEDY}", **values}, notebook=f"{n}.ipynb") for n in range(count)]
    stream = io.StringIO()
    for result in results:
        PlainProgress(stream).finished(result)
    text = stream.getvalue() + "\n".join(report_lines(a_run(*results)))
    # What keeps several from running is printed for all of them together.
    assert text.count(REMEDY) == (1 if values["status"] == "environment" else count)
    assert "…" not in text.replace(LONG, "")


def test_a_stopped_run_is_never_ok() -> None:
    assert verdict_line(a_run(a_result(), stopped="interrupted", not_run=("b.ipynb",))) == "STOPPED (not run=1)"
    assert verdict_line(a_run(a_result(), stopped="interrupted")) == "STOPPED"


def test_the_last_line_counts_plainly(run: Run) -> None:
    for color in (False, True):
        assert report_lines(run, color=color)[-1] == "29 passed, 5 failed, 1 skipped"


def test_only_reports_that_were_written_are_named() -> None:
    named = [line.partition(":")[0] for line in report_lines(a_run(a_result()))]
    assert {"Report", "Results"} <= set(named)
    named = [line.partition(":")[0] for line in report_lines(replace(a_run(a_result()), unwritten=("report.html",)))]
    assert ("Report" in named, "Results" in named) == (False, True)


def test_a_failure_shows_cell_fault_line_error_and_frames(run: Run) -> None:
    text = "\n".join(report_lines(run))
    assert "FAILED: demos/finance/asian_option.ipynb  (core, Python 3.11)" in text
    assert "Cell 9:\n  1   n = 2**14\n" in text
    assert '\n> 4   check(error < tolerance, f"error {error}")\n' in text
    assert "File ~/demos/finance/checks.py:12, in check(ok, text)" in text
    assert "\nAssertionError: error 0.0173 is not below 0.001" in text
    assert "wrote:    demos/finance/price.png" in text


def test_other_verdicts_show_their_reason(run: Run) -> None:
    lines = report_lines(run)
    at = lines.index("CRASHED: demos/umbridge/darcy_flow.ipynb  (umbridge, Python 3.11)")
    assert lines[at + 2] == "the kernel ended with exit status 1"


@pytest.mark.parametrize(("printed", "shown"), [(39, 40), (40, 41), (41, 41), (577, 41)])
@pytest.mark.parametrize("notebooks", [1, 2])
def test_of_all_that_a_build_printed_the_beginning_and_the_end_are_shown(
    printed: int, shown: int, notebooks: int
) -> None:
    log = [f"line {number}" for number in range(printed - 1)]
    why = "\n".join(["could not be built:", *log, "fatal error: ft2build.h: No such file or directory"])
    results = [a_result(notebook=f"{name}.ipynb", status="environment", reason=why) for name in "ab"[:notebooks]]
    lines = report_lines(a_run(*results))
    first = lines.index("could not be built:")
    last = lines.index("fatal error: ft2build.h: No such file or directory")
    assert last - first + 1 == shown
    if printed > shown:
        assert lines[first + 10] == f"… {printed + 1 - 40} more lines, which the report has"
        assert lines[last - 1] == log[-1]


def test_what_keeps_many_notebooks_from_running_is_said_once() -> None:
    why = "the environment of group core could not be built:\nno compiler"
    stopped = [a_result(notebook=f"{name}.ipynb", status="environment", reason=why) for name in "abc"]
    alone = a_result(notebook="d.ipynb", status="environment", reason="another fault")
    lines = report_lines(a_run(*stopped, alone))
    assert "ENVIRONMENT: 3 notebooks  (core, Python 3.11)" in lines
    assert lines.count("no compiler") == 1
    assert [line for line in lines if line.startswith("  ") and line.endswith(".ipynb")][:3] == [
        "  a.ipynb", "  b.ipynb", "  c.ipynb"
    ]  # fmt: skip
    assert "ENVIRONMENT: d.ipynb  (core, Python 3.11)" in lines


def test_what_keeps_notebooks_from_running_is_one_fault_whatever_place_in_them_it_names() -> None:
    why = "-e . ({0}, cell {1}, line 2) cannot be installed: no compiler: skip it in [notebook.{0}]"
    named = [("docs/a.ipynb", 3), ("b.ipynb", 14)]
    results = [a_result(notebook=name, status="environment", reason=why.format(name, cell)) for name, cell in named]
    lines = report_lines(a_run(*results))
    assert why.format("docs/a.ipynb", 3) in lines
    assert sum("no compiler" in line for line in lines) == 1
    assert {"ENVIRONMENT: 2 notebooks  (core, Python 3.11)", "  docs/a.ipynb", "  b.ipynb"} <= set(lines)


def failing(notebook: str, *, frame: str, evalue: str = "no linalg") -> Result:
    traceback = f"ImportError  Traceback\nCell In[1], line 1\n----> 1 import lib\n\n{frame}\nImportError: {evalue}"
    failure = Failure(cell=2, ename="ImportError", evalue=evalue, traceback=traceback, source="import lib")
    return a_result(notebook=notebook, status="failed", reason=f"cell 2 raised ImportError: {evalue}", failure=failure)


def test_one_error_from_one_place_is_shown_of_the_first_notebook_alone() -> None:
    library = "File /env/lib.py:56, in f()\n---> 56 import numpy.linalg.linalg"
    alike = [failing(f"{name}.ipynb", frame=library) for name in "abc"]
    others = [failing("d.ipynb", frame=library.replace("56", "57")), failing("e.ipynb", frame=library, evalue="other")]
    lines = report_lines(a_run(*alike, *others))
    heads = [line.split("  ")[0] for line in lines if line.startswith("FAILED: ")]
    assert heads == ["FAILED: a.ipynb", "FAILED: d.ipynb", "FAILED: e.ipynb"]
    at = lines.index("The same error from the same place, in 2 other notebooks:")
    assert lines[at + 1 : at + 3] == ["  b.ipynb, cell 2", "  c.ipynb, cell 2"]
    assert sum("ImportError" in line and line.startswith("  failed  ") for line in lines) == 5


def test_an_error_that_a_cell_raises_itself_is_shown_of_each_notebook() -> None:
    results = [failing(f"{name}.ipynb", frame="Cell In[2], line 1\n----> 1 import b") for name in "ab"]
    assert sum(line.startswith("FAILED: ") for line in report_lines(a_run(*results))) == 2


def test_notebooks_that_fail_alike_by_themselves_are_shown_each() -> None:
    results = [a_result(notebook=name, status="crashed", reason="killed by SIGKILL") for name in ("a.ipynb", "b.ipynb")]
    assert report_lines(a_run(*results)).count("killed by SIGKILL") == 2


def test_skipped_and_not_run_are_listed_with_why(run: Run) -> None:
    lines = report_lines(run)
    assert "  demos/talks/live_market_data.ipynb: needs a market data licence" in lines
    assert "Stopped: stopped at the first notebook that did not pass" in lines
    assert "  demos/ml/batch_sampling_on_many_cores.ipynb" in lines


def test_where_the_executed_copies_lie_is_this_runs_folder_whatever_is_cached() -> None:
    ran = a_result(executed="executed/3.11-core/a.ipynb")
    cached = a_result(notebook="b.ipynb", status="cached", executed="../before/executed/3.11-core/b.ipynb")
    (line,) = [line for line in report_lines(a_run(ran, cached)) if line.startswith("Executed:")]
    assert line.endswith("/executed")
    assert "," not in line


def test_a_pass_with_a_reason_is_remarked(run: Run) -> None:
    assert "  demos/finance/greeks.ipynb: passed at the second attempt; the first was lost" in report_lines(run)


def test_it_is_told_why_notebooks_ran_each_reason_once_and_the_rarest_first() -> None:
    fresh = [a_result(notebook=f"{number}.ipynb", why="never passed") for number in range(5)]
    changed = a_result(notebook="x.ipynb", why="data.csv changed")
    lines = report_lines(a_run(*fresh, changed))
    at = lines.index("Why they ran:")
    assert lines[at + 1 : at + 4] == [
        "  data.csv changed: x.ipynb", "  never passed: 0.ipynb, 1.ipynb, 2.ipynb and 2 more", ""
    ]  # fmt: skip


def test_what_is_the_reason_for_all_names_none() -> None:
    fresh = [a_result(notebook=f"{number}.ipynb", why="never passed") for number in range(5)]
    assert "Why they ran: never passed" in report_lines(a_run(*fresh))
    skipped = a_result(notebook="x.ipynb", status="skipped", why="")
    assert "Why they ran:" in report_lines(a_run(*fresh, skipped))
    cached = [a_result(status="cached", reason="passed on Monday in run 7") for _ in range(2)]
    assert "Cached: passed on Monday in run 7" in report_lines(a_run(*cached))


def test_it_is_told_what_cached_verdicts_rest_on() -> None:
    lines = report_lines(a_run(a_result(status="cached", reason="passed on Monday in run 7")))
    assert lines[lines.index("Cached:") + 1] == "  passed on Monday in run 7: a.ipynb"
    assert "Why they ran:" not in lines


def test_of_very_many_reasons_the_first_are_told() -> None:
    lines = report_lines(a_run(*(a_result(notebook=f"{n}.ipynb", why=f"{n}.csv changed") for n in range(20))))
    assert "  and 12 more reasons; report.html tells all" in lines


def test_totals_compare_wall_time_with_the_sum(tmp_path: Path) -> None:
    run = replace(a_run(*(a_result(seconds=8.0) for _ in range(3))), directory=tmp_path)
    assert "Ran 3 notebooks in 10 s; their times add up to 24 s, 2.4 times that, with 2 at once" in report_lines(run)


def test_cached_notebooks_did_not_run_and_add_no_time() -> None:
    lines = report_lines(a_run(a_result(seconds=8.0), a_result(status="cached", seconds=50.0)))
    assert "Ran 1 notebook in 10 s; their times add up to 8.0 s, with 2 at once" in lines


def test_how_many_passes_a_cold_kernel_has_verified_is_said() -> None:
    line = "Verified: 2 notebooks showed the same in a warm kernel and in a cold one"
    assert line in report_lines(a_run(a_result(verified=True), a_result(), a_result(verified=True)))
    assert not any(each.startswith("Verified") for each in report_lines(a_run(a_result())))


def test_several_failures_are_named_once_more_at_the_end(run: Run) -> None:
    lines = report_lines(run)
    at = lines.index("Did not pass:")
    assert at > lines.index("Slowest:")
    short = lines[at + 1 : lines.index("", at)]
    assert [line.split()[0] for line in short] == [result.status for result in run.results if not result.good]
    assert "  timeout      demos/papers/2023_figure_2.ipynb" in short
    assert "  failed       demos/finance/asian_option.ipynb: cell 9: AssertionError" in short
    single = replace(run, results=tuple(r for r in run.results if r.good or r.status == "timeout"))
    assert "Did not pass:" not in report_lines(single)


def test_places_are_named(run: Run) -> None:
    text = "\n".join(report_lines(run))
    for name in ("report.html", "results.json", "executed", "logs"):
        assert str(run.directory / name) in text


def test_without_colour_there_is_no_escape(run: Run) -> None:
    assert "\x1b" not in "\n".join(report_lines(run))


def test_with_colour_each_line_ends_its_colours(run: Run) -> None:
    lines = report_lines(run, color=True)
    coloured = [line for line in lines if "\x1b" in line]
    assert any("\x1b[38;5;28mabs\x1b[39m" in line for line in coloured)
    assert all("\x1b[0m" in line for line in coloured)
    assert [strip_ansi(line) for line in lines] == report_lines(run)


def test_a_notebook_cannot_steer_the_terminal() -> None:
    hostile = "x\x1b[2J\x1b]0;title\x07\x1b[31mred"
    failure = Failure(cell=1, ename="E", evalue=hostile, traceback=hostile, source=hostile)
    result = a_result(status="failed", notebook=hostile, reason=hostile, failure=failure, left_behind=(hostile,))
    text = "\n".join(report_lines(a_run(result), color=True))
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert "title" not in text


def test_names_carry_the_python_when_there_are_several() -> None:
    lines = report_lines(a_run(a_result(status="skipped", reason="why"), a_result(python="3.12")))
    assert "  a.ipynb (Python 3.11): why" in lines


def test_the_slowest_are_named_slowest_first(run: Run) -> None:
    lines = report_lines(run)
    at = lines.index("Slowest:")
    assert [line.split()[-1] for line in lines[at + 1 : at + 3]] == [
        "demos/finance/american_option_by_regression.ipynb",
        "demos/ml/acquisition_functions_with_quasi_random_base_samples.ipynb",
    ]
    assert lines[at + 6] == ""


@pytest.mark.parametrize(
    ("traceback", "line"),
    [
        (report_samples.ANSI_TRACEBACK, 4),
        ("Cell In [3], line 12\n---> 12 boom()\n\nCell In [2], line 1\n", 12),
        ("  Cell In[1], line 7\n    x = = 1\n        ^\nSyntaxError: invalid syntax", 7),
        ("----> 3 boom()\n", 3),
        ("ValueError: no frames", None),
        ("", None),
    ],
)
def test_the_fault_line_is_the_cells_own(traceback: str, line: int | None) -> None:
    assert fault_line(traceback) == line


def test_a_long_cell_is_shown_around_its_fault() -> None:
    source = "\n".join(f"line_{number}" for number in range(1, 101))
    shown = source_lines(source, 50, limit=5)
    assert [line.text for line in shown] == [
        "… 47 more lines", "line_48", "line_49", "line_50", "line_51", "line_52", "… 48 more lines",
    ]  # fmt: skip
    assert [line.number for line in shown if line.fault] == [50]


@pytest.mark.parametrize(("fault", "first"), [(None, 1), (1, 1), (100, 96), (1000, 96)])
def test_a_long_cell_is_cut_at_its_ends(fault: int | None, first: int) -> None:
    source = "\n".join(f"line_{number}" for number in range(1, 101))
    numbers = [line.number for line in source_lines(source, fault, limit=5) if line.number]
    assert numbers == list(range(first, first + 5))


def test_only_the_last_frames_of_a_deep_traceback_are_shown() -> None:
    frames = "\n\n".join(f"File ~/deep.py:{number}, in f(x)\n----> {number} f(x)" for number in range(20))
    shown = last_frames(f"RecursionError   Traceback\n{frames}\n\nRecursionError: too deep", frames=3)
    assert shown[0] == "… 17 more frames"
    assert [line for line in shown if line.startswith("File")] == [f"File ~/deep.py:{n}, in f(x)" for n in (17, 18, 19)]
    assert shown[-1] == "RecursionError: too deep"


def test_frames_of_compiled_modules_are_one_line_each_and_leave_room_for_those_with_a_source() -> None:
    seen = "\n\n".join(f"File ~/deep.py:{number}, in f(x)\n----> {number} f(x)" for number in range(9))
    blind = "\n\n".join(
        f"\x1b[36mFile \x1b[39m\x1b[32mlib/_io.pyx:{line}\x1b[39m\n\x1b[32m--> \x1b[39m\x1b[32m{line}\x1b[39m "
        "\x1b[33m'Could not get source, probably due dynamically evaluated source code.'\x1b[39m"
        for line in (1708, 290)
    )
    shown = [strip_ansi(line) for line in last_frames(f"{seen}\n\n{blind}\n\nOSError: no", frames=2) if line]
    assert shown == [
        "… 7 more frames",
        *("File ~/deep.py:7, in f(x)", "----> 7 f(x)", "File ~/deep.py:8, in f(x)", "----> 8 f(x)"),
        *("File lib/_io.pyx:1708", "File lib/_io.pyx:290", "OSError: no"),
    ]


def test_of_a_crashs_stack_the_innermost_frames_are_shown_which_come_first() -> None:
    stack = "\n".join(f'  File "/lib/deep.py", line {number} in f' for number in range(20))
    shown = last_frames(f"Fatal Python error: Aborted\n\nStack (most recent call first):\n{stack}", frames=2)
    assert shown == [
        "Fatal Python error: Aborted",
        "",
        "Stack (most recent call first):",
        '  File "/lib/deep.py", line 0 in f',
        '  File "/lib/deep.py", line 1 in f',
        "… 18 more frames",
    ]


def test_a_flood_in_a_traceback_is_cut_to_its_end() -> None:
    shown = last_frames("\n".join(str(number) for number in range(10_000)), limit=10)
    assert shown[0] == "… 9991 more lines"
    assert shown[1:] == [str(number) for number in range(9991, 10_000)]
