"""Promise: a notebook never changes an environment, and what the environment satisfies passes as satisfied."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envsolver.core.jobs import Binding, Job
from envsolver.environments.in_environment import PYTHONPATH
from envsolver.worker import kernel_env
from envsolver.worker.run_job import run_job

pytestmark = pytest.mark.integration


LIBRARY = PYTHONPATH


FORMS = [
    "%pip install nosuch-package",
    "!pip install nosuch-package",
    "!pip3 install nosuch-package",
    "!python -m pip install nosuch-package",
    "import sys\n!{sys.executable} -m pip install nosuch-package",
    "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'nosuch-package'])",
    "import subprocess\nsubprocess.check_call('pip install nosuch-package', shell=True)",
    "!uv pip install nosuch-package",
    "%uv pip install nosuch-package",
    "!conda install -y nosuch-package",
    "!mamba install nosuch-package",
    "import pip\npip.main(['install', 'nosuch-package'])",
    "from pip._internal import main\nmain(['install', 'nosuch-package'])",
]


@pytest.fixture
def run(tmp_path: Path, kernel_env: Path) -> Callable[..., tuple[str, str | None, str]]:
    def run(*cells: tuple[str, list[str]], allow_errors: bool = False) -> tuple[str, str | None, str]:
        made: list[dict[str, Any]] = [
            {"cell_type": "code", "source": source, "metadata": {"tags": tags}, "outputs": [], "execution_count": None}
            for source, tags in cells
        ]
        text = json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
        (tmp_path / "n.ipynb").write_text(text, encoding="utf-8")
        job = Job(
            id="job",
            notebook="n.ipynb",
            group="core",
            python="3.11",
            root=str(tmp_path),
            run_dir=str(tmp_path / "run"),
            run_id=f"guard-{os.getpid()}",
            binding=Binding(prefix=str(kernel_env), requirements_place="requirements/core.in"),
            allow_errors=allow_errors,
        )
        result = run_job(job)
        return result.status, None if result.failure is None else result.failure.ename, result.reason

    return run


def installed(prefix: Path) -> set[str]:
    return {path.name for path in prefix.glob("lib/*/site-packages/*.dist-info")}


@pytest.mark.parametrize("form", FORMS)
def test_no_way_to_install_changes_the_environment(
    run: Callable[..., tuple[str, str | None, str]], kernel_env: Path, form: str
) -> None:
    before = installed(kernel_env)
    status, ename, reason = run((form, []))
    assert (status, ename) == ("failed", "PackageNotInEnvironment")
    assert reason.endswith("Add to requirements/core.in:\n    nosuch-package")
    assert installed(kernel_env) == before


def test_ways_to_ask_for_what_is_there_pass(run: Callable[..., tuple[str, str | None, str]]) -> None:
    forms = [form.replace("nosuch-package", "ipykernel") for form in FORMS]
    group = "import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', '--group', 'nb'])"
    assert run(*((form, []) for form in (*forms, group)))[0] == "passed"


def test_where_no_line_helps_the_cell_is_left_out(run: Callable[..., tuple[str, str | None, str]]) -> None:
    reason = run(("!pip install --target libs ipykernel", []))[2]
    assert reason.endswith(
        'leave its cell out with `skip-cells = ["<text of it>"]` in [notebook."n.ipynb"] of envsolver.toml'
    )


def test_conda_magic_changes_nothing(run: Callable[..., tuple[str, str | None, str]]) -> None:
    assert run(("%conda install -y nosuch-package", []))[0] == "failed"


def test_a_cell_that_may_raise_may_still_not_install(run: Callable[..., tuple[str, str | None, str]]) -> None:
    assert run(("!pip install nosuch-package", ["raises-exception"]))[1] == "PackageNotInEnvironment"


def test_where_errors_are_allowed_an_install_is_too(run: Callable[..., tuple[str, str | None, str]]) -> None:
    assert run(("!pip install nosuch-package", []), ("1", []), allow_errors=True)[0] == "passed"


def test_the_guard_starts_on_the_oldest_python_there_is(tmp_path: Path) -> None:
    from uv import find_uv_bin

    listing = [find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"]
    found = json.loads(subprocess.run(listing, check=True, capture_output=True).stdout)
    oldest = min(found, key=lambda entry: [int(part) for part in entry["version"].split(".")[:2]])
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), kernel_env.INSTALL_RECORD: str(tmp_path / "record")}
    command = [oldest["path"], "-m", "pip", "install", "nosuch-package"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nosuch-package" in (tmp_path / "record").read_text(encoding="utf-8")
