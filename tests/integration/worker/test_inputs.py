"""Promise: whatever is taken for a notebook or an environment, the verdict names what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from worker_bench import Bench, document

from envsolver.core.jobs import Job
from envsolver.worker.run_job import run_job

pytestmark = pytest.mark.integration


# Bad input


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "not a notebook"),
        ("{}", "not a notebook"),
        ("[" * 100_000, "not valid JSON"),
        ('{"nbformat": 4, "nbformat_minor": 4, "metadata": {}}', "no list of cells"),
        ('{"nbformat": 99, "cells": []}', "not a valid notebook"),
        ('{"nbformat": 4, "cells": [3]}', "cell 1 is not an object"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "cell 1 has no source"),
        ('{"nbformat": 3, "metadata": {}}', "not a valid notebook"),
    ],
)
def test_what_is_no_notebook_fails_with_the_reason(bench: Bench, text: str, says: str) -> None:
    result = bench.run_text(text)
    assert result.status == "failed"
    assert says in result.reason


def test_a_missing_file_fails(bench: Bench) -> None:
    job = Job(
        id="j",
        notebook="no.ipynb",
        group="g",
        python="3.11",
        root=str(bench.root),
        run_dir=str(bench.run_dir),
        run_id=bench.run_id,
    )
    assert run_job(job).status == "failed"


def test_a_notebook_without_code_passes_without_a_kernel(bench: Bench) -> None:
    markdown = {"cell_type": "markdown", "source": "# Title", "metadata": {}}
    for cells in ([], [markdown], document("", "  \n")["cells"]):
        result = bench.run_text(json.dumps({**document(), "cells": cells}), prefix="/nowhere")
        assert result.status == "passed"
        assert result.log == ""


def test_an_old_format_runs(bench: Bench) -> None:
    cell = {"cell_type": "code", "language": "python", "input": ["x = 1\n", "x / 0"], "outputs": [], "metadata": {}}
    text = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]})
    result = bench.run_text(text)
    assert (result.status, result.failure and result.failure.ename) == ("failed", "ZeroDivisionError")


@pytest.mark.parametrize(
    "name", ["nb/a b.ipynb", 'nb/it\'s "q".ipynb', "ünï/ço∂é 数.ipynb", "-rf.ipynb", "$HOME/`x`.ipynb", "{0}.ipynb"]
)
def test_any_path_works(bench: Bench, name: str) -> None:
    result = bench.run(f"import os; print(os.path.exists({Path(name).name!r}), os.getcwd())", notebook=name)
    assert result.status == "passed"
    assert bench.text_of(result).startswith("True")
    assert result.executed == f"executed/3.11-core/{name}"


def test_a_stale_kernelspec_is_not_trusted(bench: Bench) -> None:
    stale = {"kernelspec": {"name": "python37464bitbaseconda52eab", "display_name": "x", "language": "python"}}
    assert bench.run_text(json.dumps(document("1", **stale))).status == "passed"


def test_odd_metadata_does_no_harm(bench: Bench) -> None:
    text = document("print(1)")
    text["cells"][0]["metadata"] = {"tags": None, "execution": 3}
    assert bench.run_text(json.dumps(text)).status == "passed"


# Binding


def test_without_an_interpreter_the_verdict_is_environment(bench: Bench) -> None:
    result = bench.run("1", prefix="/nowhere")
    assert result.status == "environment"
    assert "/nowhere/bin/python" in result.reason


def test_an_interpreter_that_cannot_be_run_is_the_environments_fault(bench: Bench, tmp_path: Path) -> None:
    prefix = tmp_path / "broken"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_bytes(b"\x7fnonsense")
    (prefix / "bin" / "python").chmod(0o755)
    result = bench.run("1", prefix=str(prefix))
    assert result.status == "environment"
    assert "cannot be run" in result.reason


def test_an_environment_without_ipykernel_is_at_fault(bench: Bench, tmp_path: Path) -> None:
    prefix = tmp_path / "bare"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f'#!/bin/sh\nexec "{bench.prefix}/bin/python" -S "$@"\n', encoding="utf-8")
    (prefix / "bin" / "python").chmod(0o755)
    result = bench.run("1", prefix=str(prefix))
    assert result.status == "environment"
    assert "ipykernel" in result.reason


def test_a_kernel_in_another_environment_is_found_out(bench: Bench, tmp_path: Path) -> None:
    prefix = tmp_path / "other"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f'#!/bin/sh\nexec "{bench.prefix}/bin/python" "$@"\n', encoding="utf-8")
    (prefix / "bin" / "python").chmod(0o755)
    result = bench.run("open('ran', 'w')", prefix=str(prefix))
    assert result.status == "environment"
    assert str(prefix) in result.reason
    assert result.cells == ()
