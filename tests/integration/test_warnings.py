"""Promise: a notebook's warnings are counted by category and place, in warm and in cold kernels alike."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import envsolver, with_options, write_notebook, written_group
from warm_bench import Bench, bench_at, modules_of

from envsolver.core.results import Result
from envsolver.report.formatting import strip_ansi
from envsolver.report.results_json import read_results
from envsolver.worker.run_job import run_job

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("warnings"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere kernels start cold"),
]

OLD = "import warnings, has_old_functions as library\n"

NOTEBOOKS: dict[str, tuple[list[str], list[str]]] = {
    "none": (["1"], []),
    "in cells": (
        ["import warnings\nwarnings.warn('first')", "\nwarnings.warn('second', DeprecationWarning)"],
        ["UserWarning first cell 1:2 x1", "DeprecationWarning second cell 2:2 x1"],
    ),
    "hidden by default": ([OLD + "for _ in range(5): library.old()"], ["DeprecationWarning old hidden LIB:2 x5"]),
    "of the caller's line": ([OLD, "\nlibrary.older()"], ["FutureWarning older cell 2:2 x1"]),
    "by a function of an earlier cell": (
        ["def f():\n    library.older()", OLD, "f()"],
        ["FutureWarning older cell 1:2 x1"],
    ),
    "that the notebook silences": (
        [OLD + "warnings.simplefilter('ignore')\nlibrary.old()\nlibrary.older()\nwarnings.warn('none')"],
        [],
    ),
    "that the notebook catches": (
        [
            OLD + "with warnings.catch_warnings(record=True) as caught:\n    warnings.simplefilter('always')\n"
            "    library.old()\n    library.older()\nassert len(caught) == 2"
        ],
        [],
    ),
    "as errors by the notebook": (
        [
            OLD
            + "warnings.simplefilter('error')\ntry:\n    library.old()\nexcept DeprecationWarning:\n    print('raised')"
        ],
        [],
    ),
    "shown by a function of the notebook": (
        [OLD + "warnings.showwarning = lambda *a, **k: print('mine', a[0])\nlibrary.older()\nlibrary.old()"],
        ["FutureWarning older cell 1:3 x1", "DeprecationWarning old hidden LIB:2 x1"],
    ),
    "with the interpreter's hook replaced": (
        [OLD + "warnings._showwarnmsg = lambda m: print('mine', m.message)\nlibrary.old()\nlibrary.older()"],
        ["DeprecationWarning old hidden LIB:2 x1", "FutureWarning older cell 1:4 x1"],
    ),
    "of a module that is imported": (
        ["import deprecates_itself", "import deprecates_itself"],
        [
            "DeprecationWarning this module goes hidden deprecates_itself.py:2 x1",
            "PendingDeprecationWarning so does this hidden deprecates_itself.py:3 x1",
        ],
    ),
    "of the line that imports": (
        ["1", "\nimport deprecates_its_import"],
        ["DeprecationWarning do not import this cell 2:2 x1"],
    ),
    "of a module that imports": (
        ["import imports_a_deprecated"],
        ["DeprecationWarning do not import this hidden imports_a_deprecated.py:2 x1"],
    ),
    "of a module, silenced before": (
        ["import warnings\nwarnings.simplefilter('ignore')\nimport deprecates_itself"],
        [],
    ),
    "of a module, caught": (
        [
            (
                "import warnings\nwith warnings.catch_warnings(record=True) as caught:\n    import deprecates_itself\n"
                "print(len(caught))"
            )
        ],
        [],
    ),
    "in a notebook that kills its kernel": (
        [OLD + "library.old()\nlibrary.old()\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)"],
        ["DeprecationWarning old hidden LIB:2 x2"],
    ),
    "in a child": (
        [OLD + "import os\nif os.fork() == 0:\n    library.old()\n    os._exit(0)\nos.wait()\nlibrary.old()"],
        ["DeprecationWarning old hidden LIB:2 x1"],
    ),
}


ENDED_COLD = {"in a notebook that kills its kernel"}
"""Those whose warm kernel cannot have the last word."""


def told(result: Result, lib: Path) -> list[str]:
    """Return the warnings of a result as short texts."""
    assert result.warning_count == sum(each.count for each in result.warnings)
    lines = []
    for each in result.warnings:
        place = f"cell {each.cell}" if each.cell is not None else each.path.replace(f"{lib}/lib/", "")
        place = place.replace("has_old_functions.py", "LIB")
        hidden = "hidden " if each.hidden else ""
        lines.append(f"{each.category} {each.message} {hidden}{place}:{each.line} x{each.count}")
    return lines


@pytest.fixture(scope="module")
def cold(lib: Path, kernel_env: Path) -> Iterator[tuple[Bench, dict[str, Result]]]:
    for bench in bench_at(lib, kernel_env, "cold"):
        yield bench, {name: run_job(bench.job(name, cells)) for name, (cells, _) in NOTEBOOKS.items()}


@pytest.fixture(scope="module")
def warm(lib: Path, kernel_env: Path, cold: tuple[Bench, dict[str, Result]]) -> Iterator[Bench]:
    for bench in bench_at(lib, kernel_env, "warm"):
        jobs = [bench.job(name, cells) for name, (cells, _) in NOTEBOOKS.items()]
        for job in jobs:
            modules_of(bench, job)
        bench.start(jobs)
        yield bench


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_cold_kernel_tells_its_warnings(name: str, lib: Path, cold: tuple[Bench, dict[str, Result]]) -> None:
    assert told(cold[1][name], lib) == NOTEBOOKS[name][1]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_warm_kernel_tells_the_same(name: str, lib: Path, warm: Bench, cold: tuple[Bench, dict[str, Result]]) -> None:
    result = warm.warm(warm.job(name, NOTEBOOKS[name][0]))
    assert told(result, lib) == NOTEBOOKS[name][1]
    assert result.warm == (name not in ENDED_COLD)
    if cold[1][name].good:
        assert warm.outputs(result) == cold[0].outputs(cold[1][name])


FAILING: dict[str, tuple[list[str], list[str], str]] = {
    "of a package": (
        [OLD + "library.old()"],
        ["error::DeprecationWarning:has_old"],
        "cell 1 raised DeprecationWarning: old",
    ),
    "of another package": ([OLD + "library.old()"], ["error::DeprecationWarning:other"], ""),
    "that a later filter lets pass": (
        [OLD + "library.old()"],
        ["error", "ignore:old", "error::json.NoSuchWarning"],
        "the setting `warnings` names json.NoSuchWarning, which is no category of warnings",
    ),
    "that a later filter ignores": ([OLD + "library.old()"], ["error", "ignore:old"], ""),
    "of an import": (
        ["import deprecates_itself"],
        ["error::DeprecationWarning"],
        "cell 1 raised DeprecationWarning: this",
    ),
    "of an import, asked for": (["import deprecates_itself\nprint(1)"], ["always::DeprecationWarning"], ""),
}


@pytest.mark.parametrize("name", FAILING)
def test_filters_turn_warnings_into_failures(name: str, lib: Path, kernel_env: Path) -> None:
    cells, filters, reason = FAILING[name]
    for bench in bench_at(lib, kernel_env, "filters"):
        cells = ["import json", *cells]
        plain = bench.job(name, cells)
        modules_of(bench, plain)
        job = with_options(plain, warnings=tuple(filters))
        expected = run_job(job)
        bench.start([job])
        result = bench.warm(job)
        expected_reason = reason.replace("cell 1", "cell 2")
        assert (expected.status, result.status) == (("failed",) * 2 if reason else ("passed",) * 2)
        assert expected.reason.startswith(expected_reason)
        assert result.reason.startswith(expected_reason)
        assert bench.outputs(result) == bench.outputs(expected)


FILTERS = """
notebooks = ["nb/*.ipynb"]
[groups.core]
warnings = ["error::UserWarning:helper"]
[notebook."nb/quiet.ipynb"]
warnings = ["ignore::UserWarning"]
[notebook."nb/loud.ipynb"]
warnings = ["error::FutureWarning"]
[strategies.strict]
warnings = ["error::DeprecationWarning"]
[strategies.groups.groups.core]
warnings = ["error::PendingDeprecationWarning"]
[strategies.one.notebook."nb/loud.ipynb"]
warnings = ["error::ImportWarning"]
"""
HELPER = """import warnings
def warn(category):
    warnings.warn("mine", category)
