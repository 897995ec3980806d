"""A real Slurm for the tests of this folder, and projects that run on it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import ClusterProject, Slurm, cluster, missing


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    with _started() as running:
        yield running


@contextlib.contextmanager
def _started(private: Path | None = None) -> Iterator[Slurm]:
    if missing():
        pytest.skip(f"needs {', '.join(missing())}")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a socket's path must be short
    try:
        with cluster(folder, private) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def unshared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProject]:
    """Return a project on a cluster whose nodes have disks of their own in place of the cache."""
    cache = tmp_path_factory.mktemp("cache")
    yield from _project(tmp_path_factory.mktemp("project"), cache, private=cache)


@pytest.fixture
def unseen(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[ClusterProject]:
    """Return a project on a cluster whose nodes see an empty folder in its place."""
    root = tmp_path_factory.mktemp("project")
    yield from _project(root, Path(request.config.cache.mkdir("slurm_environments")), private=root)


def _project(root: Path, cache: Path, private: Path) -> Iterator[ClusterProject]:
    if subprocess.run([shutil.which("unshare") or "unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("needs the right to mount")
    with _started(private) as running:
        project = ClusterProject(running, root, cache)
        yield project
        project.end()


@pytest.fixture
def project(
    slurm: Slurm, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, interruptible: None
) -> Iterator[ClusterProject]:
    slurm.wait_for_nodes()
    root = tmp_path_factory.mktemp("project")
    project = ClusterProject(slurm, root, Path(request.config.cache.mkdir("slurm_environments")))
    yield project
    project.end()
