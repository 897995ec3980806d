"""Promise: the state of pods is what their cluster says, and of what a run made there nothing is left."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException
from parsl.jobs.states import JobState, JobStatus
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from envsolver.core.profiles import Profile, ProfileSettings
from envsolver.run.parsl.blocks import SilentError
from envsolver.run.parsl.kubernetes import KubernetesBlocks
from envsolver.run.parsl.kubernetes_api import KubernetesError, configuration_fault
from envsolver.run.scheduler.protocols import PoolRequest

CONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


class FakeClient:
    """The official client's calls, on pods and Secrets in memory."""

    def __init__(self) -> None:
        self.pods: dict[str, Any] = {}
        self.secrets: dict[str, Any] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.broken = 0
        self.refused: Exception | None = None
        self.asked: list[dict[str, Any]] = []

    def _answer(self, answer: object, **asked: Any) -> SimpleNamespace:
        assert asked["_request_timeout"]  # no question without an end
        self.asked.append(asked)
        if self.broken > 0:
            self.broken -= 1
            raise refusal(500, "etcd is gone")
        return SimpleNamespace(data=json.dumps(answer))

    def create_namespaced_pod(self, **asked: Any) -> SimpleNamespace:
        answer = self._answer({}, **asked)
        self.pods[asked["body"]["metadata"]["name"]] = asked["body"] | {"status": {"phase": "Pending"}}
        if self.refused is not None:
            raise self.refused
        return answer

    def create_namespaced_secret(self, **asked: Any) -> SimpleNamespace:
        self.secrets[asked["body"]["metadata"]["name"]] = asked["body"]
        return self._answer({}, **asked)

    def list_namespaced_pod(self, **asked: Any) -> SimpleNamespace:
        return self._answer({"items": list(self.pods.values())}, **asked)

    def list_namespaced_secret(self, **asked: Any) -> SimpleNamespace:
        return self._answer({"items": list(self.secrets.values())}, **asked)

    def list_namespaced_event(self, **asked: Any) -> SimpleNamespace:
        chosen = asked["field_selector"].removeprefix("involvedObject.name=")
        return self._answer({"items": self.events.get(chosen, [])}, **asked)

    def delete_namespaced_pod(self, name: str, **asked: Any) -> SimpleNamespace:
        answer = self._answer({}, **asked)
        if name not in self.pods:
            raise refusal(404, "not found")
        del self.pods[name]
        return answer

    def delete_namespaced_secret(self, name: str, **asked: Any) -> SimpleNamespace:
        del self.secrets[name]
        return self._answer({}, **asked)


