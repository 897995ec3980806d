"""How reports shorten names, make text safe, and put failures into words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import report_samples

from envsolver.core.results import Failure, Result, Run
from envsolver.report.formatting import columns, fitted, keep_colours, one_line, shorten, strip_ansi
from envsolver.report.run_files import file_in, read_log_tail
from envsolver.report.summaries import count_verdicts, has_own_error, headline, last_counts, reason_beyond_error


@pytest.mark.parametrize("width", range(1, 40))
def test_a_shortened_name_fits_and_keeps_its_end(width: int) -> None:
    short = shorten("demos/finance/asian_option.ipynb", width)
    assert len(short) == min(width, 32)
    assert short == "…" or short.endswith("ipynb"[-max(1, width // 2) :])


HOSTILE = "a\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07\x1b[5;5Hb\x9b1mc\x08\x00d\re\r\nf\x1b"


def test_no_escape_or_control_character_survives_stripping() -> None:
    assert strip_ansi(HOSTILE) == "aredbcd\ne\nf"


def test_only_colours_survive_keeping_colours() -> None:
    assert keep_colours(HOSTILE) == "a\x1b[31mred\x1b[0mbcd\ne\nf"


def test_an_escape_is_not_made_by_taking_another_out() -> None:
    assert "\x1b" not in strip_ansi("\x1b\x1b[31m[2J")


def test_one_line_is_cut() -> None:
    assert one_line("a\n  b" + "c" * 50, limit=10) == "a bcccccc…"


def result(**values: object) -> Result:
    base = Result(notebook="a.ipynb", group="core", python="3.11", status="failed")
    return dataclasses.replace(base, **values)  # type: ignore[arg-type]


def test_the_headline_of_a_failure_is_its_error() -> None:
    failure = Failure(cell=3, ename="ValueError", evalue="no\nway")
    assert headline(result(failure=failure, reason="cell 3 raised ValueError: no")) == "cell 3: ValueError: no way"


def test_the_headline_is_the_reason_when_that_says_more_than_the_error() -> None:
    failure = Failure(cell=3, ename="StdinNotImplementedError", evalue="raw_input was called")
    reason = "cell 3 asks for input, and a run has none to offer: remove input()"
    assert headline(result(failure=failure, reason=reason)) == reason


def test_the_headline_of_another_verdict_is_its_reason() -> None:
    failure = Failure(cell=3, ename="CellTimeoutError", evalue="x")
    assert headline(result(status="timeout", failure=failure, reason="ran over 5 s")) == "ran over 5 s"


def test_cached_counts_as_passed_and_all_other_verdicts_as_failed(tmp_path: Path) -> None:
    counts = count_verdicts(report_samples.with_failures(tmp_path).results)
    assert counts["cached"] == 1
    assert last_counts(counts) == "29 passed, 5 failed, 1 skipped"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(directory=tmp_path / "run", started="", wall_seconds=1, workers=1, results=())


def test_the_end_of_a_long_log_starts_at_a_line(run: Run) -> None:
    run.directory.mkdir()
    (run.directory / "a.log").write_text("first line\nsecond line\nthird line\n")
    assert read_log_tail(run, result(log="a.log"), limit=17) == "third line\n"
    assert read_log_tail(run, result(log="a.log")) == "first line\nsecond line\nthird line\n"


@pytest.mark.parametrize("log", ["", "missing.log"])
def test_a_missing_log_is_empty(run: Run, log: str) -> None:
    assert not read_log_tail(run, result(log=log))


def test_no_file_outside_the_run_is_read(run: Run) -> None:
    run.directory.mkdir()
    secret = run.directory.parent / "secret"
    secret.write_text("secret")
    (run.directory / "link").symlink_to(secret)
    assert file_in(run, "../secret") is None
    assert file_in(run, str(secret)) is None
    assert file_in(run, "link") is None


@pytest.mark.parametrize(
    ("values", "beyond"),
    [
        ({"reason": "cell 3 raised ValueError", "evalue": "x", "traceback": "t"}, ""),
        (
            {"reason": "cell 3 raised ValueError: x; add what provides y", "evalue": "x\nmore", "traceback": "t"},
            "add what provides y",
        ),
        ({"reason": "cell 3 raised ValueError: \x1b[31mx; z", "evalue": "\x1b[31mx", "traceback": "t"}, "z"),
        ({"reason": "cell 3 was edited", "evalue": "x", "traceback": "t"}, "cell 3 was edited"),
        ({"reason": "ran over 5 s", "evalue": "ran over 5 s", "status": "timeout"}, "ran over 5 s"),
        ({"reason": "ran over 5 s", "evalue": "interrupted", "status": "timeout"}, "ran over 5 s"),
    ],
)
def test_a_reason_is_shown_once(values: dict[str, str], beyond: str) -> None:
    failure = Failure(cell=3, ename="ValueError", evalue=values.pop("evalue"), traceback=values.pop("traceback", ""))
    found = result(failure=failure, **values)
    assert reason_beyond_error(found) == beyond
    assert has_own_error(found) is (failure.evalue != found.reason)


STACK = 'Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n  File "a.py", line 1 in f'


@pytest.mark.parametrize(
    ("tail", "told"),
    [(STACK, "Fatal Python error: Segmentation fault"), ("terminate called\n  what():  bad\n", "what(): bad")],
)
def test_a_crash_is_named_in_a_phrase_and_its_last_lines_are_shown_once(tail: str, told: str) -> None:
    reason = f"the kernel was killed by SIGSEGV in cell 2; its last lines were:\n{tail}"
    failure = Failure(cell=2, ename="KernelDied", evalue=reason, traceback=tail, source="f()")
    crashed = result(status="crashed", reason=reason, failure=failure)
    assert headline(crashed) == f"the kernel was killed by SIGSEGV in cell 2: {told}"
    assert reason_beyond_error(crashed) == "the kernel was killed by SIGSEGV in cell 2"


@pytest.mark.parametrize("name", ["demos/plain_name.ipynb", "demos/中文.ipynb", "a\u0301" * 9, "日本語" * 9, ""])
@pytest.mark.parametrize("width", [0, 1, 2, 7, 8, 40])
def test_a_fitted_name_takes_its_columns_whatever_it_is_written_in(name: str, width: int) -> None:
    assert columns(fitted(name, width)) == width
    assert columns("中 a\u0301") == 4
