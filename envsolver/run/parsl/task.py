"""What Parsl is given to run. It loads the worker where it runs, so that the controller can do without."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace

from envsolver.core.jobs import Job
from envsolver.core.results import Result

NODE_RUN = "ENVSOLVER_NODE_RUN"
"""On a cluster's node: the mark of what one block runs there, which takes the place of the run's."""

NODE_TEMPLATES = "ENVSOLVER_NODE_TEMPLATES"
"""On a cluster's node: where each of its templates listens, by the template's key, as JSON."""


def run_job(job: Job) -> Result:
    """Run one notebook, as `run_job.run_job` does; a result from a cluster names the node, the block and the worker."""
    from envsolver.worker import run_job

    mark = os.environ.get(NODE_RUN)
    if mark is None:
        return run_job.run_job(job)
    key, _, part = job.warm_start.template.partition("/")
    directory = json.loads(os.environ.get(NODE_TEMPLATES, "{}")).get(key)
    here = replace(job.warm_start, template=f"{directory}/{part}.sock" if directory else "")
    result = run_job.run_job(replace(job, run_id=mark, warm_start=here))
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    block, rank = os.environ.get("PARSL_WORKER_BLOCK_ID", ""), os.environ.get("PARSL_WORKER_RANK", "")
    return replace(result, worker=f"{node}/{block}/{rank}")
