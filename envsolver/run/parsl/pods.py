"""The body of a pod that is a block, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONTAINER = "envsolver"
"""The container of a block, also in a template of pods."""

CERTIFICATES = "/run/secrets/envsolver"
"""Where a pod sees the Secret with the keys of its connection to the controller."""

GRACE_SECONDS = 10
"""How long a pod that is deleted may take to end."""

POOL_BYTES = 384 * 1024**2
"""What a pod needs beside its notebooks: Parsl's pool and the templates of warm kernels."""

MIB = 1024**2
GIB = 1024**3

VOLUME = "envsolver-certificates"

KEYS = {"volumeMounts": "mountPath"}
"""By what the items of a list are the same in a template and in the body; all other lists go by their items' names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What a pod asks for.

    Attributes
    ----------
    cores, memory
        For all notebooks that it runs at once; bytes, None when no group says how much its notebooks may take.
    """

    cores: int
    memory: int | None = None

    def variables(self) -> list[dict[str, str]]:
        """Return how a pool is told what it may use: it would count what its node has."""
        found = {"PARSL_CORES": str(self.cores)}
        if self.memory is not None:
            found["PARSL_MEMORY_GB"] = str((self.memory + POOL_BYTES) / GIB)
        return [{"name": name, "value": value} for name, value in found.items()]

    def resources(self, options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """Return a container's requests and limits; what the profile's options say counts."""
        memory = None if self.memory is None else f"{math.ceil((self.memory + POOL_BYTES) / MIB)}Mi"
        gpus = {"nvidia.com/gpu": str(options["gpus_per_node"])} if options.get("gpus_per_node") else {}
        requests = {"cpu": options.get("init_cpu", self.cores), "memory": options.get("init_mem", memory)}
        limits = {"cpu": options.get("max_cpu"), "memory": options.get("max_mem", memory), **gpus}
        found = {
            "requests": requests | dict(options.get("extra_requests") or {}),
            "limits": limits | dict(options.get("extra_limits") or {}),
        }
        return {
            kind: {name: str(size) for name, size in each.items() if size is not None} for kind, each in found.items()
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class PodSpec:
    """What all pods of an environment have in common.

    Attributes
    ----------
    labels
        By which a run finds its own.
    options
        The profile's keys, by the names of Parsl's provider and ours.
    seconds
        How long a pod lasts.
    template
        What the profile's `pod-template` holds.
    """

    labels: Mapping[str, str]
    size: Size
    options: Mapping[str, Any]
    seconds: int
    template: Mapping[str, Any] = field(default_factory=dict)

    def body(self, name: str, script: str, secret: str = "") -> dict[str, Any]:
        """Return the body of one pod that runs a script, and sees a Secret with certificates."""
        ours: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": dict(self.labels), "annotations": self.options.get("annotations")},
            "spec": {
                "restartPolicy": "Never",
                "activeDeadlineSeconds": self.seconds,
                "terminationGracePeriodSeconds": GRACE_SECONDS,
                # The pool is not the first process then: it would ignore the signal to end, and bury no orphans.
                "shareProcessNamespace": True,
                "containers": [self._container(script, secret)],
                "volumes": self._volumes(secret),
                "serviceAccountName": self.options.get("service_account_name"),
                "imagePullSecrets": [{"name": self.options["secret"]}] if self.options.get("secret") else None,
            },
        }
        return dict(merged(self.template, _filled(ours)))

    def _container(self, script: str, secret: str) -> dict[str, Any]:
        mounts = [{"name": name, "mountPath": path} for name, path in self.options.get("persistent_volumes", ())]
        if secret:
            mounts.append({"name": VOLUME, "mountPath": CERTIFICATES, "readOnly": True})
        return {
            "name": CONTAINER,
            "image": self.options["image"],
            "command": ["/bin/bash", "-c", script],
            "env": self.size.variables(),
            "resources": self.size.resources(self.options),
            "securityContext": self._security(),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": mounts,
        }

    def _volumes(self, secret: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            {"name": name, "persistentVolumeClaim": {"claimName": name}}
            for name, _ in self.options.get("persistent_volumes", ())
        ]
        return [*found, {"name": VOLUME, "secret": {"secretName": secret}}] if secret else found

    def _security(self) -> dict[str, Any]:
        numbers = {"runAsUser": self.options.get("user_id"), "runAsGroup": self.options.get("group_id")}
        context: dict[str, Any] = {key: int(value) for key, value in numbers.items() if value}
        return context | ({"runAsNonRoot": True} if self.options.get("run_as_non_root") else {})


def _filled(value: Any) -> Any:
    """Return data without the keys that have nothing to say."""
    if isinstance(value, dict):
        return {key: kept for key, item in value.items() if (kept := _filled(item)) not in (None, {}, [])}
    return [_filled(item) for item in value] if isinstance(value, list) else value


def merged(template: Any, ours: Any, key: str = "name") -> Any:
    """Return a template with our data in it, which counts where both say something.

    Lists are joined; items with the same name (mounts: the same path) are merged.
    """
    if isinstance(template, Mapping) and isinstance(ours, Mapping):
        both = {name: merged(template[name], ours[name], KEYS.get(name, "name")) for name in template if name in ours}
        return {**template, **ours, **both}
    if not isinstance(template, list) or not isinstance(ours, list) or not _named([*template, *ours], key):
        return ours
    own = {item[key]: item for item in ours}
    first = [merged(item, own.pop(item[key], {})) for item in template]
    return [*first, *own.values()]


def _named(items: list[Any], key: str) -> bool:
    return all(isinstance(item, Mapping) and key in item for item in items)


def read_template(path: Path) -> Mapping[str, Any]:
    """Read a profile's `pod-template`.

    Raises
    ------
    ValueError
        It cannot be read, or is no pod; the message continues the file's name.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or found.get("kind", "Pod") != "Pod" or not isinstance(found.get("spec", {}), dict):
        raise ValueError("must hold one Pod: a mapping with `metadata` and `spec`")
    return found
