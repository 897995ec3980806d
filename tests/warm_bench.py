"""A project of notebooks, each of which can be run in a cold kernel and in a warm one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import with_options
from filelock import FileLock
from uv import find_uv_bin
from warm_tables import MODULES

from envsolver.core.environments import Environment, Target
from envsolver.core.jobs import Binding, Job, KernelHistory, Limits, WarmStart
from envsolver.core.notebooks import Notebook
from envsolver.core.results import Result
from envsolver.run.warm.plan import plan_templates
from envsolver.run.warm.templates import Templates
from envsolver.worker.private_directories import remove, run_directory
from envsolver.worker.processes import RUN_MARK, marked
from envsolver.worker.run_job import run_job


def build(prefix: Path, *options: str) -> None:
    uv = [find_uv_bin(), *options]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(prefix)], check=True, capture_output=True)
    install = [*uv, "pip", "install", "--compile-bytecode", "--python", str(prefix / "bin" / "python")]
    subprocess.run([*install, "ipykernel", "numpy", "matplotlib"], check=True, capture_output=True, timeout=240)


@pytest.fixture(scope="module")
def science_env(request: pytest.FixtureRequest) -> Path:
    """Return an environment with ipykernel, numpy and matplotlib; built once, and kept in pytest's cache."""
    directory = Path(request.config.cache.mkdir("science_env"))
    prefix = directory / f"{sys.implementation.cache_tag}-{sys.version_info.micro}"
    with FileLock(directory / f"{prefix.name}.lock"):
        if not (prefix / "complete").exists():
            try:
                build(prefix, "--offline")
            except subprocess.CalledProcessError:
                try:
                    build(prefix)
                except subprocess.CalledProcessError as error:
                    missing = pytest.fail if os.environ.get("CI") else pytest.skip
                    missing(f"numpy and matplotlib cannot be installed: {error.stderr[-500:]!r}")
            (prefix / "complete").touch()
    return prefix


def neutral(text: str) -> str:
    """Return a text without what differs from one cold kernel to the next."""
    for pattern, word in (
        (r"/\w+/envsolver-[\w-]+/j\w+", "<private>"),
        (r"0x[0-9a-f]+", "<address>"),
        (r"(JPY_PARENT_PID[=', ]+)\d+", r"\1<pid>"),
        (r"pid=\d+", "pid=<pid>"),
        (r"(CPU times|Wall time)[^\"]*", "<times>"),
        (r"ipykernel_\d+", "ipykernel_<pid>"),
        (r"(ENVSOLVER_JOB[=', ]+)[^' ]*", r"\1<mark>"),
        (r"\b(cold|warm|unseen)(-\d+|/logs)", "<run>"),
    ):
        text = re.sub(pattern, word, text)
    return text


@dataclass
class Bench:
    """A project of notebooks, each run cold and warm."""

    root: Path
    run_dir: Path
    prefix: Path
    run_id: str
    known: dict[str, KernelHistory] = field(default_factory=dict)
    templates: Templates | None = None
    started: list[Job] = field(default_factory=list)

    def job(self, name: str, cells: list[str], **options: Any) -> Job:
        folder = options.pop("folder", "")
        path = (folder and folder + "/") + re.sub(r"\W+", "_", name) + ".ipynb"
        made: list[dict[str, Any]] = [
            {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None}
            for cell in cells
        ]
        document = {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(json.dumps(document), encoding="utf-8")
        env = {"PYTHONPATH": str(self.root.parent / "lib")}
        job = Job(
            id=path.removesuffix(".ipynb").replace("/", "-"),
            notebook=path,
            group="core",
            python="3.11",
            root=str(self.root),
            run_dir=str(self.run_dir),
            run_id=self.run_id,
            limits=Limits(timeout=200.0, cell_timeout=150.0),
            binding=Binding(environment="key", prefix=str(self.prefix), env=env),
            warm_start=WarmStart(want_modules=True),
        )
        return with_options(job, **options)

    def start(self, jobs: list[Job], notebooks: dict[str, Notebook] | None = None) -> Templates:
        self.started = jobs
        twice = [*jobs, *(replace(job, id=job.id + "-again") for job in jobs)]
        known = {**self.known, **{f"{name}-again": known for name, known in self.known.items()}}
        plan = plan_templates(
            twice,
            notebooks or {job.notebook: Notebook(path=job.notebook) for job in jobs},
            keys={Target("core", "3.11"): "key"},
            known=known,
            workers=1,
        )
        self.templates = Templates(plan, run_id=self.run_id, logs=self.run_dir / "logs")
        environment = Environment(key="key", group="core", python="3.11", prefix=self.prefix)
        self.templates.start_for("core", "3.11", environment)
        return self.templates

    def warm(self, job: Job) -> Result:
        assert self.templates is not None
        path = self.templates.path_for(job) or self.templates.path_for(self.started[0])
        assert path
        return run_job(with_options(job, template=path))

    def outputs(self, result: Result) -> str:
        """Return a notebook's outputs as text, without what differs from one cold kernel to the next."""
        cells = json.loads((self.run_dir / result.executed).read_text(encoding="utf-8"))["cells"]
        text = json.dumps([cell["outputs"] for cell in cells], indent=1)
        return neutral(text)


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("warm")
    (home / "lib").mkdir()
    for name, source in MODULES.items():
        (home / "lib" / f"{name}.py").write_text(source + "\n", encoding="utf-8")
    return home


def bench_at(home: Path, prefix: Path, name: str) -> Iterator[Bench]:
    bench = Bench(root=home / "project", run_dir=home / name, prefix=prefix, run_id=f"{name}-{os.getpid()}")
    try:
        yield bench
    finally:
        if bench.templates is not None:
            bench.templates.stop()
        remove(run_directory(bench.run_id))
    assert marked(RUN_MARK, bench.run_id) == []


@pytest.fixture
def bench(lib: Path, science_env: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from bench_at(lib, science_env, f"one{abs(hash(request.node.name)) % 10**6}")


def modules_of(bench: Bench, job: Job) -> None:
    bench.known[job.id] = KernelHistory(modules=run_job(job).modules)
