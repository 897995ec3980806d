"""Which environment variables a child process is handed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def chosen(outer: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Return the variables whose name is one of `patterns`; ``*`` at the end of one matches any rest."""
    wanted = set(patterns)
    prefixes = tuple(pattern[:-1] for pattern in wanted if pattern.endswith("*"))
    return {k: v for k, v in outer.items() if k in wanted or (prefixes and k.startswith(prefixes))}
