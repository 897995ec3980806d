"""What GitHub Actions is told of a run."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
import report_samples

from envsolver.core.results import Failure, Result, Run
from envsolver.report.github import SUMMARY_BYTES, error_commands, folded_logs, summary_markdown, write_github


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return report_samples.with_failures(tmp_path)


def one(**values: object) -> Run:
    base = Result(notebook="demos/a.ipynb", group="core", python="3.11", status="failed", seconds=4.1)
    result = dataclasses.replace(base, **values)  # type: ignore[arg-type]
    return Run(directory=Path("run"), started="", wall_seconds=5, workers=1, results=(result,))


def test_each_notebook_that_did_not_pass_is_annotated(run: Run) -> None:
    lines = error_commands(run)
    assert len(lines) == 5
    assert all("\n" not in line for line in lines)
    assert (
        "::error file=demos/ml/deep_kernel.ipynb,title=memory%3A deep_kernel.ipynb (ml%2C Python 3.11)"
        "::its processes used 4.1 GiB, over the limit of 4.0 GiB"
    ) in lines


def test_an_annotation_holds_the_traceback_without_colours(run: Run) -> None:
    (line,) = [line for line in error_commands(run) if "asian_option" in line]
    assert "%0A----> 4 check(error < tolerance" in line
    assert "\x1b" not in line


def test_an_annotation_stands_at_the_line_that_raised_if_that_is_known(run: Run) -> None:
    at = next(line for line in error_commands(run, line_of=lambda _: 42) if "asian_option" in line)
    assert at.startswith("::error file=demos/finance/asian_option.ipynb,line=42,title=")
    assert "line=" not in error_commands(run)[0].split("::")[1]


def test_commands_are_escaped() -> None:
    (line,) = error_commands(one(notebook="a,b:c%\n::x.ipynb", reason="50%\r\n::error::forged", status="lost"))
    assert line.startswith("::error file=a%2Cb%3Ac%25%0A%3A%3Ax.ipynb,title=")
    assert line.endswith("::50%25%0A:\\:error::forged")


def test_notebooks_of_a_project_in_a_subdirectory_are_found(tmp_path: Path) -> None:
    (line,) = error_commands(one(), prefix="docs/")
    assert "file=docs/demos/a.ipynb," in line


def test_logs_are_folded_and_cannot_give_commands() -> None:
    assert folded_logs(one(), lambda _: "hello\n::set-output name=x::y\n", "secret") == [
        "::group::demos/a.ipynb (failed, 4.1 s)",
        "::stop-commands::secret",
        "hello",
        ":\\:set-output name=x::y",
        "::secret::",
        "::endgroup::",
    ]


def test_notebooks_without_a_log_have_no_fold(run: Run) -> None:
    assert folded_logs(run, lambda _: "\n", "secret") == []


def test_the_summary_names_totals_and_failures(run: Run) -> None:
    text = summary_markdown(run)
    assert text.startswith("## 5 notebooks did not pass\n")
    assert "29 passed, 5 failed, 1 skipped in 3 min 34 s" in text
    assert "| timeout | demos/papers/2023\\_figure\\_2.ipynb | paper | 3.11 | 13 s | 293 MiB | cell 12 was" in text
    assert "```python\nn = 2**14\n" in text
    assert "<summary>30 other notebooks</summary>" in text


def test_a_good_run_says_so(tmp_path: Path) -> None:
    assert summary_markdown(report_samples.all_pass(tmp_path)).startswith("## All notebooks passed\n")


def test_a_stopped_run_never_says_that_all_passed(tmp_path: Path) -> None:
    run = dataclasses.replace(report_samples.all_pass(tmp_path), stopped="interrupted", not_run=("b.ipynb",))
    text = summary_markdown(run)
    assert text.startswith("## The run was stopped\n")
    assert "**Stopped:** interrupted. 1 notebook not run." in text


def test_markup_in_names_and_errors_is_shown_not_obeyed() -> None:
    failure = Failure(cell=1, ename="E", evalue="</details><img src=x> | a", source="```\nout", traceback="````")
    text = summary_markdown(one(notebook="a|b`<i>.ipynb", failure=failure))
    assert "a\\|b\\`&lt;i&gt;.ipynb" in text
    assert "<img" not in text
    assert "````python\n```\nout\n````" in text
    assert "`````\n````\n`````" in text


def test_a_summary_stays_under_the_limit() -> None:
    failure = Failure(cell=1, ename="E", evalue="v", source="x" * 400_000)
    run = one(failure=failure)
    text = summary_markdown(dataclasses.replace(run, results=run.results * 4))
    assert len(text.encode()) < SUMMARY_BYTES + 100
    assert "too large to be shown" in text


def test_nothing_is_written_elsewhere(run: Run) -> None:
    stream = io.StringIO()
    write_github(run, {}, stream.write)
    write_github(run, {"GITHUB_ACTIONS": "false"}, stream.write)
    assert not stream.getvalue()


def test_on_github_annotations_logs_and_summary_are_written(run: Run, tmp_path: Path) -> None:
    log = run.directory / run.results[0].log
    log.parent.mkdir()
    log.write_text("the log")
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    root = tmp_path / "docs"
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_WORKSPACE": str(tmp_path),
    }
    stream = io.StringIO()
    write_github(run, environ, stream.write, root=root)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("::group::demos/")
    assert lines[2] == "the log"
    assert lines[-1].startswith("::error file=docs/demos/")
    assert summary.read_text(encoding="utf-8").startswith("before\n## 5 notebooks did not pass")
