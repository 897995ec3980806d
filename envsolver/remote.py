"""What Parsl is given to run. It loads the worker where it runs, so that the controller can do without."""

from __future__ import annotations

from envsolver.models import Job, Result


def run_job(job: Job) -> Result:
    """Run one notebook, as `worker.run_job` does."""
    from envsolver import worker

    return worker.run_job(job)
