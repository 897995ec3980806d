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
    """Return the distributions that may provide a module, normalised (PEP 503), the likeliest first.

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
    for prefix in _prefixes(module):
        if prefix in table:
            return table[prefix]
    top, *rest = module.split(".")
    if top in _NAMESPACES and rest:
        return tuple(_own_name(prefix) for prefix in _prefixes(module) if "." in prefix)
    return (_own_name(top),)


def is_namespace(module: str) -> bool:
    """Tell whether several distributions share a module, so that what is taken out of it names another module."""
    return module in _NAMESPACES or module in _shared()


def _own_name(module: str) -> str:
    """Return the distribution of a module's own name; a distribution's name neither begins nor ends with `_`."""
    return canonicalize_name(module).strip("-") or module


def _prefixes(module: str) -> Iterator[str]:
    """Give a dotted name and its parents, the longest first."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length])


@lru_cache(maxsize=1)
def _table() -> dict[str, tuple[str, ...]]:
    """Read the table that ships with the package, its sections joined."""
    text = resources.files("envsolver.notebooks").joinpath("distributions.toml").read_text(encoding="utf-8")
    sections: dict[str, dict[str, str]] = parse_toml(text)
    return {
        module: tuple(canonicalize_name(name) for name in names.split())
        for section in sections.values()
        for module, names in section.items()
    }


@lru_cache(maxsize=1)
def _shared() -> frozenset[str]:
    """Return the modules of which the table knows parts."""
    return frozenset(prefix for module in _table() for prefix in _prefixes(module) if prefix != module)
