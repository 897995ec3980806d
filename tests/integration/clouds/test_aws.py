"""Promises of runs in Amazon's cloud, kept with moto; an instance's start-up script is a process of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_machines import REGION, Machines, machines
from fakes import until
from kube_api import missing
from nodes_project import NodesProject, waits_at_first

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PROFILE = """\
[profiles.nodes]
provider = "aws"
image-id = "{image}"
key-name = "tests"
instance-type = "t2.micro"
region = "{region}"
workers-per-node = 2
max-blocks = 2
poll = 1
address = "127.0.0.1"
"""

SLOW = 240.0


class AwsProject(NodesProject):
    """A project whose notebooks run on instances."""

    def __init__(self, cloud: Machines, root: Path, cache: Path, image: str) -> None:
        self.cloud = cloud
        environ = {
            **os.environ,
            **cloud.variables,
            "ENVSOLVER_CACHE_DIR": str(cache),
            "XDG_STATE_HOME": str(root.parent),
        }
        super().__init__(root, environ, PROFILE.format(image=image, region=REGION))

    def idle(self) -> bool:
        """Return whether no instance is left."""
        return self.cloud.states() <= {"terminated"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Machines]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path / "machines"
    folder.mkdir()
    with machines(folder) as running:
        yield running


@pytest.fixture
def project(cloud: Machines, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[AwsProject]:
    root = tmp_path / "project"
    root.mkdir()
    cloud.client.create_key_pair(KeyName="tests")
    image = cloud.client.describe_images()["Images"][0]["ImageId"]
    cache = Path(request.config.cache.mkdir("kubernetes_environments"))
    project = AwsProject(cloud, root, cache, image)
    yield project
    project.end()


def test_notebooks_run_on_an_instance_by_its_start_up_script_and_none_is_left(project: AwsProject) -> None:
    project.notebook("good.ipynb", "import os; assert os.environ['VIRTUAL_ENV']")
    project.notebook("bad.ipynb", "1 / 0")
    printed = project.run()
    assert project.verdicts() == {"good.ipynb": "passed", "bad.ipynb": "failed"}, printed
    (instance,) = project.cloud.instances()
    assert (instance["InstanceType"], instance["KeyName"]) == ("t2.micro", "tests")
    asked = {"InstanceId": instance["InstanceId"], "Attribute": "instanceInitiatedShutdownBehavior"}
    told = project.cloud.client.describe_instance_attribute(**asked)
    assert told["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert not list(project.root.glob("*.json"))  # the names of what Parsl made stand in the user's folder
    assert list(project.root.parent.glob("envsolver/aws-nodes.json"))


def test_the_instances_of_a_killed_run_halt_by_themselves(project: AwsProject, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", *waits_at_first(flag))
    started = project.start()
    until(flag.exists, SLOW)
    started.kill()
    started.communicate(timeout=60)
    (instance,) = project.cloud.instances()
    until(lambda: project.cloud.states() == {"terminated"}, SLOW)
    assert (project.cloud.home(instance["InstanceId"]) / "halt").exists()