def refusal(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="Refused")
    error.body = json.dumps({"message": message})
    return error


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def blocks(tmp_path: Path, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> KubernetesBlocks:
    path = tmp_path / "config"
    path.write_text(CONFIG)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.setattr("envsolver.run.parsl.kubernetes.time.sleep", lambda _: None)
    settings = ProfileSettings(provider="kubernetes", workers_per_node=2)
    profile = Profile(name="p", settings=settings, options={"image": "i", "walltime": "01:00:00"})
    made = KubernetesBlocks(profile, PoolRequest(prefix=tmp_path, workers=2, cores=2), "run")
    made.kube_client = client
    return made


def told(blocks: Any, name: str) -> JobStatus:
    (status,) = blocks.status([name])
    assert isinstance(status, JobStatus)
    return status


def test_a_pod_waits_until_its_cluster_says_that_it_runs(blocks: KubernetesBlocks, client: FakeClient) -> None:
    name = blocks.submit("pool", 1)
    assert told(blocks, name).state is JobState.PENDING
    client.pods[name]["status"]["phase"] = "Running"
    assert told(blocks, name).state is JobState.RUNNING
    body = client.pods[name]
    assert body["spec"]["activeDeadlineSeconds"] == 3600
    assert body["metadata"]["labels"]["envsolver-run"] == "run"
    assert body["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "4"}}


def test_a_pod_that_is_gone_was_deleted(blocks: KubernetesBlocks, client: FakeClient) -> None:
    name = blocks.submit("pool", 1)
    del client.pods[name]
    status = told(blocks, name)
    assert status.state is JobState.CANCELLED
    assert str(status.message).endswith("it was deleted")


def test_a_pod_that_cannot_start_has_failed_and_is_deleted(blocks: KubernetesBlocks, client: FakeClient) -> None:
    name = blocks.submit("pool", 1)
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": "not there"}}
    client.pods[name]["status"]["containerStatuses"] = [{"state": waiting}]
    status = told(blocks, name)
    assert (status.state, client.pods) == (JobState.FAILED, {})
    assert "ErrImageNeverPull: not there" in str(status.message)


def test_what_keeps_a_pod_that_has_a_node_is_told_to_one_who_may_list_events(
    blocks: KubernetesBlocks, client: FakeClient
) -> None:
    name = blocks.submit("pool", 1)
    failed = {"type": "Warning", "reason": "FailedMount", "message": "no route", "metadata": {}}
    client.events[name] = [failed]
    assert "FailedMount" not in str(told(blocks, name).message)
    assert not blocks.resources[name]["placed"]
    client.pods[name]["spec"]["nodeName"] = "n1"
    assert str(told(blocks, name).message).endswith("Pending (FailedMount: no route) on n1")
    assert blocks.resources[name]["placed"]
    asked = []

    def refuse(**_: object) -> None:
        asked.append(1)
        raise refusal(403, "events is forbidden")

    client.list_namespaced_event = refuse  # type: ignore[method-assign,assignment]
    for _ in range(2):
        assert str(told(blocks, name).message).endswith("Pending on n1")
    assert len(asked) == 1


def test_certificates_travel_as_one_secret_and_are_copied_to_a_private_folder(
    blocks: KubernetesBlocks, client: FakeClient, tmp_path: Path
) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "client.key").write_bytes(b"key")
    names = [blocks.submit(f"pool --cert_dir {folder} --logdir /l", 1) for _ in range(2)]
    ((secret, body),) = client.secrets.items()
    assert body["data"] == {"client.key": "a2V5"}
    for name in names:
        spec = client.pods[name]["spec"]
        assert spec["volumes"] == [{"name": "envsolver-certificates", "secret": {"secretName": secret}}]
        assert str(folder) not in spec["containers"][0]["command"][-1]


def test_what_a_cluster_refuses_is_told_in_its_words(blocks: KubernetesBlocks, client: FakeClient) -> None:
    client.refused = refusal(403, "exceeded quota")
    with pytest.raises(KubernetesError, match=r"^Kubernetes: exceeded quota \(403\)$"):
        blocks.submit("pool", 1)


BUSY = refusal(500, "etcd is gone"), refusal(429, "slow down"), NewConnectionError(HTTPConnection("127.0.0.1"), "gone")


@pytest.mark.parametrize("error", BUSY)
def test_a_cluster_that_fails_for_a_while_gets_each_pod_once(
    error: Exception, blocks: KubernetesBlocks, client: FakeClient
) -> None:
    client.refused = error
    with pytest.raises(SilentError):
        blocks.submit("pool", 1)
    (lost,) = client.pods  # it was made all the same
    with pytest.raises(SilentError):
        blocks.submit("pool", 1)
    client.refused = None
    name = blocks.submit("pool", 1)
    assert list(client.pods) == [name]
    assert lost != name


def test_a_pod_that_is_given_back_is_gone_or_still_counts(blocks: KubernetesBlocks, client: FakeClient) -> None:
    first, second = blocks.submit("pool", 1), blocks.submit("pool", 1)
    del client.pods[first]
    assert blocks.cancel([first]) == [True]
    client.broken = 1
    assert blocks.cancel([second]) == [False]
    assert told(blocks, second).state is JobState.PENDING


def test_at_the_end_all_that_carries_the_label_is_deleted_however_it_came_there(
    blocks: KubernetesBlocks, client: FakeClient
) -> None:
    client.pods["unknown"] = {"metadata": {"name": "unknown"}}
    client.secrets["s"] = {"metadata": {"name": "s"}}
    client.broken = 2
    blocks.clean_up()
    assert (client.pods, client.secrets) == ({}, {})
    chosen = {each["label_selector"] for each in client.asked if "label_selector" in each}
    assert [each.partition("=")[0] for each in chosen] == ["envsolver-pool"]  # and not what other environments have


def test_what_was_made_is_deleted_where_it_may_not_be_listed(
    blocks: KubernetesBlocks, client: FakeClient, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/client.key").write_text("secret")
    blocks.submit(f"pool --cert_dir {tmp_path / 'keys'} -x", 1)
    assert (len(client.pods), len(client.secrets)) == (1, 1)

    def refuse(**_: object) -> None:
        raise refusal(403, "pods is forbidden: cannot list")

    client.list_namespaced_pod = client.list_namespaced_secret = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(KubernetesError, match="cannot list"):
        blocks.clean_up()
    assert (client.pods, client.secrets) == ({}, {})


def test_what_one_may_not_delete_is_named_with_the_command_at_once(
    blocks: KubernetesBlocks, client: FakeClient, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    name = blocks.submit(f"pool --cert_dir {tmp_path / 'keys'} -x", 1)
    (secret,) = client.secrets

    def refuse(**_: object) -> None:
        raise refusal(403, "pods is forbidden")

    client.delete_namespaced_pod = refuse  # type: ignore[method-assign,assignment]
    asked = len(client.asked)
    with pytest.raises(KubernetesError) as raised:
        blocks.clean_up()
    command = f"kubectl delete --namespace=default pods/{name} secrets/{secret}"
    assert str(raised.value) == f"Kubernetes: pods is forbidden (403); `{command}` deletes what is left, by one who may"
    assert len(client.asked) == asked + 1  # for what there is: what is refused once is refused again


def test_a_cluster_that_deletes_nothing_is_told_of_at_last(blocks: KubernetesBlocks, client: FakeClient) -> None:
    client.broken = 1000
    with pytest.raises(KubernetesError, match="etcd is gone"):
        blocks.clean_up()


def test_without_a_configuration_there_is_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "nosuch"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert configuration_fault().startswith("finds no cluster")
