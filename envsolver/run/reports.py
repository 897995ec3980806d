"""The reports of a run, written to its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from envsolver.core.paths import JUNIT, REPORT, RESULTS
from envsolver.core.progress import Progress
from envsolver.core.results import ResultKey, Run
from envsolver.report.junit import write_junit
from envsolver.report.results_json import write_results

HTML_SECONDS = 5.0
"""How long executed notebooks are put into the HTML report; `envsolver report` puts in all."""


def write_reports(finished: Run, expected: Mapping[ResultKey, float], progress: Progress, *, hurried: bool) -> Run:
    """Write the reports of a run to its folder, and return it with those that are not there.

    One report that cannot be written takes no other along.
    """

    def html(run: Run) -> None:
        write_report(run, expected, seconds=0 if hurried else HTML_SECONDS)

    missing = []
    for name, write in ((RESULTS, write_results), (JUNIT, write_junit), (REPORT, html)):
        try:
            write(finished)
        except OSError as error:
            progress.note(f"{name} could not be written: {error}")
            missing.append(name)
    if REPORT not in missing and not (finished.directory / REPORT).is_file():
        missing.append(REPORT)  # the writing of which was interrupted
    return replace(finished, unwritten=tuple(missing))


def write_report(finished: Run, expected: Mapping[ResultKey, float], *, seconds: float) -> None:
    """Write the HTML report; an interruption of that leaves the report in the terminal."""
    with contextlib.suppress(KeyboardInterrupt):
        from envsolver.report.html import write_html  # its libraries take half a second to import

        write_html(finished, expected=expected, conflicts=finished.conflicts, seconds=seconds)
