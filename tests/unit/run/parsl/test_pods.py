"""Promise: a pod is a block that ends, has what its notebooks need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from envsolver.run.parsl.pods import CONTAINER, PodSpec, Size, merged, read_template

IMAGE = {"image": "registry/notebooks:1"}


def body(options: dict[str, Any] | None = None, template: dict[str, Any] | None = None, **size: int) -> dict[str, Any]:
    spec = PodSpec(
        labels={"envsolver-run": "r"},
        size=Size(**{"cores": 1, **size}),
        options={**IMAGE, **(options or {})},
        seconds=60,
        template=template or {},
    )
    return spec.body("p", "echo", "keys")


def container(made: dict[str, Any]) -> dict[str, Any]:
    (found,) = (each for each in made["spec"]["containers"] if each["name"] == CONTAINER)
    return dict(found)


def test_a_pod_runs_once_ends_by_itself_and_is_found_by_its_run() -> None:
    made = body()
    assert (made["spec"]["restartPolicy"], made["spec"]["activeDeadlineSeconds"]) == ("Never", 60)
    assert made["metadata"] == {"name": "p", "labels": {"envsolver-run": "r"}}
    assert made["spec"]["volumes"] == [{"name": "envsolver-certificates", "secret": {"secretName": "keys"}}]


def test_cores_and_memory_are_those_of_the_notebooks_that_it_runs_at_once() -> None:
    resources = container(body(cores=4, memory=2 * 1024**3))["resources"]
    assert resources == {"requests": {"cpu": "4", "memory": "2432Mi"}, "limits": {"memory": "2432Mi"}}


def test_without_a_groups_memory_a_pod_has_no_limit() -> None:
    assert container(body())["resources"] == {"requests": {"cpu": "1"}}


def test_what_the_profile_says_of_resources_counts() -> None:
    options = {"max_mem": "1Gi", "init_cpu": 0.5, "gpus_per_node": 2, "extra_limits": {"ephemeral-storage": "1Gi"}}
    resources = container(body(options, memory=1024))["resources"]
    assert resources["requests"] == {"cpu": "0.5", "memory": "385Mi"}
    assert resources["limits"] == {"memory": "1Gi", "nvidia.com/gpu": "2", "ephemeral-storage": "1Gi"}


def test_volumes_secrets_and_users_of_the_profile_are_the_pods() -> None:
    options = {
        "persistent_volumes": (("data", "/work"),),
        "secret": "pull",
        "user_id": "1000",
        "group_id": "100",
        "run_as_non_root": True,
        "service_account_name": "runner",
    }
    made = body(options)
    assert {"name": "data", "mountPath": "/work"} in container(made)["volumeMounts"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data"}} in made["spec"]["volumes"]
    assert container(made)["securityContext"] == {"runAsUser": 1000, "runAsGroup": 100, "runAsNonRoot": True}
    assert (made["spec"]["serviceAccountName"], made["spec"]["imagePullSecrets"]) == ("runner", [{"name": "pull"}])


def test_a_template_is_kept_but_for_what_makes_a_pod_a_block() -> None:
    template = {
        "metadata": {"labels": {"team": "a", "envsolver-run": "other"}},
        "spec": {
            "restartPolicy": "Always",
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "batch"}],
            "volumes": [{"name": "shared", "nfs": {"server": "s", "path": "/"}}],
            "containers": [
                {
                    "name": CONTAINER,
                    "image": "other",
                    "env": [{"name": "A", "value": "1"}],
                    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                },
                {"name": "sidecar", "image": "proxy"},
            ],
        },
    }
    made = body(template=template)
    assert made["metadata"]["labels"] == {"team": "a", "envsolver-run": "r"}
    assert (made["spec"]["restartPolicy"], made["spec"]["nodeSelector"]) == ("Never", {"disk": "ssd"})
    assert [each["name"] for each in made["spec"]["volumes"]] == ["shared", "envsolver-certificates"]
    assert [each["name"] for each in made["spec"]["containers"]] == [CONTAINER, "sidecar"]
    own = container(made)
    assert (own["image"], own["env"][0]) == (IMAGE["image"], {"name": "A", "value": "1"})
    assert [each["mountPath"] for each in own["volumeMounts"]] == ["/shared", "/run/secrets/envsolver"]


def test_a_template_itself_stays_as_it_was() -> None:
    template = {"spec": {"containers": [{"name": CONTAINER}]}}
    merged(template, {"spec": {"containers": [{"name": CONTAINER, "image": "i"}]}})
    assert template == {"spec": {"containers": [{"name": CONTAINER}]}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spec: [", "is no YAML"),
        ("- 1", "must hold one Pod"),
        ("kind: Job\nspec: {}", "must hold one Pod"),
        ("spec: 3", "must hold one Pod"),
        (None, "cannot be read"),
    ],
)
def test_a_template_that_is_none_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "pod.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_template(tmp_path / "pod.yaml")
