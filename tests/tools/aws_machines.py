"""Amazon's cloud on this machine: moto answers its calls; an instance is a process that runs its start-up script."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

REGION = "us-east-2"
STUBS = ("apt-get", "pip3", "halt")
"""Programs that a start-up script calls and that must not do here what they do; each notes that it was called."""

VARIABLES = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}


class Machines:
    """Runs the instances that moto says are there."""

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        self._stopped = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.variables = {**VARIABLES, "AWS_ENDPOINT_URL": url}
        named = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.client = boto3.client("ec2", region_name=REGION, endpoint_url=url, **named)
        stubs = folder / "stubs"
        stubs.mkdir()
        for name in STUBS:
            (stubs / name).write_text(f'#!/bin/sh\necho "$@" >> "$HOME/{name}"\n')
            (stubs / name).chmod(0o755)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to look for instances."""
        self._thread.start()

    def stop(self) -> None:
        """End all."""
        self._stopped.set()
        self._thread.join()
        for process in self._processes.values():
            process.kill()
            process.wait()

    def instances(self) -> list[dict[str, Any]]:
        """Return what moto knows of all instances."""
        return [each for kept in self.client.describe_instances()["Reservations"] for each in kept["Instances"]]

    def states(self) -> set[str]:
        """Return the states of all instances."""
        return {each["State"]["Name"] for each in self.instances()}

    def home(self, instance: str) -> Path:
        """Return an instance's home folder, where its log is."""
        return self._folder / instance

    def _work(self) -> None:
        while not self._stopped.wait(0.3):
            for each in self.instances():
                self._follow(each["InstanceId"], each["State"]["Name"])

    def _follow(self, instance: str, state: str) -> None:
        process = self._processes.get(instance)
        if process is None and state == "running":
            self._processes[instance] = self._boot(instance)
        elif process is not None and state != "running":
            process.kill()
        elif process is not None and process.poll() is not None and (self.home(instance) / "halt").exists():
            self.client.terminate_instances(InstanceIds=[instance])  # as its shutdown behaviour says

    def _boot(self, instance: str) -> subprocess.Popen[bytes]:
        told = self.client.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        home = self.home(instance)
        home.mkdir()
        (home / "script").write_bytes(base64.b64decode(told["UserData"]["Value"]))
        environ = {"HOME": str(home), "PATH": f"{self._folder / 'stubs'}:/usr/bin:/bin"}
        apart = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        with (home / "log").open("wb") as log:
            return subprocess.Popen(
                [*apart, "bash", str(home / "script")], env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """Run a cloud, and end it with all its instances."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    asked = HTTPConnection(host, port, timeout=30)
    asked.request("POST", "/moto-api/reset")  # a process has one cloud, for all its tests
    assert asked.getresponse().status == HTTPStatus.OK
    asked.close()
    running = Machines(f"http://{host}:{port}", folder)
    running.start()
    try:
        yield running
    finally:
        running.stop()
        server.stop()
