"""A stand-in for a Kubernetes cluster, on loopback: its API server for pods and Secrets, and nodes behind it.

It answers as the API's documentation says: list, watch and selectors, deletion with grace, evictions, refusals with a
Status. Bodies are checked against the published schemas. It has no scheduler worth the name, no DNS, one user
who may do all that tests do not forbid, no admission, and no registry.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kubernetes_validate
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kube_node import Nodes, Stopped
from kube_store import ApiError, Object, Store, now

VERSION = "1.32"
TOKEN = "token-of-the-tests"  # noqa: S105  of a server that nobody else reaches
KINDS = {"pods": "Pod", "secrets": "Secret", "events": "Event"}
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
NAMESPACE, ITEM = r"(?:/namespaces/(?P<namespace>[^/]+))?", r"(?:/(?P<name>[^/]+)(?:/(?P<sub>\w+))?)?"
Right = tuple[str, str]
"""A verb and a resource."""
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PATH = re.compile(rf"/api/v1{NAMESPACE}/(?P<kind>pods|secrets|events){ITEM}")

RESOURCES = [
    {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "shortNames": ["po"]},
    {"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod"},
    {"name": "pods/eviction", "singularName": "", "namespaced": True, "kind": "Eviction", "group": "policy"},
    {"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret"},
    {"name": "events", "singularName": "event", "namespaced": True, "kind": "Event", "shortNames": ["ev"]},
]
VERBS = ["create", "delete", "deletecollection", "get", "list", "watch"]

DISCOVERY: dict[str, Object] = {
    "/version": {"major": "1", "minor": "32", "gitVersion": f"v{VERSION}.0", "platform": "linux/amd64"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{**each, "verbs": VERBS} for each in RESOURCES],
    },
}


@dataclass
class Fault:
    """What goes wrong with the next requests of a kind: an error, or a delay of each answer and each change told."""

    method: str
    path: str = ""
    status: int = 0
    seconds: float = 0.0
    times: int = 1_000_000

    def meets(self, method: str, path: str) -> bool:
        """Tell whether a request is one of them."""
        return (
            self.times > 0 and re.fullmatch(self.method, method) is not None and re.search(self.path, path) is not None
        )


class Cluster:
    """The stand-in.

    Attributes
    ----------
    faults
        What is to go wrong.
    created
        The bodies of all pods that were asked for.
    asked, forbidden
        What was done with which resources, and what nobody may do.
    """

    def __init__(self, folder: Path, image: tuple[Path, ...] = (), claims: Mapping[str, Path] | None = None) -> None:
        self.folder = folder
        self.store = Store()
        self.nodes = Nodes(self.store, folder, image, claims or {})
        self.faults: list[Fault] = []
        self.created: list[Object] = []
        self.asked: set[Right] = set()
        self.forbidden: set[Right] = set()
        self._authority = folder / "server.pem"
        self._authority.write_bytes(certificate())
        self.server = self._listen(0)

    def _listen(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"cluster": self}))
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._authority)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def stop_serving(self) -> None:
        """Have the API server go; the nodes stay, and what it kept."""
        self.server.shutdown()
        self.server.server_close()

    def serve_again(self) -> None:
        """Have it come back where it was."""
        self.server = self._listen(self.server.server_port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.server.server_port}"

    def kubeconfig(self) -> Path:
        """Write the file by which clients find it."""
        path = self.folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url, "certificate-authority": str(self._authority)}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def pods(self, labels: str = "") -> list[Object]:
        """Return the pods that there are."""
        return self.store.find("pods", labels=labels)

    def phases(self) -> dict[str, str]:
        """Return the phase of each pod, by its name."""
        return {pod["metadata"]["name"]: pod["status"]["phase"] for pod in self.pods()}

    def create(self, kind: str, namespace: str, body: Object) -> Object:
        """Take a new object.

        Raises
        ------
        ApiError
            It is not one.
        """
        if namespace != "default":
            raise ApiError(404, "NotFound", f'namespaces "{namespace}" not found')
        check(kind, body)
        if kind != "pods":
            return self.store.create(kind, namespace, body)
        self.created.append(body)
        spec = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, **body["spec"]}
        pod = self.store.create(kind, namespace, {**body, "spec": spec, "status": {"phase": "Pending"}})
        self.nodes.start(pod)
        return pod

    def delete(self, kind: str, namespace: str, name: str, grace: int | None) -> Object:
        """Delete an object: a pod that runs has its grace."""
        kept = self.store.get(kind, namespace, name)
        if kind != "pods":
            self.store.remove(kind, namespace, name)
            return kept
        seconds = kept["spec"]["terminationGracePeriodSeconds"] if grace is None else grace
        if "nodeName" not in kept["spec"] or kept["status"]["phase"] in {"Succeeded", "Failed"}:
            seconds = 0

        def mark(pod: Object) -> None:
            pod["metadata"] |= {"deletionTimestamp": now(seconds), "deletionGracePeriodSeconds": seconds}

        self.store.update(kind, namespace, name, mark)
        going = self.nodes.runs[name].stop(Stopped("Deleted", grace=seconds))
        if not going or seconds == 0:
            self.store.remove(kind, namespace, name)
        return kept

    def evict(self, namespace: str, name: str) -> None:
        """Have a pod evicted by the API: it is deleted, with a condition that says so."""
        told = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        told |= {"message": "Eviction API: evicting", "lastTransitionTime": now()}

        def mark(pod: Object) -> None:
            pod["status"].setdefault("conditions", []).append(told)

        self.store.update("pods", namespace, name, mark)
        self.delete("pods", namespace, name, None)


def certificate() -> bytes:
    """Return a key and a certificate for loopback, signed with itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    begin = datetime.now(timezone.utc) - timedelta(hours=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), begin, begin + timedelta(days=2)
        )
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    kind = serialization.PrivateFormat.TraditionalOpenSSL
    secret = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    return bytes(secret + made.public_bytes(serialization.Encoding.PEM))


