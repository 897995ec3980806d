"""One notebook run in this process, as `envsolver run` would run it, but without Parsl."""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from envsolver.core.jobs import Job
from envsolver.core.paths import LOGS, TESTED
from envsolver.core.results import Result
from envsolver.run.directories import prepare_state
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution, resolve
from envsolver.run.services import Services
from envsolver.worker.guardian import owned
from envsolver.worker.run_job import run_job


def run_notebook(project: Project, notebook: str, directory: Path) -> Result:
    """Run one notebook as `envsolver run` would, but in this process and without Parsl.

    Parameters
    ----------
    notebook
        Path relative to the project's root.
    directory
        Where the executed copy and the logs go.

    Raises
    ------
    EnvsolverError
        The configuration is wrong, or the environment or a service cannot be had.
    """
    run_id = uuid.uuid4().hex
    with owned(run_id):
        resolution = resolve(project, patterns=(str(project.root / notebook),), cwd=project.root)
        frame = JobDefaults(config=project.config, run_id=run_id, run_dir=directory)
        jobs, settled = plan_jobs(frame, resolution, resolution.assignments)
        return _run_job(project, resolution, jobs[0]) if jobs else settled[0]


def _run_job(project: Project, resolution: Resolution, job: Job) -> Result:
    if job.target in resolution.faults:
        raise resolution.faults[job.target]
    environment = replace(project.store.ensure(resolution.locks[job.target]), group=job.group)
    logs = Path(job.run_dir, LOGS)
    services = Services(project.config.services, root=project.root, logs=logs, run_id=job.run_id)
    settings = project.config.groups.get(job.group)
    try:
        variables = services.start(settings.services if settings else (), environment)
        return run_job(replace(job, binding=job.binding.bound(environment, variables), want_values=True))
    finally:
        services.stop()
        project.store.release()


def fresh_directory(project: Project, notebook: str) -> Path:
    """Return an empty folder, the same each time, so that tests do not pile up copies."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(notebook).stem).strip("-")[:40]
    digest = hashlib.sha256(notebook.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    directory = prepare_state(project.state) / TESTED / f"{slug}-{digest}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    return directory
