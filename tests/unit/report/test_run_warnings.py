"""Promise: a report tells what the notebooks were warned of, over the run and of each, what hits most of them first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import report_samples
from report_samples import OLD_NUMPY

from envsolver.core.results import Result, Run, WarningPlace
from envsolver.report.html import build_html
from envsolver.report.results_json import run_to_data
from envsolver.report.run_warnings import SHOWN, warnings_line, warnings_of
from envsolver.report.text import report_lines

LINE = (
    "Warnings: 129 in 2 notebooks (DeprecationWarning 128, MatplotlibDeprecationWarning 1); "
    "first qmcpy/integrand/asian_option.py, line 112"
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return report_samples.with_failures(tmp_path)


def test_places_are_counted_over_all_notebooks(run: Run) -> None:
    first, second = warnings_of(run)
    assert (first.path, first.line, first.count, first.hidden) == ("qmcpy/integrand/asian_option.py", 112, 128, True)
    assert first.notebooks == ("demos/finance/asian_option.ipynb", "demos/finance/barrier_option.ipynb")
    assert (second.path, second.cell, second.count) == ("demos/finance/asian_option.ipynb", 4, 1)


def test_cells_of_two_notebooks_are_two_places() -> None:
    place = WarningPlace(category="UserWarning", message="m", path="", line=1, cell=1)
    names = ("a.ipynb", "b.ipynb")
    results = [
        Result(notebook=name, group="", python="", status="passed", warnings=(place,), warning_count=1)
        for name in names
    ]
    run = Run(directory=Path(), started="", wall_seconds=1.0, workers=1, results=tuple(results))
    assert [each.path for each in warnings_of(run)] == list(names)


def test_the_text_has_one_line(run: Run) -> None:
    lines = report_lines(run)
    assert [line for line in lines if "arning" in line] == [LINE]


def test_without_warnings_there_is_no_line(tmp_path: Path) -> None:
    run = report_samples.all_pass(tmp_path)
    assert warnings_line(run) == ""
    assert "Warnings" not in build_html(run)


def test_results_json_has_them_of_each_notebook_and_of_the_run(run: Run) -> None:
    data = run_to_data(run)
    assert data["warnings"][0] == {
        "category": "DeprecationWarning",
        "message": OLD_NUMPY.message,
        "path": "qmcpy/integrand/asian_option.py",
        "line": 112,
        "cell": None,
        "hidden": True,
        "count": 128,
        "notebooks": ["demos/finance/asian_option.ipynb", "demos/finance/barrier_option.ipynb"],
    }
    told = {result["notebook"]: result["warning_count"] for result in data["results"] if result["warnings"]}
    assert told == {"demos/finance/asian_option.ipynb": 65, "demos/finance/barrier_option.ipynb": 64}


def test_the_report_shows_them_of_the_run_and_of_each_notebook(run: Run) -> None:
    text = build_html(run)
    assert "what may break the notebooks next" in text
    assert "Python shows it to nobody." in text
    line = "DeprecationWarning, qmcpy/integrand/asian_option.py, line 112, 64 \u00d7: `np.trapz` is deprecated"
    assert text.count(line) == 2
    assert "<script>alert(2)" not in text


def test_the_report_is_not_flooded(run: Run) -> None:
    many = tuple(dataclasses.replace(OLD_NUMPY, line=line) for line in range(SHOWN + 7))
    results = (dataclasses.replace(run.results[0], warnings=many, warning_count=len(many)),)
    assert "7 more lines warned" in build_html(dataclasses.replace(run, results=results))