def check(kind: str, body: Object) -> None:
    """Check an object as the API does: by the published schema, and its names and labels.

    Raises
    ------
    ApiError
        With what is wrong.
    """
    try:
        kubernetes_validate.validate(body, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(map(str, error.path))
        raise ApiError(422, "Invalid", f"{KINDS[kind]} is invalid: {where}: {error.message}") from error
    metadata = body["metadata"]
    names = [metadata["name"]]
    names += [each["name"] for key in ("containers", "volumes") for each in body.get("spec", {}).get(key, ())]
    wrong = [name for name in names if not SUBDOMAIN.fullmatch(name) or len(name) > 253]
    wrong += [each for each in metadata.get("labels", {}).values() if not LABEL.fullmatch(each) or len(each) > 63]
    if wrong:
        raise ApiError(422, "Invalid", f"{KINDS[kind]} is invalid: metadata: {', '.join(wrong)}")


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "{}") if length else {}
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query))
        try:
            self._faults(url.path)
            self._route(url.path, body)
        except ApiError as error:
            told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(error)}
            self._answer({**told, "reason": error.reason, "code": error.code}, error.code)
        except OSError:  # who asked has gone
            self.close_connection = True

    def _faults(self, path: str) -> None:
        for fault in self.cluster.faults:
            if fault.meets(self.command, path):
                fault.times -= 1
                time.sleep(fault.seconds)
                if fault.status:
                    raise ApiError(fault.status, "InternalError", "the tests want it so")

    def _route(self, path: str, body: Object) -> None:
        found = PATH.fullmatch(path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise ApiError(401, "Unauthorized", "Unauthorized")
        if self.command == "GET" and path in DISCOVERY:
            self._answer(DISCOVERY[path])
        elif path == REVIEWS and self.command == "POST":
            wanted = body["spec"]["resourceAttributes"]
            allowed = (wanted["verb"], wanted["resource"]) not in self.cluster.forbidden
            self._answer({**body, "status": {"allowed": allowed}}, 201)
        elif found is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        else:
            named = found.groupdict(default="")
            self._authorize(named["kind"], named["name"], named["sub"])
            call = getattr(self, f"_{self.command.lower()}_{named['sub'] or ('one' if named['name'] else 'all')}", None)
            if call is None:
                raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the resource")
            call(named["kind"], named["namespace"], named["name"], body)

    def _authorize(self, kind: str, name: str, sub: str) -> None:
        verbs = {"GET": "get" if name else "list", "POST": "create", "DELETE": "delete" if name else "deletecollection"}
        verb = "watch" if "watch" in self.query else verbs[self.command]
        right = (verb, f"{kind}/{sub}" if sub else kind)
        self.cluster.asked.add(right)
        if right in self.cluster.forbidden:
            named = f' "{name}"' if name else ""
            raise ApiError(403, "Forbidden", f'{kind}{named} is forbidden: User "u" cannot {verb} resource "{kind}"')

    def _get_all(self, kind: str, namespace: str, _: str, __: Object) -> None:
        chosen = self.query.get("labelSelector", ""), self.query.get("fieldSelector", "")
        if self.query.get("watch") in {"1", "true"}:
            self._stream(kind, namespace, *chosen)
            return
        items = self.cluster.store.find(kind, namespace, *chosen)
        metadata = {"resourceVersion": self.cluster.store.version}
        self._answer({"kind": f"{KINDS[kind]}List", "apiVersion": "v1", "metadata": metadata, "items": items})

    def _stream(self, kind: str, namespace: str, labels: str, fields: str) -> None:
        seconds = float(self.query.get("timeoutSeconds") or 300)
        since = self.query.get("resourceVersion", "")
        changes = self.cluster.store.watch((kind, namespace, labels, fields), since, seconds)
        self._begin_stream()
        for change, item in changes:
            self._faults("/watch")
            line = json.dumps({"type": change, "object": item}).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _get_one(self, kind: str, namespace: str, name: str, _: Object) -> None:
        self._answer(self.cluster.store.get(kind, namespace, name))

    def _get_log(self, kind: str, namespace: str, name: str, _: Object) -> None:
        self.cluster.store.get(kind, namespace, name)
        lines = self.cluster.nodes.printed(name).splitlines(keepends=True)
        tail = int(self.query.get("tailLines") or len(lines))
        self._send("".join(lines[len(lines) - tail :]).encode(), "text/plain")

    def _post_all(self, kind: str, namespace: str, _: str, body: Object) -> None:
        self._answer(self.cluster.create(kind, namespace, body), 201)

    def _post_eviction(self, _: str, namespace: str, name: str, __: Object) -> None:
        self.cluster.evict(namespace, name)
        self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"}, 201)

    def _delete_one(self, kind: str, namespace: str, name: str, body: Object) -> None:
        self._answer(self.cluster.delete(kind, namespace, name, self._grace(body)))

    def _delete_all(self, kind: str, namespace: str, _: str, body: Object) -> None:
        items = self.cluster.store.find(kind, namespace, self.query.get("labelSelector", ""))
        for item in items:
            self.cluster.delete(kind, namespace, item["metadata"]["name"], self._grace(body))
        self._answer({"kind": f"{KINDS[kind]}List", "apiVersion": "v1", "metadata": {}, "items": items})

    def _grace(self, body: Object) -> int | None:
        grace = body.get("gracePeriodSeconds", self.query.get("gracePeriodSeconds"))
        return None if grace is None else int(grace)

    def _answer(self, answer: Mapping[str, Any], code: int = 200) -> None:
        self._send(json.dumps(answer).encode(), "application/json", code)

    def _send(self, content: bytes, kind: str, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def missing() -> str:
    """Return what keeps pods from running here; empty when nothing does."""
    apart = ["unshare", "--mount", "--pid", "--fork", "--uts", "--mount-proc", "true"]
    if shutil.which("unshare") is None or subprocess.run(apart, check=False, capture_output=True).returncode:
        return "needs unshare, and the right to make namespaces"
    return ""


@contextmanager
def cluster(folder: Path, image: tuple[Path, ...] = (), claims: Mapping[str, Path] | None = None) -> Iterator[Cluster]:
    """Run a cluster, and end it with all its pods."""
    running = Cluster(folder, image, claims)
    try:
        yield running
    finally:
        running.stop_serving()
        running.nodes.stop()
