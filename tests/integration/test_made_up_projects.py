"""Promise: after any single change of a project exactly the notebooks that depend on it run.

``nox -s changes`` tries more than the suite does; ``ENVSOLVER_TEST_SEED`` makes up other projects.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import a_project
from made_up_projects import Change, MadeUpProject

from envsolver.core.jobs import Job
from envsolver.core.settings import NotebookSettings
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution, resolve
from envsolver.run.unchanged import Recorder, Unchanged
from envsolver.worker.isolation import choose_isolation
from envsolver.worker.run_job import run_job

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or platform.machine() != "x86_64",
        reason="elsewhere the whole project counts, and programs are not followed",
    ),
]

PROJECTS = int(os.environ.get("ENVSOLVER_TEST_PROJECTS", "2"))
CHANGES = int(os.environ.get("ENVSOLVER_TEST_CHANGES", "60"))
NOTEBOOKS = 5
FIRST = int(os.environ.get("ENVSOLVER_TEST_SEED", "1"))
MOST_TOO_MANY = 0.05
"""How many more may run than must, as a part of those that must."""


class Suite:
    """The notebooks of a made-up project, which really run, and what a next run would do."""

    def __init__(self, project: Project, prefix: Path) -> None:
        self.prefix = prefix
        self.configured(project, {})

    def configured(self, project: Project, parameters: Mapping[str, Any]) -> None:
        """Let a notebook have parameters."""
        tables = {path: NotebookSettings(group="a", parameters=values) for path, values in parameters.items()}
        config = replace(project.config, notebook={"nb/*.ipynb": NotebookSettings(group="a"), **tables})
        self.project = Project(config=config, cache=project.cache)

    def jobs(self) -> tuple[Resolution, dict[str, Job]]:
        root = self.project.root
        resolution = resolve(self.project, cwd=root)
        defaults = JobDefaults(config=self.project.config, run_id="", run_dir=root.parent / "run")
        jobs, settled = plan_jobs(defaults, resolution, resolution.assignments)
        assert settled == ()
        return resolution, {job.notebook: job for job in jobs}

    def run(self) -> None:
        """Run all, and keep their passes."""
        resolution, jobs = self.jobs()
        directory = self.project.root.parent / "run"
        with contextlib.closing(Recorder(self.project, resolution, jobs.values(), directory)) as recorder:
            for job in jobs.values():
                bound = replace(job.binding, prefix=str(self.prefix))
                result = run_job(replace(job, binding=bound, run_id=f"made-up-{os.getpid()}"))
                assert result.status == "passed", result
                key = self.project.store.key_for(resolution.locks[job.target])
                recorder.add(replace(result, environment=key))

    def why(self) -> dict[str, str]:
        """Return why those would run that would."""
        resolution, jobs = self.jobs()
        unchanged = Unchanged(self.project, resolution, directory=self.project.root)
        waiting, _ = unchanged.split(jobs.values())
        unchanged.keep()
        return {job.notebook: job.why for job in waiting}


@dataclass
class Tally:
    """What ran against what had to."""

    due: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    too_many: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, change: Change, ran: Mapping[str, str]) -> None:
        """Count a change."""
        self.due += len(change.dependents)
        self.missed += [(change.what, name) for name in sorted(change.dependents - ran.keys())]
        self.too_many += [(change.what, name, ran[name]) for name in sorted(ran.keys() - change.dependents)]

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.due} had to run, {len(self.missed)} were missed, {len(self.too_many)} were too many"


def parameter_changes(suite: Suite, made: MadeUpProject) -> Change:
    """Return the change of one notebook's parameter."""
    path = made.chance.choice(sorted(made.needs))
    project = suite.project
    return Change(
        f"parameter of {path}",
        lambda: suite.configured(project, {path: {"n": 2}}),
        lambda: suite.configured(project, {}),
        frozenset({path}),
    )


def test_after_any_change_exactly_those_run_that_depend_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_env: Path
) -> None:
    choose_isolation.cache_clear()
    if choose_isolation(tmp_path)[0] != "namespace":
        pytest.skip("reading is seen in namespaces only")
    tally = Tally()
    for number in range(PROJECTS):
        root = tmp_path / str(number) / "project"
        root.mkdir(parents=True)
        made = MadeUpProject(root, FIRST + number, NOTEBOOKS)
        suite = Suite(a_project(root, monkeypatch, pythons=("3.11",), a="six\n"), kernel_env)
        time.sleep(0.05)  # nothing changes while a notebook runs, by the file system's clock
        suite.run()
        assert suite.why() == {}
        for change in itertools.islice(made.changes(), CHANGES // PROJECTS):
            chosen = parameter_changes(suite, made) if made.chance.random() < 0.05 else change
            chosen.make()
            tally.add(chosen, suite.why())
            chosen.undo()
        assert suite.why() == {}
    print(f"{CHANGES} changes: {tally}")  # noqa: T201
    assert tally.missed == []
    assert len(tally.too_many) <= MOST_TOO_MANY * tally.due, tally.too_many
