"""Promise: the stand-in behaves as Kubernetes says its API and pods do, to the official client and to others."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from fakes import until
from kube_api import TOKEN, Cluster, Fault
from kube_store import ApiError
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

pytestmark = pytest.mark.integration


@pytest.fixture
def api(kube: Cluster) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(kube.kubeconfig())))


def pod(name: str, script: str, *, image: str = "any", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": image, "command": ["/bin/bash", "-c", script]}
    metadata = {"name": name, "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"restartPolicy": "Never", "containers": [container], **spec},
    }


def start(api: client.CoreV1Api, body: dict[str, Any]) -> None:
    api.create_namespaced_pod("default", body)


def found(api: client.CoreV1Api, name: str) -> dict[str, Any]:
    answer = api.read_namespaced_pod(name, "default", _preload_content=False)
    return dict(json.loads(answer.data))


def phase(api: client.CoreV1Api, name: str) -> str:
    return str(found(api, name)["status"]["phase"])


def reason(api: client.CoreV1Api, name: str) -> str:
    """Return why a pod's container waits or has ended."""
    (state,) = found(api, name)["status"].get("containerStatuses", [{"state": {"": {}}}])[0]["state"].values()
    return str(state.get("reason", ""))


def names(api: client.CoreV1Api, **selectors: str) -> list[str]:
    return sorted(each.metadata.name for each in api.list_namespaced_pod("default", **selectors).items)


def test_a_pod_goes_through_its_phases_which_a_watch_tells(api: client.CoreV1Api) -> None:
    before = api.list_namespaced_pod("default").metadata.resource_version
    start(api, pod("a", "echo hello; exit 0"))
    phases: list[str] = []
    chosen = {"label_selector": "app=a", "resource_version": before, "timeout_seconds": 30}
    for event in watch.Watch().stream(api.list_namespaced_pod, "default", **chosen):
        now = event["object"].status.phase
        phases += [now] if phases[-1:] != [now] else []
        if now in {"Succeeded", "Failed"}:
            break
    assert phases == ["Pending", "Running", "Succeeded"], api.read_namespaced_pod_log("a", "default")
    assert api.read_namespaced_pod_log("a", "default") == "hello\n"


def test_a_pod_that_fails_is_restarted_unless_its_policy_says_otherwise(api: client.CoreV1Api) -> None:
    start(api, pod("never", "exit 3"))
    start(api, pod("always", "exit 3", restartPolicy="Always"))
    until(lambda: phase(api, "never") == "Failed")
    assert found(api, "never")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    until(lambda: found(api, "always")["status"]["containerStatuses"][0]["restartCount"] > 1)


def test_a_pod_that_is_deleted_is_asked_to_end_and_has_its_grace(kube: Cluster, api: client.CoreV1Api) -> None:
    polite = "trap 'exit 0' TERM; echo ready; while true; do sleep 0.1; done"
    start(api, pod("polite", polite, terminationGracePeriodSeconds=600))
    start(api, pod("deaf", "trap '' TERM; while true; do sleep 0.1; done", terminationGracePeriodSeconds=1))
    until(lambda: phase(api, "deaf") == "Running" and kube.nodes.printed("polite") == "ready\n")
    for name in ("polite", "deaf"):
        api.delete_namespaced_pod(name, "default")
    assert found(api, "deaf")["metadata"]["deletionGracePeriodSeconds"] == 1
    until(lambda: names(api) == [])


def test_the_first_process_does_not_hear_a_signal_unless_the_pod_shares_its_processes(api: client.CoreV1Api) -> None:
    for name, shared in (("alone", False), ("shared", True)):
        start(api, pod(name, "exec sleep 600", shareProcessNamespace=shared, terminationGracePeriodSeconds=600))
    until(lambda: phase(api, "alone") == phase(api, "shared") == "Running")
    for name in ("alone", "shared"):
        api.delete_namespaced_pod(name, "default")
    until(lambda: names(api) == ["alone"])
    api.delete_namespaced_pod("alone", "default", grace_period_seconds=0)
    until(lambda: names(api) == [])


def test_selectors_choose_by_label_and_by_field(api: client.CoreV1Api) -> None:
    for name in ("a", "b", "c"):
        start(api, pod(name, "sleep 600"))
    assert names(api, label_selector="app!=b") == ["a", "c"]
    assert names(api, label_selector="app,app=a") == ["a"]
    assert names(api, field_selector="metadata.name=c") == ["c"]


def test_a_deadline_an_eviction_and_a_lack_of_memory_have_their_reasons(kube: Cluster, api: client.CoreV1Api) -> None:
    start(api, pod("late", "sleep 600", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1))
    start(api, pod("evicted", "sleep 600"))
    start(api, pod("large", "sleep 600"))
    until(lambda: phase(api, "evicted") == phase(api, "large") == "Running")
    kube.nodes.evict("evicted", "The node was low on resource: memory.")
    kube.nodes.oom("large")
    until(lambda: {phase(api, name) for name in ("late", "evicted", "large")} == {"Failed"})
    assert found(api, "late")["status"]["reason"] == "DeadlineExceeded"
    assert found(api, "evicted")["status"]["reason"] == "Evicted"
    assert reason(api, "large") == "OOMKilled"


def test_an_eviction_by_the_api_deletes_with_a_condition(api: client.CoreV1Api) -> None:
    start(api, pod("a", "trap '' TERM; while true; do sleep 0.1; done", terminationGracePeriodSeconds=2))
    until(lambda: phase(api, "a") == "Running")
    body = client.V1Eviction(metadata=client.V1ObjectMeta(name="a"))
    api.create_namespaced_pod_eviction("a", "default", body)
    assert found(api, "a")["status"]["conditions"][-1]["reason"] == "EvictionByEvictionAPI"
    until(lambda: names(api) == [])


