"""The program that a block runs on each of its nodes: a pool of workers, with its own mark and its own guardian.

Run as ``python node.py <the run's id> <the order of templates> <the pool's arguments>``. All that the pool starts
carries a mark of this node and this block, and is ended when the pool ends, however that comes about. The controller's
mark does not serve, since several blocks of a run may share a node.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Become the pool."""
    # The package's own directory must not be searched: its modules have names that others use as well.
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    from envsolver.core.paths import ENVIRONMENT_ORDER
    from envsolver.run.parsl.programs import become
    from envsolver.run.parsl.sent_project import NODE_PROJECT, SENT_PROJECT, at_node, project_directory, unpack
    from envsolver.run.parsl.task import NODE_RUN, NODE_TEMPLATES
    from envsolver.run.warm.remote import start_templates
    from envsolver.worker.guardian import start_guardian
    from envsolver.worker.private_directories import run_directory
    from envsolver.worker.processes import RUN_MARK

    mark = f"{sys.argv.pop(1)}-{socket.gethostname()}-{os.getpid()}"
    os.environ |= {RUN_MARK: mark, NODE_RUN: mark, "SPT_NOENV": "1"}  # Parsl's processes rename themselves
    # Where the scheduler grants a part of a node, Parsl would count the whole.
    granted = os.environ.get("SLURM_CPUS_ON_NODE") or str(len(os.sched_getaffinity(0)))
    os.environ.setdefault("PARSL_CORES", granted)
    # It is never dismissed: what is left when the pool has ended has no owner.
    start_guardian(mark, [run_directory(mark), project_directory(mark)])
    if (archive := os.environ.get(SENT_PROJECT)) is not None:
        os.environ[NODE_PROJECT] = str(unpack(Path(archive), mark))
    order = Path(sys.argv.pop(1))
    environment = order.with_suffix(ENVIRONMENT_ORDER)
    if environment.exists():
        builder = [sys.executable, "-m", "envsolver.run.node_environment", str(environment)]
        if (failed := subprocess.run(builder, check=False).returncode) != 0:
            sys.exit(failed)  # the last words on the block's error output are the builder's
    templates = start_templates(
        order, mark, lambda job: at_node(job, os.environ)
    )  # they end with the last reference to them
    if templates is not None:
        os.environ[NODE_TEMPLATES] = json.dumps(templates.directories())
    sys.argv.insert(1, "pool")
    become()


if __name__ == "__main__":
    main()
