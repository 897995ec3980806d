"""Turn uv's proof that requirements have no solution into one sentence with the lines that meet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.notebooks import Requirement
from envsolver.resolver.requirement_text import requirement_name

# A package as uv writes it, such as `numpy{python_full_version < '3.12'}>=1.23.2,<2`.
_BOUND = r"(?:===|[<>=!~]=|[<>])[^\s,]+"
_TERM = rf"([A-Za-z0-9](?:[\w.-]*[\w])?)(?:\[[^\]]*\])?(?:\{{[^}}]*\}})?({_BOUND}(?:,{_BOUND})*)?"
_DEPENDS = re.compile(rf"{_TERM}\s+depends? on(?: one of:| all of:)?\s+{_TERM}")
_MANY = re.compile(r"all of:\s+((?:\S+\s+)+?)depend on")
_NO_VERSION = re.compile(rf"there (?:is|are) no versions? of {_TERM}")
_UNKNOWN = re.compile(rf"{_TERM} was not found in the package registry")
_UNUSABLE = re.compile(rf"{_TERM} (has no (?:usable )?wheels(?: with a matching [\w ]+ tag)?)")

_RAISED = re.compile(r"[A-Za-z_.]+(?:Error|Exception|Exit): \S")
_COMPLAINT = re.compile(r"(?:\S+: ?)?(?:ERROR|error|fatal error): \S|error in .+ setup command: \S")
_WORD = re.compile(r"[A-Za-z]{2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """That one package, in some versions, needs another, in some versions."""

    package: str
    needs: str
    bounds: str

    def __str__(self) -> str:
        """Return what is needed, as it is written in requirements."""
        return f"{self.needs}{self.bounds}"


def read_links(explanation: str) -> tuple[Link, ...]:
    """Return the dependencies that an explanation of uv names, in its order, each pair of packages once.

    Of several statements about two packages the last counts: there uv has drawn them together.
    """
    text = " ".join(explanation.split())
    text = _MANY.sub(lambda found: f"{found[1].split()[-1]} depend on", text)
    links = {}
    for found in _DEPENDS.finditer(text):
        package, needs = _name(found[1]), _name(found[3])
        links[package, needs] = Link(package=package, needs=needs, bounds=(found[4] or "").rstrip("."))
    return tuple(links.values())


def sentence(requirements: Sequence[Requirement], explanation: str, root: Path) -> str:
    """Return why `requirements`, a least set that has no solution, cannot be installed together.

    Parameters
    ----------
    explanation
        uv's words; empty when the texts alone show it.
    """
    named = [(requirement_name(root, r.text) or r.text, r) for r in requirements]
    links = read_links(explanation)
    if len({name for name, _ in named}) == 1 and len(named) > 1:
        return "; ".join(f"{r.origin} asks for {r.text}" for _, r in named)
    for read in (_chained, _met, _python, _missing):
        said = read(named, links, explanation)
        if said:
            return said
    listed = " and ".join(f"{r.text} ({r.origin})" for r in requirements) or "ipykernel"
    last = explanation.splitlines()[0].rstrip(".") if explanation else ""
    together = "cannot be installed together" if len(requirements) > 1 else "cannot be installed"
    cause = build_failure(explanation)
    return f"{listed} {together}" + (f": {last}" if last else "") + (f" ({cause})" if cause else "")


def build_failure(explanation: str) -> str:
    """Return the line that says most about a failed build: a tool's first error, the last exception, or the last."""
    lines = [line.strip() for line in explanation.partition("\nhint:")[0].splitlines()[1:] if _WORD.search(line)]
    if "Failed to build" not in explanation or not lines:
        return ""
    complaint = next((line for line in lines if _COMPLAINT.match(line)), "")
    raised = [line for line in lines if _RAISED.match(line)]
    return complaint or (raised or lines)[-1]


_Named = Sequence[tuple[str, Requirement]]


def _chained(named: _Named, links: Sequence[Link], _: str) -> str:
    """Say that one requirement needs, directly or not, a version that another excludes."""
    for start, first in named:
        for target, other in named:
            path = _path(start, target, links) if start != target else ()
            if path:
                rest = [f"{r.origin} asks for {r.text}" for _, r in named if r not in {first, other}]
                said = f"{first.text} ({first.origin}) needs {', which needs '.join(map(str, path))}"
                return "; ".join([said, f"{other.origin} asks for {other.text}", *rest])
    return ""


def _met(named: _Named, links: Sequence[Link], _: str) -> str:
    """Say that two requirements need, directly or not, different versions of a package that neither names."""
    ends: dict[str, list[str]] = {}
    for start, asked in named:
        for needs in dict.fromkeys(link.needs for link in links):
            path = _path(start, needs, links)
            if path and path[-1].bounds:
                said = f"{asked.text} ({asked.origin}) needs {', which needs '.join(map(str, path))}"
                ends.setdefault(needs, []).append(said)
    shared = [said for said in ends.values() if len(said) > 1]
    return "; ".join(shared[0]) if shared else ""


def _python(named: _Named, links: Sequence[Link], explanation: str) -> str:
    """Say that a requirement needs another Python."""
    running = re.search(r"Python version \(([^)]+)\)", explanation)
    for start, asked in named:
        path = _path(start, "python", links)
        if path and running:
            needs = ", which needs ".join(str(link).replace("python", "Python") for link in path)
            rest = [f"{r.origin} asks for {r.text}" for _, r in named if r != asked]
            return "; ".join([f"{asked.text} ({asked.origin}) needs {needs}, and this is Python {running[1]}", *rest])
    return ""


def _missing(named: _Named, links: Sequence[Link], explanation: str) -> str:
    """Say that a package, or a version of it, does not exist, or not for this Python or platform."""
    lost = _lost(" ".join(explanation.split()))
    for start, asked in named:
        if start in lost:
            return f"{asked.text} ({asked.origin}) {lost[start]}"
        for package, why in lost.items():
            path = _path(start, package, links)
            if path:
                return f"{asked.text} ({asked.origin}) needs {', which needs '.join(map(str, path))}, which {why}"
    return ""


def _lost(explanation: str) -> dict[str, str]:
    """Return the packages that cannot be had, and why."""
    unusable = {_name(found[1]): found[3] for found in _UNUSABLE.finditer(explanation)}
    unknown = {_name(found[1]): "is in no registry" for found in _UNKNOWN.finditer(explanation)}
    return unusable | unknown | {_name(found[1]): "does not exist" for found in _NO_VERSION.finditer(explanation)}


def _path(start: str, target: str, links: Sequence[Link]) -> tuple[Link, ...]:
    """Return the shortest chain of dependencies between two packages; empty when there is none."""
    reached: dict[str, tuple[Link, ...]] = {start: ()}
    waiting = [start]
    while waiting:
        package = waiting.pop(0)
        for link in _from(package, links):
            if link.needs not in reached:
                reached[link.needs] = (*reached[package], link)
                waiting.append(link.needs)
    return reached.get(target, ())


def _from(package: str, links: Sequence[Link]) -> Iterator[Link]:
    return (link for link in links if link.package == package)


def _name(text: str) -> str:
    return str(canonicalize_name(text))
