"""Kubernetes' API, behind one door: each call is bounded, its answer plain data or an error with the cluster's words.

What a run asks for is what `RIGHTS` says, and so does the documentation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from parsl.providers import KubernetesProvider

RIGHTS: Mapping[str, tuple[str, ...]] = {
    "pods": ("create", "list", "delete"),
    "secrets": ("create", "list", "delete"),
    "events": ("list",),
}
"""What a run does with which resources of its namespace; without a right to events it only knows less."""

NEEDED = ("pods", "secrets")
"""The resources that there is no run without."""

REQUEST_SECONDS = (5.0, 30.0)
"""How long connecting to the cluster may take, and how long its answer."""

BUSY = frozenset({429, 500, 502, 503, 504})
"""Answers of HTTP after which the same question may be answered later."""


class KubernetesError(Exception):
    """The cluster did not do as it was asked; the message holds its words.

    Attributes
    ----------
    passes
        Whether it may do so later: it did not answer, or is too busy.
    """

    def __init__(self, words: str, *, passes: bool = False) -> None:
        super().__init__(words)
        self.passes = passes


def ask(call: Callable[..., Any], gone: object = None, **arguments: Any) -> Any:
    """Make a call of the client, and return the answer as plain data; `gone` when there is no such thing.

    Raises
    ------
    KubernetesError
        With the cluster's words.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        answer = call(_preload_content=False, _request_timeout=REQUEST_SECONDS, **arguments)
        return json.loads(answer.data)
    except ApiException as error:
        if error.status == 404 and gone is not None:  # noqa: PLR2004  HTTP's own
            return gone
        words = f"Kubernetes: {_said(error.body) or error.reason} ({error.status})"
        raise KubernetesError(words, passes=error.status in BUSY) from error
    except HTTPError as error:
        raise KubernetesError(f"Kubernetes did not answer: {error}", passes=True) from error
    except ValueError as error:  # a body that is none; some versions of the client find that out
        raise KubernetesError(f"Kubernetes: {error}") from error


def rights_fault(namespace: str) -> str:
    """Return what a run may not do in a namespace although it must, by the cluster's word; empty when it may."""
    try:
        lacking = list(_lacking(namespace))
    except KubernetesError as error:
        return str(error)
    return f"may not {', '.join(lacking)}: docs/clusters.md shows the Role that is needed" if lacking else ""


def _lacking(namespace: str) -> Iterator[str]:
    from kubernetes.client import AuthorizationV1Api

    api = AuthorizationV1Api(KubernetesProvider(image="none").kube_client.api_client)
    for resource in NEEDED:
        for verb in RIGHTS[resource]:
            attributes = {"namespace": namespace, "resource": resource, "verb": verb}
            kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
            body = {**kind, "spec": {"resourceAttributes": attributes}}
            if not ask(api.create_self_subject_access_review, body=body)["status"]["allowed"]:
                yield f"{verb} {resource}"


def configuration_fault() -> str:
    """Return why there is no cluster to ask; empty when there is a configuration that names one."""
    from kubernetes.config import ConfigException

    try:
        KubernetesProvider(image="none")
    except (ConfigException, OSError, ValueError) as error:
        return f"finds no cluster: {error} KUBECONFIG names the file, ~/.kube/config is the usual one"
    return ""


def _said(body: str | bytes | None) -> str:
    """Return the message of a refusal, which is JSON unless something in between has written it."""
    try:
        return str(json.loads(body or "{}").get("message", ""))
    except (ValueError, AttributeError):
        return ""
