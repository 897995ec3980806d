"""The nodes of the stand-in for Kubernetes: its pods are processes of this machine, in namespaces of their own.

Phases, reasons, restarts, deadlines and grace follow Kubernetes' documentation (Pod Lifecycle; Node-pressure Eviction).
Only a pod's first container is run.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from kube_store import ApiError, Object, Store, now

NODES = ("n1", "n2", "n3")
CORES = 8
KILLED = 137
MESSAGE_BYTES = 2048
PULL_SECONDS = 0.5
"""How long a pull takes that fails."""
BACK_OFF_SECONDS = 10.0
LONGEST_BACK_OFF_SECONDS = 300.0
"""How long a node waits before it pulls again, twice as long each time (Kubernetes' documentation, Images)."""

UNITS = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(text: str) -> float:
    """Return a quantity as a number."""
    number, unit = re.fullmatch(r"([\d.]+)(\D*)", text).groups()  # type: ignore[union-attr]  # the schema says so
    return float(number) * UNITS.get(unit, 1)


def _again(event: Object) -> None:
    event |= {"lastTimestamp": now(), "count": event["count"] + 1}


class Stopped(Exception):  # noqa: N818  no error
    """The pod is to end: it is deleted, evicted, or out of time."""

    def __init__(self, reason: str, message: str = "", grace: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message
        self.grace = grace


@dataclass
class PodRun:
    """One pod on its node."""

    namespace: str
    name: str
    spec: Object
    folder: Path
    asked: Stopped | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)
    process: subprocess.Popen[bytes] | None = None
    deleted: bool = False
    done: bool = False

    @property
    def log(self) -> Path:
        """The file of what its container prints."""
        return self.folder / "log"

    def stop(self, why: Stopped) -> bool:
        """Have it end, a second time only sooner; false when it has ended."""
        with self.changed:
            self.deleted |= why.reason == "Deleted"
            if self.asked is None or why.grace < self.asked.grace:
                self.asked = why
            self.changed.notify_all()
            return not self.done

    def wait(self, seconds: float) -> None:
        """Wait, unless it is to end.

        Raises
        ------
        Stopped
            It is to end.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.asked is not None, seconds)
            if self.asked is not None:
                raise self.asked


class Nodes:
    """All nodes of a cluster.

    Parameters
    ----------
    folder
        For the files of pods.
    image
        Folders of this machine that each image holds, where they are not seen anyway.
    claims
        The folder behind each persistent volume claim.
    """

    def __init__(self, store: Store, folder: Path, image: tuple[Path, ...], claims: Mapping[str, Path]) -> None:
        self._store = store
        self._folder = folder
        self._image = image
        self._claims = claims
        self.runs: dict[str, PodRun] = {}
        self.failing_pulls: dict[str, int] = {}
        """By image, how many pulls of it are still to fail."""
        self._threads: list[threading.Thread] = []

    def start(self, pod: Object) -> None:
        """Run a pod that is there now."""
        metadata = pod["metadata"]
        run = PodRun(metadata["namespace"], metadata["name"], pod["spec"], self._folder / metadata["uid"])
        run.folder.mkdir()
        self.runs[run.name] = run
        thread = threading.Thread(target=self._run, args=(run, NODES[len(self._threads) % len(NODES)]), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End all pods."""
        for run in self.runs.values():
            run.stop(Stopped("Deleted"))
        for thread in self._threads:
            thread.join(30)

    def oom(self, name: str) -> None:
        """Kill a pod's container as the kernel does that is out of the container's memory."""
        self.runs[name].stop(Stopped("OOMKilled"))

    def evict(self, name: str, message: str) -> None:
        """Evict a pod from a node that is short of something."""
        self.runs[name].stop(Stopped("Evicted", message))

    def _run(self, run: PodRun, node: str) -> None:
        try:
            self._schedule(run, node)
            self._prepare(run)
            self._containers(run)
        except Stopped as why:
            code = self._end(run, why.grace)
            self._ended(run, why, code)
        with run.changed:
            run.done = True
        if run.deleted:
            self._store.remove("pods", run.namespace, run.name)

    def _schedule(self, run: PodRun, node: str) -> None:
        wanted = run.spec["containers"][0].get("resources", {}).get("requests", {})
        cores = quantity(wanted.get("cpu", "0"))
        claims = [
            each["persistentVolumeClaim"] for each in run.spec.get("volumes", ()) if "persistentVolumeClaim" in each
        ]
        named = [each["claimName"] for each in claims]
        missing = [f'persistentvolumeclaim "{name}" not found' for name in named if name not in self._claims]
        full = f"0/{len(NODES)} nodes are available: {len(NODES)} Insufficient cpu." if cores > CORES else ""
        if message := next(iter(missing), full):
            self._condition(run, "PodScheduled", "False", "Unschedulable", message)
            self._event(run, "Warning", "FailedScheduling", message)
            run.wait(threading.TIMEOUT_MAX)

        def bind(pod: Object) -> None:
            pod["spec"]["nodeName"] = node
            pod["status"] |= {"startTime": now(), "hostIP": "127.0.0.1", "podIP": "127.0.0.1"}

        self._store.update("pods", run.namespace, run.name, bind)
        self._event(run, "Normal", "Scheduled", f"Successfully assigned {run.namespace}/{run.name} to {node}")
        self._condition(run, "PodScheduled", "True")
        self._container(run, "Pending", {"waiting": {"reason": "ContainerCreating"}})

    def _prepare(self, run: PodRun) -> None:
        """Do what comes before a container's start, or tell for what it waits."""
        container = run.spec["containers"][0]
        for volume in run.spec.get("volumes", ()):
            while "secret" in volume and self._secret(run, name := volume["secret"]["secretName"]) is None:
                why = f'MountVolume.SetUp failed for volume "{volume["name"]}" : secret "{name}" not found'
                self._event(run, "Warning", "FailedMount", why)
                run.wait(0.5)
            while volume.get("nfs", {}).get("server") == "nosuch":
                why = f'MountVolume.SetUp failed for volume "{volume["name"]}" : mount failed: exit status 32'
                self._event(run, "Warning", "FailedMount", why)
                run.wait(0.5)
        self._pull(run, container["image"])
        for variable in container.get("env", ()):
            wanted = variable.get("valueFrom", {}).get("secretKeyRef")
            if wanted is not None and self._secret(run, wanted["name"]) is None:
                waiting = {"reason": "CreateContainerConfigError", "message": f'secret "{wanted["name"]}" not found'}
                self._container(run, "Pending", {"waiting": waiting})
                run.wait(threading.TIMEOUT_MAX)

    def _pull(self, run: PodRun, image: str) -> None:
        """Pull an image, again and again while that fails."""
        wait = BACK_OFF_SECONDS
        self._event(run, "Normal", "Pulling", f'Pulling image "{image}"')
        while "missing" in image or self.failing_pulls.get(image, 0) > 0:
            self.failing_pulls[image] = self.failing_pulls.get(image, 0) - 1
            run.wait(PULL_SECONDS)
            refused = f'failed to pull and unpack image "{image}": not found'
            self._container(run, "Pending", {"waiting": {"reason": "ErrImagePull", "message": refused}})
            self._event(run, "Warning", "Failed", f'Failed to pull image "{image}": {refused}')
            self._event(run, "Warning", "Failed", "Error: ErrImagePull")
            run.wait(PULL_SECONDS)
            backing = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
            self._container(run, "Pending", {"waiting": backing})
            self._event(run, "Normal", "BackOff", backing["message"])
            self._event(run, "Warning", "Failed", "Error: ImagePullBackOff")
            run.wait(wait)
            wait = min(2 * wait, LONGEST_BACK_OFF_SECONDS)
            self._event(run, "Normal", "Pulling", f'Pulling image "{image}"')

    def _containers(self, run: PodRun) -> None:
        """Run the container, again as its policy says."""
        began = time.monotonic()
        policy, restarts = run.spec["restartPolicy"], 0
        while True:
            self._launch(run)
            assert run.process is not None
            self._container(run, "Running", {"running": {"startedAt": now()}}, restarts)
            while (code := run.process.poll()) is None:
                left = run.spec.get("activeDeadlineSeconds", threading.TIMEOUT_MAX) - (time.monotonic() - began)
                if left <= 0:
                    why = "Pod was active on the node longer than the specified deadline"
                    raise Stopped("DeadlineExceeded", why, run.spec["terminationGracePeriodSeconds"])
                run.wait(0.05)
            code = code if code >= 0 else 128 - code
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                self._ended(run, None, code)
                return
            restarts += 1
            backing = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
            self._container(run, "Running", {"waiting": backing}, restarts)
            run.wait(0.2)

    def _launch(self, run: PodRun) -> None:
        container = run.spec["containers"][0]
        volumes = {each["name"]: each for each in run.spec.get("volumes", ())}
        mounts = [(volumes[each["name"]], each["mountPath"]) for each in container.get("volumeMounts", ())]
        context = run.spec.get("securityContext", {}) | container.get("securityContext", {})
        stage, started = run.folder / "stage", run.folder / "started"
        stage.mkdir(exist_ok=True)
        started.write_bytes(b"")
        claims = [
            (str(self._claims[volume["persistentVolumeClaim"]["claimName"]]), path)
            for volume, path in mounts
            if "persistentVolumeClaim" in volume
        ]
        secrets = [
            (path, {name: base64.b64decode(value).hex() for name, value in kept.items()})
            for volume, path in mounts
            if "secret" in volume and (kept := self._secret(run, volume["secret"]["secretName"])) is not None
        ]
        order = {
            "hostname": run.name[:63],
            "stage": str(stage),
            "started": str(started),
            "binds": [*[(str(each), str(each)) for each in self._image], *claims],
            "secrets": secrets,
            "user": context.get("runAsUser"),
            "group": context.get("runAsGroup"),
            "first": not run.spec.get("shareProcessNamespace", False),
            "command": [*container["command"], *container.get("args", ())],
            "env": self._variables(run, container),
        }
        path = run.folder / "order.json"
        path.write_text(json.dumps(order), encoding="utf-8")
        apart = ["unshare", "--mount", "--pid", "--fork", "--uts", "--mount-proc", "--kill-child"]
        program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("kube_container.py")), str(path)]
        with run.log.open("ab") as log:
            run.process = subprocess.Popen([*apart, *program], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not started.stat().st_size and run.process.poll() is None:
            run.wait(0.02)

    def _variables(self, run: PodRun, container: Object) -> dict[str, str]:
        found = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "HOSTNAME": run.name,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        }
        return found | {each["name"]: each.get("value", "") for each in container.get("env", ())}

    def _secret(self, run: PodRun, name: str) -> dict[str, str] | None:
        try:
            return dict(self._store.get("secrets", run.namespace, name).get("data", {}))
        except ApiError:
            return None

    def _end(self, run: PodRun, grace: float) -> int:
        """End a pod's container, with time to do so itself, and return its exit code."""
        process = run.process
        if process is None:
            return KILLED
        with suppress(psutil.Error):
            for first in psutil.Process(process.pid).children() if grace else ():
                first.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() < began + (grace if run.asked is None else run.asked.grace):
            time.sleep(0.05)
        if process.poll() is None:
            process.kill()  # and with it all that it holds
        code = process.wait()
        return code if code >= 0 else 128 - code

    def _ended(self, run: PodRun, why: Stopped | None, code: int) -> None:
        """Note the end of a pod."""
        reason = "Completed" if code == 0 else "Error"
        state: dict[str, Any] = {"reason": reason, "exitCode": code, "finishedAt": now()}
        if why is not None and why.reason == "OOMKilled":
            state |= {"reason": "OOMKilled", "exitCode": KILLED}
        elif code and run.spec["containers"][0].get("terminationMessagePolicy") == "FallbackToLogsOnError":
            state["message"] = self.printed(run.name)[-MESSAGE_BYTES:]
        phase = "Succeeded" if code == 0 and (why is None or why.reason == "Deleted") else "Failed"
        told = why is not None and why.reason not in {"OOMKilled", "Deleted"}
        own = {"reason": why.reason, "message": why.message} if why is not None and told else {}
        self._container(run, phase, {"terminated": state}, own=own)

    def printed(self, name: str) -> str:
        """Return what a pod has printed."""
        log = self.runs[name].log
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def _container(
        self, run: PodRun, phase: str, state: Object, restarts: int = 0, *, own: Mapping[str, str] | None = None
    ) -> None:
        container = run.spec["containers"][0]

        def change(pod: Object) -> None:
            running = "running" in state
            told = {"name": container["name"], "image": container["image"], "imageID": "", "state": state}
            told |= {"ready": running, "started": running, "restartCount": restarts}
            pod["status"] |= {"phase": phase, "containerStatuses": [told], **(own or {})}

        self._store.update("pods", run.namespace, run.name, change)

    def _event(self, run: PodRun, kind: str, reason: str, message: str) -> None:
        """Tell of something; of the same thing again by a later time alone."""
        for each in self._store.find("events", run.namespace, fields=f"involvedObject.name={run.name}"):
            if (each["reason"], each["message"]) == (reason, message):
                self._store.update("events", run.namespace, each["metadata"]["name"], _again)
                return
        about = {"kind": "Pod", "namespace": run.namespace, "name": run.name}
        times = {"firstTimestamp": now(), "lastTimestamp": now(), "count": 1}
        event = {"type": kind, "reason": reason, "message": message, "involvedObject": about, **times}
        metadata = {"name": f"{run.name}.{time.time_ns():x}"}
        self._store.create(
            "events", run.namespace, {"apiVersion": "v1", "kind": "Event", "metadata": metadata, **event}
        )

    def _condition(self, run: PodRun, kind: str, status: str, reason: str = "", message: str = "") -> None:
        def change(pod: Object) -> None:
            others = [each for each in pod["status"].get("conditions", ()) if each["type"] != kind]
            told = {"type": kind, "status": status, "lastTransitionTime": now()}
            told |= {name: value for name, value in (("reason", reason), ("message", message)) if value}
            pod["status"]["conditions"] = [*others, told]

        self._store.update("pods", run.namespace, run.name, change)
