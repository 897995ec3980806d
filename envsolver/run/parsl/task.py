"""What Parsl is given to run. It loads the worker where it runs, so that the controller can do without."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace

from envsolver.core.errors import HandedBackError
from envsolver.core.jobs import Job, seconds_needed
from envsolver.core.results import Result
from envsolver.run.parsl.sent_project import at_node
from envsolver.run.parsl.shared_folders import Place, run_where_seen
from envsolver.worker.private_directories import run_directory

NODE_RUN = "ENVSOLVER_NODE_RUN"
"""On a cluster's node: the mark of what one block runs there, which takes the place of the run's."""

NODE_TEMPLATES = "ENVSOLVER_NODE_TEMPLATES"
"""On a cluster's node: where each of its templates listens, by the template's key, as JSON."""


BLOCK_BEGAN = "ENVSOLVER_BLOCK_BEGAN"
BLOCK_SECONDS = "ENVSOLVER_BLOCK_SECONDS"
"""In a block: when it began, as seconds since 1970, and how long it may last."""

FRESH_SHARE = 0.1
"""The part of a block after which, counted from its first notebook, another block may have more time left."""


def hand_back(job: Job, environ: Mapping[str, str], now: float, first: float) -> None:
    """Give a job back when its block ends too soon for it, and a new block would last longer.

    The first notebook that comes to a node is taken in any case: one that fits in no block would go round for ever.

    Parameters
    ----------
    now, first
        The time, and when the first notebook came to this node in this block, seconds since 1970.

    Raises
    ------
    HandedBackError
        It is to run in another block.
    """
    began, end = block_times(environ)
    if not end:
        return
    fresh = now - first <= FRESH_SHARE * (end - began)
    if not fresh and end - now < seconds_needed(job.warm_start.expected, job.limits.timeout):
        raise HandedBackError(max(end - now, 0.0))


def block_times(environ: Mapping[str, str]) -> tuple[float, float]:
    """Return when a block began and when it ends, seconds since 1970 by the node's clock; 0 for what is not known."""
    began, whole, start, end = (
        float(environ.get(name) or 0)
        for name in (BLOCK_BEGAN, BLOCK_SECONDS, "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME")
    )
    if began and start and end:
        return began, began + end - start  # Slurm's times are by its controller's clock, which may be another
    return began, end or (began + whole if began and whole else 0.0)


def first_arrival(mark: str, now: float) -> float:
    """Return when the first notebook came to this node in this block, which may be now."""
    place = run_directory(mark)
    place.mkdir(mode=0o700, exist_ok=True)
    try:
        with (place / "first").open("x") as file:
            file.write(str(now))
    except FileExistsError:
        return float((place / "first").read_text() or now)  # empty while another worker is just writing it
    return now


def run_job(job: Job) -> Result:
    """Run one notebook, as `run_job.run_job` does; a result from a cluster names the node, the block and the worker.

    Raises
    ------
    HandedBackError
        The block that this runs in ends too soon.
    UnfitPlaceError
        The node does not see what the job needs.
    """
    from envsolver.worker import run_job

    mark = os.environ.get(NODE_RUN)
    if mark is None:
        return run_job.run_job(job)
    now = time.time()
    hand_back(job, os.environ, now, first_arrival(mark, now))
    job = at_node(job, os.environ)
    key, _, part = job.warm_start.template.partition("/")
    directory = json.loads(os.environ.get(NODE_TEMPLATES, "{}")).get(key)
    here = replace(job.warm_start, template=f"{directory}/{part}.sock" if directory else "")
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    block, rank = os.environ.get("PARSL_WORKER_BLOCK_ID", ""), os.environ.get("PARSL_WORKER_RANK", "")
    result = run_where_seen(run_job.run_job, replace(job, run_id=mark, warm_start=here), Place(node, block))
    return replace(result, node=node, worker=f"{node}/{block}/{rank}")
