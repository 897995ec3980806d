"""Which distributions provide a module: import names are not package names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources

from packaging.utils import canonicalize_name

from envsolver.core.parsing import parse_toml

_NAMESPACES = frozenset({
    "azure", "backports", "flaskext", "google", "jaraco", "nvidia", "opentelemetry", "paste", "plone", "pyannote",
    "repoze", "ruamel", "scikits", "sphinxcontrib", "zc", "zope",
})  # fmt: skip


def distributions_for(module: str, extra: Mapping[str, str]) -> tuple[str, ...]:
    """Return requirements for the distributions that are known to provide a module, the likeliest first.

    An unknown module has none: that a registry holds a package of its name says nothing.

    Parameters
    ----------
    module
        Dotted name as imported, such as ``google.cloud.storage``; the longest part of it that is known decides.
    extra
        The user's own table, `modules` of the configuration. What it says is the only answer.
    """
    for prefix in _prefixes(module):
        if prefix in extra:
            return (canonicalize_name(extra[prefix]),)
    table = _table()
    return next((table[prefix] for prefix in _prefixes(module) if prefix in table), ())


def is_namespace(module: str) -> bool:
    """Return whether several distributions share a module, so that what is taken out of it names another module."""
    return module in _NAMESPACES or module in _shared()


def _prefixes(module: str) -> Iterator[str]:
    """Yield a dotted name and its parents, the longest first."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length])


@lru_cache(maxsize=1)
def _table() -> dict[str, tuple[str, ...]]:
    """Read the table that ships with the package, its sections joined."""
    text = resources.files("envsolver.notebooks").joinpath("distributions.toml").read_text(encoding="utf-8")
    sections: dict[str, dict[str, str]] = parse_toml(text)
    alike = " ".join(sections.pop("named-alike").values()).split()
    named = {module: tuple(names.split()) for section in sections.values() for module, names in section.items()}
    return {module: (canonicalize_name(module),) for module in alike} | named


@lru_cache(maxsize=1)
def _shared() -> frozenset[str]:
    """Return the modules of which the table knows parts."""
    return frozenset(prefix for module in _table() for prefix in _prefixes(module) if prefix != module)
