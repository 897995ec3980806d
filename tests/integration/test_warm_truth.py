"""Promise: whatever a notebook does before its imports, it gets the verdict and the outputs of a cold kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest
from warm_bench import Bench, bench_at
from warm_tables import DEEDS, HARMLESS

from envsolver.core.jobs import Job, KernelHistory
from envsolver.core.results import Result
from envsolver.worker.run_job import run_job

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("warm_truth"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere kernels start cold"),
]


def write(root: Path, name: str, files: dict[str, str], cells: list[str], bench: Bench) -> Job:
    """Write a notebook into a folder of its own, with what stands beside it, and return its job."""
    folder = "".join(letter if letter.isalnum() else "_" for letter in name) + "/sub"
    for path, text in files.items():
        place = root / folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return bench.job("n", cells, folder=folder)


@pytest.fixture(scope="module")
def cold(lib: Path, science_env: Path) -> Iterator[dict[str, tuple[Result, str]]]:
    """Run each notebook in a cold kernel."""
    for bench in bench_at(lib, science_env, "cold"):
        found = {}
        for name, (files, cells) in DEEDS.items():
            result = run_job(write(bench.root, name, files, cells, bench))
            found[name] = (result, bench.outputs(result))
        yield found


@pytest.fixture(scope="module")
def warm(lib: Path, science_env: Path, cold: dict[str, tuple[Result, str]]) -> Iterator[Bench]:
    """Yield the template that holds what the notebook that does nothing special imports, and serves all."""
    for bench in bench_at(lib, science_env, "warm"):
        job = bench.job(
            "template",
            [
                "import numpy, matplotlib.pyplot, consults, looks_above, keeps_its_place, numpy.polynomial",
                "import reads_settings, imports_main",
            ],
        )
        modules = run_job(job).modules
        assert any(name.startswith("consults=") for name in modules)
        bench.known = {job.id: KernelHistory(modules=modules)}
        bench.start([job])
        yield bench


@pytest.mark.parametrize("name", DEEDS)
def test_a_notebook_ends_as_in_a_cold_kernel(
    name: str, cold: dict[str, tuple[Result, str]], warm: Bench, lib: Path
) -> None:
    expected, outputs = cold[name]
    result = warm.warm(write(lib / "project", name, *DEEDS[name], warm))
    assert result.status == expected.status
    assert list(unified_diff(outputs.splitlines(), warm.outputs(result).splitlines(), n=0)) == []
    assert result.warm_verdict == "" or result.warm_verdict.startswith("void: ") or not expected.good
    if name in HARMLESS and expected.good:
        assert (result.warm_verdict, result.warm) == ("", True)
