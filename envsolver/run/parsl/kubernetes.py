"""Kubernetes, with what Parsl's provider for it lacks: pods that end, and whose failures are known by their words.

Parsl's pods are restarted when they fail and last for ever; one whose image cannot be pulled stays pending there, one
that somebody deleted stays running, and 500 MiB is all that it may use. Parsl's class reads the configuration and has
the client; what it asks and what it makes of the answers is here.
"""

from __future__ import annotations

import base64
import contextlib
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parsl.jobs.states import JobState, JobStatus
from parsl.providers import KubernetesProvider

from envsolver.core.profiles import Profile
from envsolver.run.parsl.blocks import SilentError
from envsolver.run.parsl.kubernetes_api import KubernetesError, ask
from envsolver.run.parsl.pod_states import PodStates
from envsolver.run.parsl.pods import CERTIFICATES, GRACE_SECONDS, PodSpec, Size, read_template
from envsolver.run.scheduler.protocols import PoolRequest

RUN_LABEL = "envsolver-run"
POOL_LABEL = "envsolver-pool"

DAY = 86400

CLOSE_TRIES = 5
"""How often, at the end, the cluster is asked to delete what is left."""

_PRIVATE = f"""\
certificates="$(mktemp -d)"
cp {CERTIFICATES}/* "$certificates"
"""
"""A Secret is seen by all users of a pod, and Parsl wants a folder that is private."""

_CERT_DIR = re.compile(r"(?<=--cert_dir )(\S+)")