"""
WARNED = {
    "quiet": "UserWarning",
    "user": "UserWarning",
    "loud": "FutureWarning",
    "old": "DeprecationWarning",
    "older": "PendingDeprecationWarning",
}


@pytest.mark.timeout(600)
def test_filters_of_groups_notebooks_and_strategies_make_failures(tmp_path: Path) -> None:
    (tmp_path / "envsolver.toml").write_text(FILTERS)
    for name, category in WARNED.items():
        write_notebook(tmp_path, f"nb/{name}.ipynb", f"import helper\nhelper.warn({category})")
    (tmp_path / "nb" / "helper.py").write_text(HELPER)
    written_group(tmp_path, "# only the kernel\n", "core")
    failed = {
        "": {"user": "UserWarning", "loud": "FutureWarning"},
        # What a strategy sets stands in the place of a notebook's own, and beside its group's.
        "strict": {"user": "UserWarning", "quiet": "UserWarning", "old": "DeprecationWarning"},
        "groups": {"loud": "FutureWarning", "older": "PendingDeprecationWarning"},
        "one": {"user": "UserWarning"},
    }
    for strategy, expected in failed.items():
        done = envsolver(tmp_path, "run", *(["--strategy", strategy] if strategy else []))
        results = read_results(tmp_path / ".envsolver" / "runs" / "latest").results
        found = {Path(each.notebook).stem: each.failure for each in results if not each.good}
        assert {name: failure and failure.ename for name, failure in found.items()} == expected, done.stdout
        texts = [strip_ansi(failure.traceback) for failure in found.values() if failure]
        assert all("helper.py:3" in text and "mine" in text for text in texts), texts
        assert {each.strategy for each in results} == {strategy}
