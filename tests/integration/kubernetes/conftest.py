"""A stand-in for a Kubernetes cluster for the tests of this folder."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_api import Cluster, cluster, missing
from kube_project import KubeProject

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def claims(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Path]:
    """Return the folders behind the cluster's volume claims; one keeps environments between tests."""
    found = {name: tmp_path / name for name in ("project", "flags")}
    for folder in found.values():
        folder.mkdir()
    return {**found, "cache": Path(request.config.cache.mkdir("kubernetes_environments"))}


@pytest.fixture
def kube(claims: dict[str, Path]) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="kube-"))
    image = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}  # an image holds envsolver and its Python
    try:
        with cluster(folder, tuple(sorted(image)), claims) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def project(kube: Cluster, claims: dict[str, Path], interruptible: None) -> Iterator[KubeProject]:
    project = KubeProject(kube, claims)
    yield project
    project.end()
