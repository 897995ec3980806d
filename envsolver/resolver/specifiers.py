"""What can be known of requirements from their texts alone: markers, and bounds that exclude each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from packaging.markers import Marker, default_environment
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from envsolver.core.environments import Interpreter
from envsolver.core.parsing import ODD_INPUT
from envsolver.resolver.requirement_text import parse


def python_allowed(requires_python: str | None, interpreter: Interpreter) -> bool:
    """Return whether an interpreter is among the versions that `requires_python` names; None names all."""
    return requires_python is None or SpecifierSet(requires_python).contains(interpreter.version, prereleases=True)


def marker_environment(interpreter: Interpreter) -> dict[str, str]:
    """Return the values of a requirement's markers for an interpreter of this machine."""
    implementation = interpreter.platform.split("-", maxsplit=1)[0]
    names = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
    own: Mapping[str, str] = {name: str(value) for name, value in default_environment().items()}
    return dict(own) | {
        "python_version": interpreter.minor,
        "python_full_version": interpreter.version,
        "implementation_name": implementation,
        "implementation_version": interpreter.version,
        "platform_python_implementation": names.get(implementation, implementation),
    }


def applies(text: str, interpreter: Interpreter) -> bool:
    """Return whether a requirement's marker holds for an interpreter; True when it has none."""
    parsed = parse(text)
    if parsed is None or parsed.marker is None:
        return True
    return holds(parsed.marker, marker_environment(interpreter))


def holds(marker: Marker, environment: dict[str, str]) -> bool:
    """Return whether a marker holds for an interpreter's values; True when it means nothing, as uv will say."""
    try:
        return marker.evaluate(environment)
    except ODD_INPUT:
        return True


def contradiction(texts: Iterable[str], interpreter: Interpreter) -> tuple[str, ...]:
    """Return the fewest of some requirements whose bounds on one package exclude each other, sorted; empty if none do.

    Dependencies of dependencies are not looked at, so an empty answer proves nothing.
    """
    by_name: dict[str, list[str]] = {}
    for text in sorted(set(texts)):
        parsed = parse(text)
        if parsed is not None and parsed.specifier and applies(text, interpreter):
            by_name.setdefault(canonicalize_name(parsed.name), []).append(text)
    for name in sorted(by_name):
        asked = by_name[name]
        for size in range(1, min(len(asked), 3) + 1):
            for some in combinations(asked, size):
                if _together(some).is_unsatisfiable():
                    return some
    return ()


def _together(texts: Iterable[str]) -> SpecifierSet:
    bounds = SpecifierSet()
    for text in texts:
        parsed = parse(text)
        if parsed is not None:
            bounds &= parsed.specifier
    return bounds
