"""All that a verdict depends on, as one value, and the one function that compares two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

LookKind: TypeAlias = Literal["file", "ask", "list", "metadata", "modules", "link", "tree"]
"""How a notebook looked at a place.

``file``: its content. ``ask``: whether it is there, what it is, and its size. ``list``: the names in a folder.
``metadata``: the names of installed distributions in it. ``modules``: whether modules of some names are in it.
``link``: where a link leads. ``tree``: every name and content in a folder, where reading could not be seen.
"""

ABSENT = "absent"
"""The state of what is not there."""

LISTED_NAMES = 1000
"""Up to how many names a folder's state holds them; beyond, it is a digest, and tells not which one is new."""


class Look(NamedTuple):
    """One place that a notebook looked at.

    `path` is relative to the project's root with forward slashes, absolute outside of it. `names` are the modules of a
    look of the kind ``modules``, with slashes between.
    """

    kind: LookKind
    path: str
    names: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a notebook read while it ran."""

    looks: tuple[Look, ...] = ()
    """The places, each once."""
    hindrance: str = ""
    """Why a pass must not be taken for the next one's, as a phrase that continues "it"; empty for nothing."""
    began: int = 0
    """The file system's time, nanoseconds since the epoch, when the notebook had read nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """All that a verdict depends on."""

    facts: Mapping[str, str] = field(default_factory=dict)
    """What was to be run, and in what, by what people call it: ``code``, ``settings``, ``package numpy``, ``variable
    LANG`` and so on."""
    states: Mapping[Look, str] = field(default_factory=dict)
    """What each place that the notebook looked at was like."""


def difference(before: Fingerprint, now: Fingerprint) -> str:
    """Return the first thing that differs, as a phrase for people; empty when all is the same.

    Parameters
    ----------
    before
        That of a pass.
    now
        What it would be of, with the same places.
    """
    facts = ((name, before.facts.get(name), now.facts.get(name)) for name in {**before.facts, **now.facts})
    differing = [(name, old, new) for name, old, new in facts if old != new]
    if differing:
        # A package in another version says more than those that came or went with it.
        return _fact_phrase(*min(differing, key=lambda fact: fact[0].startswith("package ") and None in fact))
    for look, state in before.states.items():
        if now.states.get(look) != state:
            return _state_phrase(look, state, now.states.get(look, ABSENT))
    return ""


def _fact_phrase(name: str, old: str | None, new: str | None) -> str:
    kind, _, rest = name.partition(" ")
    if kind == "hindrance":
        return old or new or ""
    if kind == "package":
        if old and new:
            return f"{rest} {old} became {new}"
        return f"{rest} {new} is new" if new else f"{rest} {old} is gone"
    if kind in {"variable", "service"}:
        return f"{kind} {rest} changed"
    return {"format": "envsolver changed", "platform": "the platform changed"}.get(kind, f"its {name} changed")


def _state_phrase(look: Look, old: str, new: str) -> str:
    path = look.path
    if look.kind == "tree":
        where = "the project" if path == "." else path
        return f"something in {where} changed, and what is read there cannot be seen"
    if look.kind in {"list", "metadata"} and ABSENT not in {old, new}:
        return _listing_phrase(path, old, new)
    if look.kind == "modules":
        came = sorted(set(new.split("\n")) ^ set(old.split("\n")))
        return f"{_joined(path, came[-1])}, which its imports would find, came or went"
    if look.kind == "link":
        return f"the link {path} leads elsewhere"
    if old == ABSENT:
        return f"{path} is there now"
    return f"{path} is gone" if new == ABSENT else f"{path} changed"


def _listing_phrase(path: str, old: str, new: str) -> str:
    before, now = set(old.split("\n")), set(new.split("\n"))
    if old.startswith("sha256:") or new.startswith("sha256:"):
        return f"files came or went in {path}, which it lists"
    if added := sorted(now - before - {""}):
        return f"new file {_joined(path, added[0])} in a folder that it lists"
    return f"{_joined(path, min(before - now))} is gone from a folder that it lists"


def _joined(path: str, name: str) -> str:
    return name.rstrip("/") if path in {"", "."} else f"{path}/{name.rstrip('/')}"
