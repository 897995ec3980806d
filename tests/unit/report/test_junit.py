"""What `junit.xml` promises: one testcase per notebook, as dashboards read it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import report_samples

from envsolver.core.results import Failure, Result, Run
from envsolver.report.github import summary_markdown
from envsolver.report.junit import junit_xml, write_junit

CONSUMED = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"classname", "name", "file", "time"},
}
"""The attributes that readers of JUnit files know."""


def parse(run: Run, log: str = "") -> ET.Element:
    return ET.fromstring(junit_xml(run, lambda _: log))  # noqa: S314 (it was written a moment ago)


def one(**values: object) -> ET.Element:
    """Return the testcase of a run of one result."""
    base = Result(notebook="demos/a.ipynb", group="core", python="3.11", status="passed", seconds=4.1234)
    result = dataclasses.replace(base, **values)  # type: ignore[arg-type]
    run = Run(directory=Path(), started="2026-03-14T09:26:53+00:00", wall_seconds=5, workers=1, results=(result,))
    case = parse(run).find(".//testcase")
    assert case is not None
    return case


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return report_samples.with_failures(tmp_path)


def test_each_notebook_is_one_testcase(run: Run) -> None:
    names = [case.get("name") for case in parse(run).iter("testcase")]
    assert sorted(map(str, names)) == sorted([*(r.notebook for r in run.results), *run.not_run, "run"])


def test_elements_have_only_known_attributes_and_all_suites_have_theirs(run: Run) -> None:
    for element in parse(run).iter():
        if element.tag in CONSUMED:
            assert set(element.keys()) <= CONSUMED[element.tag]
        if element.tag.startswith("testsuite"):
            assert set(element.keys()) == CONSUMED[element.tag]


def test_totals_are_the_sums_of_the_suites(run: Run) -> None:
    root = parse(run)
    for key, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        total = len(list(root.iter(tag)))
        assert root.get(key) == str(total)
        assert sum(int(suite.get(key, "")) for suite in root) == total


def test_a_testcase_names_group_python_file_and_time() -> None:
    assert one().attrib == {
        "classname": "core.py311",
        "name": "demos/a.ipynb",
        "file": "demos/a.ipynb",
        "time": "4.123",
    }


def test_a_pass_has_no_outcome_element() -> None:
    assert [child.tag for child in one()] == ["properties"]


def test_a_cached_pass_took_no_time() -> None:
    assert one(status="cached").get("time") == "0.000"


def test_properties_hold_memory_environment_and_attempts() -> None:
    found = {
        p.get("name"): p.get("value") for p in one(peak_rss_bytes=123, environment="abc", attempts=2).iter("property")
    }
    assert (found["peak_rss_bytes"], found["environment"], found["attempts"]) == ("123", "abc", "2")


@pytest.mark.parametrize("status", ["failed", "timeout", "memory"])
def test_what_a_notebook_did_wrong_is_a_failure(status: str) -> None:
    fault = one(status=status, reason="because").find("failure")
    assert fault is not None
    assert fault.get("type") == status


@pytest.mark.parametrize("status", ["crashed", "environment", "lost"])
def test_what_befell_a_notebook_is_an_error(status: str) -> None:
    fault = one(status=status, reason="because").find("error")
    assert fault is not None
    assert (fault.get("type"), fault.get("message"), fault.text) == (status, "because", "because")


def test_a_skipped_notebook_says_why() -> None:
    skipped = one(status="skipped", reason="needs a licence").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "needs a licence"


def test_a_failure_shows_error_source_and_traceback_without_colours() -> None:
    fault = one(status="failed", failure=report_samples.ASSERTION).find("failure")
    assert fault is not None
    assert fault.get("type") == "AssertionError"
    assert fault.get("message") == "cell 9: AssertionError: error 0.0173 is not below 0.001 <script>alert(1)</script>"
    assert "price = asian.estimate(n)\n" in str(fault.text)
    assert "----> 4 check(error < tolerance" in str(fault.text)
    assert "\x1b" not in str(fault.text)


def test_the_log_is_the_output_without_what_xml_forbids(run: Run) -> None:
    output = parse(run, "red \x1b[31mtext\x1b[0m \x00\x0b\ufffe\udce9 \U0001f600 end").find(".//system-out")
    assert output is not None
    assert output.text == "red text  \U0001f600 end"


def test_forbidden_characters_are_dropped_everywhere() -> None:
    odd = "a\x00\x1b[1m\ufffe\ud800&<>\"'b"
    failure = Failure(cell=1, ename=odd, evalue=odd, traceback=odd, source=odd)
    fault = one(status="failed", notebook=odd, group=odd, reason=odd, failure=failure).find("failure")
    assert fault is not None
    assert fault.get("type") == "a&<>\"'b"


def test_a_stopped_run_is_an_error_of_its_own(run: Run) -> None:
    stopped = dataclasses.replace(report_samples.all_pass(run.directory), stopped="interrupted", not_run=("b.ipynb",))
    root = parse(stopped)
    assert root.get("errors") == "1"
    assert [s.get("message") for s in root.iter("skipped")] == ["not run: interrupted"]


def test_the_written_file_holds_the_logs(run: Run) -> None:
    log = run.directory / run.results[0].log
    log.parent.mkdir()
    log.write_text("kernel said hello")
    assert "kernel said hello" in write_junit(run).read_text(encoding="utf-8")


def test_a_crashs_last_lines_are_written_once() -> None:
    stack = 'Fatal Python error: Aborted\n\nStack (most recent call first):\n  File "a.py", line 1 in f'
    reason = f"the kernel ended in cell 2; its last lines were:\n{stack}"
    failure = Failure(cell=2, ename="KernelDied", evalue=reason, traceback=stack, source="f()")
    crashed = Result(notebook="a.ipynb", group="core", python="3.11", status="crashed", reason=reason, failure=failure)
    run = Run(directory=Path("run"), started="", wall_seconds=1, workers=1, results=(crashed,))
    assert junit_xml(run, lambda _: "").count("most recent call first") == 1
    assert summary_markdown(run).count("most recent call first") == 1
