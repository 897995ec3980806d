"""A project that was sent: unpacked once for each block on a node, on the node's own disk."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from envsolver.core.jobs import Job
from envsolver.core.paths import SENT_HOME
from envsolver.worker.private_directories import make_private, run_directory

SENT_PROJECT = "ENVSOLVER_SENT_PROJECT"
"""In a block: the archive of the project, where nodes do not see the project itself."""

NODE_PROJECT = "ENVSOLVER_NODE_PROJECT"
"""On a cluster's node: where that was unpacked."""


def project_directory(mark: str) -> Path:
    """Return where a block's project stands on its node; it may not exist."""
    return Path(f"{run_directory(mark)}-project")


def unpack(archive: Path, mark: str) -> Path:
    """Unpack the project for a block, and return its root, which has the name that it has at home.

    Raises
    ------
    OSError
        There is no room for it, or the place is somebody else's.
    """
    folder = project_directory(mark)
    if not make_private(folder):
        raise FileExistsError(f"{folder} belongs to somebody else")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="tar")
    (root,) = folder.iterdir()
    return root


def at_node(job: Job, environ: Mapping[str, str]) -> Job:
    """Return a job as it runs on a node that was sent the project; the same where the node sees the project."""
    archive, root = environ.get(SENT_PROJECT), environ.get(NODE_PROJECT)
    if archive is None or root is None:
        return job
    return replace(job, root=root, run_dir=os.path.join(os.path.dirname(archive), SENT_HOME))  # noqa: PTH118, PTH120  a path as text
