"""`junit.xml`: one testcase per notebook, for the dashboards that read such files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

from envsolver.core.environments import Environment
from envsolver.core.files import write_atomically
from envsolver.core.paths import JUNIT
from envsolver.core.redaction import redact
from envsolver.core.results import Result, Run
from envsolver.core.verdicts import Verdict
from envsolver.report.formatting import one_line, strip_ansi
from envsolver.report.run_files import read_log_tail
from envsolver.report.summaries import error_text, has_own_error, headline, reason_beyond_error

FAILURES: frozenset[Verdict] = frozenset({"failed", "timeout", "memory"})
"""What a notebook did wrong itself. The other verdicts that fail a run are errors: it had no fair chance."""

# XML 1.0, section 2.2: everything outside these ranges must not occur, not even as a character reference.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(run: Run, log_tail: Callable[[Result], str]) -> str:
    """Return a run as JUnit XML.

    There is one suite per group and Python. Notebooks that were not run since the run was stopped are skipped,
    and one more testcase, an error, says why the run was stopped, so that it never looks like a good one.

    Parameters
    ----------
    log_tail
        Returns the end of a result's log; it becomes the testcase's ``system-out``.
    """
    root = ET.Element("testsuites", name="envsolver")
    environments = {environment.key: environment for environment in run.environments}
    for classname, results in groupby(sorted(run.results, key=_class_name), key=_class_name):
        cases = [_testcase(result, environments, log_tail(result)) for result in results]
        _add_suite(root, classname, cases, run.started)
    if run.stopped or run.not_run:
        _add_suite(root, "envsolver", list(_stopped_cases(run)), run.started)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", f"{run.wall_seconds:.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def write_junit(run: Run) -> Path:
    """Write the run's `junit.xml` and return its path."""
    path = run.directory / JUNIT
    write_atomically(path, junit_xml(run, lambda result: read_log_tail(run, result)))
    return path


def _class_name(result: Result) -> str:
    """Return ``core.py311``: readers split at dots, so the Python's version has none."""
    return f"{result.group or 'no-group'}.py{result.python.replace('.', '')}".removesuffix(".py")


def _add_suite(root: ET.Element, name: str, cases: list[ET.Element], started: str) -> None:
    suite = ET.SubElement(root, "testsuite", name=_clean(name), tests=str(len(cases)))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    suite.set("timestamp", started)
    suite.extend(cases)


def _testcase(result: Result, environments: dict[str, Environment], log: str) -> ET.Element:
    case = ET.Element(
        "testcase",
        classname=_clean(_class_name(result)),
        name=_clean(result.notebook),
        file=_clean(result.notebook),
        time=f"{0.0 if result.status == 'cached' else result.seconds:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    for name, value in _properties(result, environments):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    if result.status == "skipped":
        ET.SubElement(case, "skipped", message=_clean(one_line(result.reason)))
    elif not result.good:
        tag = "failure" if result.status in FAILURES else "error"
        kind = result.failure.ename if result.failure and result.status == "failed" else result.status
        fault = ET.SubElement(case, tag, message=_clean(headline(result)), type=_clean(kind))
        fault.text = _clean(_failure_text(result))
    if log:
        ET.SubElement(case, "system-out").text = _clean(log)
    return case


def _properties(result: Result, environments: dict[str, Environment]) -> Iterable[tuple[str, str]]:
    yield "verdict", result.status
    yield "group", result.group
    yield "python", result.python
    if result.strategy:
        yield "strategy", result.strategy
    yield "attempts", str(result.attempts)
    if result.peak_rss_bytes is not None:
        yield "peak_rss_bytes", str(result.peak_rss_bytes)
    if result.worker:
        yield "worker", result.worker
    if result.environment:
        yield "environment", result.environment
    if result.environment in environments:
        yield "environment_packages", str(len(environments[result.environment].packages))


def _failure_text(result: Result) -> str:
    parts = [reason_beyond_error(result) or result.reason]
    if failure := result.failure:
        if failure.source:
            cell = "the cell" if failure.cell is None else f"cell {failure.cell}"
            parts += [f"Source of {cell}:", failure.source]
        if has_own_error(result):
            parts.append(failure.traceback or error_text(failure))
    return "\n\n".join(part for part in parts if part)


def _stopped_cases(run: Run) -> Iterable[ET.Element]:
    why = one_line(run.stopped) or "the run was stopped"
    case = ET.Element("testcase", classname="envsolver", name="run", time="0.000")
    ET.SubElement(case, "error", message=_clean(why), type="stopped")
    yield case
    for notebook in run.not_run:
        case = ET.Element("testcase", classname="envsolver", name=_clean(notebook), file=_clean(notebook), time="0.000")
        ET.SubElement(case, "skipped", message=_clean(f"not run: {why}"))
        yield case


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", redact(strip_ansi(text)))