class KubernetesBlocks(KubernetesProvider):
    """Parsl's provider for Kubernetes, with pods that are blocks: they run once, and end.

    Parameters
    ----------
    profile
        Says what its pods are like.
    request
        What the workers of the environment are to be.
    run_id
        The run's mark.
    """

    def __init__(self, profile: Profile, request: PoolRequest, run_id: str) -> None:
        options: Mapping[str, Any] = profile.options
        workers = profile.workers_per_node
        named = {key: options[key] for key in ("image", "namespace", "parallelism", "worker_init") if key in options}
        super().__init__(**named)
        own = uuid.uuid4().hex
        self._selector = f"{POOL_LABEL}={own}"
        self._spec = PodSpec(
            labels={"app.kubernetes.io/managed-by": "envsolver", RUN_LABEL: run_id, POOL_LABEL: own},
            size=Size(cores=workers * request.cores, memory=request.memory and workers * request.memory),
            options=options,
            seconds=int(profile.walltime or DAY),
            template=read_template(profile.folder / options["pod_template"]) if "pod_template" in options else {},
        )
        self._secret = ""
        self._states = PodStates(self._events)
        self._tells_events = True
        self._uncertain: list[str] = []  # pods of which the cluster has not said whether there are any

    def submit(self, cmd_string: str, tasks_per_node: int, job_name: str = "") -> str:  # noqa: ARG002  Parsl's signature
        """Ask for a pod, and return its name.

        Raises
        ------
        KubernetesError
            The cluster refuses it.
        SilentError
            It did not answer, or is too busy.
        """
        try:
            return self._create(cmd_string)
        except KubernetesError as error:
            if error.passes:
                raise SilentError(str(error)) from error
            raise

    def _create(self, cmd_string: str) -> str:
        while self._uncertain:  # else it would run as a block that nobody has
            self._delete(self.kube_client.delete_namespaced_pod, self._uncertain[-1])
            self._uncertain.pop()
        name = f"envsolver-{uuid.uuid4().hex[:12]}"
        directory = _CERT_DIR.search(cmd_string)
        if directory is not None and directory[1] != "None" and not self._secret:
            self._secret = self._send_certificates(Path(directory[1]))
        command = _PRIVATE + _CERT_DIR.sub('"$certificates"', cmd_string) if self._secret else cmd_string
        script = f"{self.worker_init}\n{command}\n"
        self._uncertain.append(name)
        self._ask(self.kube_client.create_namespaced_pod, body=self._spec.body(name, script, self._secret))
        self._uncertain.remove(name)
        self.resources[name] = {"status": JobStatus(JobState.PENDING, message=f"Kubernetes: pod {name} Pending")}
        return name

    def _send_certificates(self, directory: Path) -> str:
        """Keep the keys of the pods' connection in a Secret, which needs no shared file system."""
        name = f"envsolver-{uuid.uuid4().hex[:12]}"
        data = {file.name: base64.b64encode(file.read_bytes()).decode() for file in directory.iterdir()}
        metadata = {"name": name, "labels": dict(self._spec.labels)}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        self._ask(self.kube_client.create_namespaced_secret, body=body)
        return name

    def _status(self) -> None:
        """Ask for all pods of the environment, and keep what is said of each; the error goes to the caller."""
        active = [str(name) for name, kept in self.resources.items() if not kept["status"].terminal]
        if not active:
            return
        pods = {pod["metadata"]["name"]: pod for pod in self._list(self.kube_client.list_namespaced_pod)}
        for name in active:
            kept = self.resources[name]
            if name not in pods:
                kept["status"] = JobStatus(JobState.CANCELLED, message=f"{kept['status'].message}; it was deleted")
                continue
            state, words, kept["placed"] = self._states.judge(pods[name])
            kept["status"] = JobStatus(state, message=words)
            if state is JobState.FAILED and pods[name]["status"]["phase"] == "Pending":
                self._delete(self.kube_client.delete_namespaced_pod, name)  # else it would wait for ever

    def _events(self, pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return what the cluster has told of a pod; nothing for one who may not ask for that, or has no answer."""
        chosen = f"involvedObject.name={pod['metadata']['name']}"
        try:
            if self._tells_events:
                return list(self._ask(self.kube_client.list_namespaced_event, field_selector=chosen)["items"])
        except KubernetesError as error:
            self._tells_events = error.passes
        return []

    def cancel(self, job_ids: Sequence[object]) -> list[bool]:
        """Delete pods; which of them is true are those that the cluster is deleting now, or that are gone."""
        return [self._cancel(str(name)) for name in job_ids]

    def _cancel(self, name: str) -> bool:
        try:
            self._delete(self.kube_client.delete_namespaced_pod, name)
        except KubernetesError:
            return False  # the end of the run tries again
        if not self.resources[name]["status"].terminal:
            self.resources[name]["status"] = JobStatus(JobState.CANCELLED, message=f"Kubernetes: pod {name} given back")
        return True

    def clean_up(self) -> None:
        """Delete all that carries the label of this environment's pods, also what has ended or is not known here.

        Raises
        ------
        KubernetesError
            The cluster does not do it, however often it is asked.
        """
        # By name first, since one who may delete what he made need not be one who may list.
        known = [str(name) for name, kept in self.resources.items() if not kept["status"].terminal]
        if all(self._cancel(name) for name in known) and self._secret:
            with contextlib.suppress(KubernetesError):
                self._delete(self.kube_client.delete_namespaced_secret, self._secret)
                self._secret = ""
        for attempt in range(CLOSE_TRIES):
            try:
                return self._delete_all()
            except KubernetesError as error:
                if attempt == CLOSE_TRIES - 1 or not error.passes:
                    raise KubernetesError(f"{error}{self._how_to_delete()}") from error
                time.sleep(1)
        return None

    def _how_to_delete(self) -> str:
        """Return how one who may can delete what is known to be left, as the end of a sentence."""
        left = [f"pods/{name}" for name, kept in self.resources.items() if not kept["status"].terminal]
        left += [f"secrets/{self._secret}"] if self._secret else []
        command = f"kubectl delete --namespace={self.namespace} {' '.join(left)}"
        return f"; `{command}` deletes what is left, by one who may" if left else ""

    def _delete_all(self) -> None:
        client = self.kube_client
        for listing, deleting in (
            (client.list_namespaced_pod, client.delete_namespaced_pod),
            (client.list_namespaced_secret, client.delete_namespaced_secret),
        ):
            for each in self._list(listing):
                if "deletionTimestamp" not in each["metadata"]:
                    self._delete(deleting, each["metadata"]["name"])

    def _list(self, call: Callable[..., Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._ask(call, label_selector=self._selector)["items"]
        return items

    def _delete(self, call: Callable[..., Any], name: str) -> None:
        """Delete something unless it is gone."""
        self._ask(call, name=name, grace_period_seconds=GRACE_SECONDS, gone={})

    def _ask(self, call: Callable[..., Any], gone: object = None, **arguments: Any) -> Any:
        """Make a call about the namespace, and return the answer as plain data; `gone` when there is no such thing.

        Raises
        ------
        KubernetesError
            With the cluster's words.
        """
        return ask(call, gone, namespace=self.namespace, **arguments)
