"""What a cluster's API server keeps: objects, their versions, and what changed, for those that watch."""

from __future__ import annotations

import copy
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

Object = dict[str, Any]


def now(later: float = 0.0) -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.fromtimestamp(time.time() + later, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class ApiError(Exception):
    """A request that is refused."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def matches(item: Object, labels: str, fields: str) -> bool:
    """Tell whether an object is among those that selectors name (`a=b,c!=d,e`)."""
    return all(_holds(term, item["metadata"].get("labels", {}).get) for term in labels.split(",") if term) and all(
        _holds(term, lambda path: _at(item, path)) for term in fields.split(",") if term
    )


def _at(item: Object, path: str) -> Any:
    found: Any = item
    for name in path.split("."):
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found


def _holds(term: str, value: Callable[[str], Any]) -> bool:
    if "!=" in term:
        name, _, wanted = term.partition("!=")
        return bool(value(name) != wanted)
    name, equal, wanted = term.replace("==", "=").partition("=")
    return bool(value(name) == wanted) if equal else value(name) is not None


class Store:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._history: list[tuple[int, str, str, Object]] = []
        self._version = 1
        self.oldest = 0
        """Changes up to this version can no longer be watched."""

    @property
    def version(self) -> str:
        """The version of the newest change."""
        return str(self._version)

    def create(self, kind: str, namespace: str, body: Object) -> Object:
        """Keep a new object."""
        with self.changed:
            name = body["metadata"]["name"]
            if (kind, namespace, name) in self._objects:
                raise ApiError(409, "AlreadyExists", f'{kind} "{name}" already exists')
            kept = copy.deepcopy(body)
            kept["metadata"] |= {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
            return self._note("ADDED", kind, kept)

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """Return an object."""
        with self.changed:
            if (kind, namespace, name) not in self._objects:
                raise ApiError(404, "NotFound", f'{kind} "{name}" not found')
            return copy.deepcopy(self._objects[kind, namespace, name])

    def find(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects that selectors name, of all namespaces unless one is named."""
        with self.changed:
            found = [each for (which, _, _), each in self._objects.items() if which == kind]
            return copy.deepcopy(
                [
                    each
                    for each in found
                    if namespace in {"", each["metadata"]["namespace"]} and matches(each, labels, fields)
                ]
            )

    def update(self, kind: str, namespace: str, name: str, change: Callable[[Object], None]) -> Object | None:
        """Change an object; None when it is gone."""
        with self.changed:
            kept = self._objects.get((kind, namespace, name))
            if kept is None:
                return None
            kept = copy.deepcopy(kept)
            change(kept)
            return self._note("MODIFIED", kind, kept)

    def remove(self, kind: str, namespace: str, name: str) -> Object | None:
        """Forget an object; None when it is gone already."""
        with self.changed:
            kept = self._objects.pop((kind, namespace, name), None)
            return None if kept is None else self._note("DELETED", kind, kept)

    def watch(self, chosen: tuple[str, str, str, str], since: str, seconds: float) -> Iterator[tuple[str, Object]]:
        """Return what yields changes after a version; without one, first what there is.

        Raises
        ------
        ApiError
            The version is too old.
        """
        with self.changed:
            seen = int(since or 0)
            first = [] if seen else [("ADDED", each) for each in self.find(*chosen)]
            seen = seen or self._version
            if seen < self.oldest:
                raise ApiError(410, "Expired", f"too old resource version: {since} ({self.oldest})")
        return itertools.chain(first, self._changes(seen, chosen, time.monotonic() + seconds))

    def _changes(self, seen: int, chosen: tuple[str, str, str, str], deadline: float) -> Iterator[tuple[str, Object]]:
        kind, namespace, labels, fields = chosen
        while (left := deadline - time.monotonic()) > 0:
            with self.changed:
                if self._version == seen:
                    self.changed.wait(left)
                fresh = [each for each in self._history if each[0] > seen]
                seen = self._version
            for _, change, which, item in fresh:
                if which == kind and namespace in {"", item["metadata"]["namespace"]} and matches(item, labels, fields):
                    yield change, item

    def _note(self, change: str, kind: str, kept: Object) -> Object:
        """Give an object a version, and tell those that watch; the lock is held."""
        self._version += 1
        kept["metadata"]["resourceVersion"] = str(self._version)
        place = (kind, kept["metadata"]["namespace"], kept["metadata"]["name"])
        if change != "DELETED":
            self._objects[place] = kept
        self._history.append((self._version, change, kind, copy.deepcopy(kept)))
        self.changed.notify_all()
        return copy.deepcopy(kept)
