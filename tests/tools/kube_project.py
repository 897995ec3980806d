"""A project whose notebooks run on the stand-in for Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path

from kube_api import Cluster
from nodes_project import NodesProject

PROFILE = """\
[profiles.nodes]
provider = "kubernetes"
image = "registry/notebooks:1"
persistent-volumes = [["project", "{project}"], ["cache", "{cache}"], ["flags", "{flags}"]]
workers-per-node = 2
walltime = "00:10:00"
max-blocks = 3
poll = 1
address = "127.0.0.1"
"""


class KubeProject(NodesProject):
    """A project on the stand-in, whose pods see its folder and the cache as volumes."""

    def __init__(self, kube: Cluster, claims: dict[str, Path]) -> None:
        self.kube = kube
        self.flag = claims["flags"] / "flag"
        """A file by which a notebook says that it runs: what it writes in the project, nobody else sees."""
        environ = {**os.environ, "ENVSOLVER_CACHE_DIR": str(claims["cache"]), "KUBECONFIG": str(kube.kubeconfig())}
        super().__init__(claims["project"], environ, PROFILE.format(**claims))

    def idle(self) -> bool:
        """Return whether no pod and no Secret is left."""
        return not self.kube.store.find("pods") and not self.kube.store.find("secrets")
