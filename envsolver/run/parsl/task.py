"""What Parsl is given to run. It loads the worker where it runs, so that the controller can do without."""

from __future__ import annotations

from envsolver.core.jobs import Job
from envsolver.core.results import Result


def run_job(job: Job) -> Result:
    """Run one notebook, as `run_job.run_job` does."""
    from envsolver.worker import run_job

    return run_job.run_job(job)