def test_what_keeps_a_pod_from_starting_is_told(api: client.CoreV1Api) -> None:
    start(api, pod("image", "true", image="registry/missing:1"))
    huge = pod("huge", "true")
    huge["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "900"}}
    start(api, huge)
    unset = pod("unset", "true")
    wanted = {"secretKeyRef": {"name": "nosuch", "key": "k"}}
    unset["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": wanted}]
    start(api, unset)
    until(lambda: reason(api, "image") == "ErrImagePull")
    until(lambda: reason(api, "image") == "ImagePullBackOff")
    until(lambda: reason(api, "unset") == "CreateContainerConfigError")
    assert until(lambda: found(api, "huge")["status"].get("conditions"))[0]["reason"] == "Unschedulable"


def test_a_container_sees_its_volumes_and_not_what_else_this_machine_has(
    kube: Cluster, api: client.CoreV1Api, claims: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "secret of the host").touch()
    (claims["project"] / "shared").touch()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"key": "aGVsbG8="}}
    left = tmp_path.parents[-2] / f"left-{os.getpid()}"  # in the machine's own folder for temporary files
    body = pod("b", f"cat /run/s/key; ls {tmp_path} {claims['project']}; touch {left}; stat -c %a /run/s")
    container = body["spec"]["containers"][0]
    container["volumeMounts"] = [
        {"name": "s", "mountPath": "/run/s"},
        {"name": "p", "mountPath": str(claims["project"])},
    ]
    claim = {"claimName": "project"}
    body["spec"]["volumes"] = [
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "p", "persistentVolumeClaim": claim},
    ]
    start(api, body)
    until(lambda: reason(api, "b") == "ContainerCreating")
    mine = {"field_selector": "involvedObject.name=b,type=Warning"}
    (event,) = until(lambda: api.list_namespaced_event("default", **mine).items)
    assert (event.reason, event.message.endswith('secret "s" not found')) == ("FailedMount", True)
    api.create_namespaced_secret("default", secret)
    until(lambda: phase(api, "b") == "Succeeded")
    printed = kube.nodes.printed("b")
    assert printed.startswith("hello")
    assert printed.rstrip().endswith("1777")
    assert "shared" in printed
    assert "secret of the host" not in printed
    assert not left.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": {"containers": [{"name": "main", "image": "i", "comand": []}]}}, "comand"),
        ({"metadata": {"name": "Not_A_Name"}}, "Not_A_Name"),
        ({"metadata": {"name": "a", "labels": {"a": "x" * 64}}}, "xxx"),
    ],
)
def test_a_body_that_does_not_fit_the_schema_is_refused(
    change: dict[str, Any], said: str, api: client.CoreV1Api, kube: Cluster
) -> None:
    body = {**pod("a", "true"), **change}
    with pytest.raises(ApiError, match=said) as refused:  # the official client may find out by itself
        kube.create("pods", "default", body)
    assert refused.value.code == 422
    with pytest.raises((ApiException, ValueError), match=said):
        api.create_namespaced_pod("default", body)


def test_faults_come_as_they_are_asked_for(kube: Cluster, api: client.CoreV1Api) -> None:
    kube.faults.append(Fault("GET", "/pods", status=500, times=1))
    with pytest.raises(ApiException) as raised:
        names(api)
    assert raised.value.status == 500
    assert names(api) == []
    kube.faults.append(Fault("GET", "/watch", seconds=0.5))
    start(api, pod("a", "true"))
    began = time.monotonic()
    next(iter(watch.Watch().stream(api.list_namespaced_pod, "default", timeout_seconds=30)))
    assert time.monotonic() - began >= 0.5


def test_who_watches_from_too_long_ago_is_told_to_list_again(kube: Cluster, api: client.CoreV1Api) -> None:
    start(api, pod("a", "true"))
    kube.store.oldest = int(kube.store.version)
    with pytest.raises(ApiException) as raised:
        list(watch.Watch().stream(api.list_namespaced_pod, "default", resource_version="1", timeout_seconds=5))
    assert raised.value.status == 410


def test_a_plain_client_without_the_token_is_refused_and_with_it_is_answered(kube: Cluster) -> None:
    for token, status in (("", 401), (TOKEN, 200)):
        trusted = ssl.create_default_context(cafile=str(kube.folder / "server.pem"))
        connection = HTTPSConnection("127.0.0.1", kube.server.server_port, timeout=10, context=trusted)
        connection.request("GET", "/api/v1/pods", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert (answer.status, told["kind"]) == (status, "Status" if status == 401 else "PodList")
        connection.close()


def test_kubectl_makes_lists_logs_waits_for_and_deletes_pods(kube: Cluster, tmp_path: Path) -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("needs kubectl")
    environ = {"KUBECONFIG": str(kube.kubeconfig()), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def kubectl(*arguments: str) -> str:
        command = [program, *arguments]
        done = subprocess.run(command, env=environ, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    path = tmp_path / "pod.json"
    path.write_text(json.dumps(pod("a", "echo hello")))
    kubectl("create", "--validate=false", "-f", str(path))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/a", "--timeout=30s")
    assert kubectl("logs", "a") == "hello\n"
    assert kubectl("get", "pods", "-l", "app=a", "-o", "name") == "pod/a\n"
    path.write_text(json.dumps(pod("b", "sleep 600", terminationGracePeriodSeconds=1)))
    kubectl("create", "--validate=false", "-f", str(path))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/b", "--timeout=30s")
    kubectl("delete", "pods", "-l", "app")
    assert kubectl("get", "pods", "-o", "name") == ""
