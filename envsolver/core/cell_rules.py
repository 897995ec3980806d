"""Which cells of a notebook are executed, and which may raise; the one place that decides it.

The settings decide, and the conventions that notebooks already carry: nbclient, nbmake and papermill read tags, nbval
tags and comments. Each means here what it means there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

_SKIPS = frozenset({"skip-execution", "nbval-skip"})
_MAY_RAISE = frozenset({"raises-exception", "nbval-raises-exception"})
_COMMENT = re.compile(r"^[ \t]*#+[ \t]*(NBVAL_SKIP|NBVAL_RAISES_EXCEPTION)[ \t]*(?::.*)?$", re.MULTILINE)


def is_skipped(source: str, tags: Iterable[object]) -> bool:
    """Return whether a cell says that it is not to be executed."""
    return not _SKIPS.isdisjoint(_marks(source, tags))


def may_raise(source: str, tags: Iterable[object]) -> bool:
    """Return whether a cell says that an exception is expected of it."""
    return not _MAY_RAISE.isdisjoint(_marks(source, tags))


def _marks(source: str, tags: Iterable[object]) -> set[str]:
    comments = _COMMENT.findall(source) if "NBVAL_" in source else []
    return {mark.lower().replace("_", "-") for mark in (*tags, *comments) if isinstance(mark, str)}


def cells_run(
    cells: Iterable[tuple[str, Collection[object]]], *, skip_cells: Collection[str] = (), stop_at: str | None = None
) -> Iterator[bool]:
    """Yield for each code cell whether it is executed.

    Parameters
    ----------
    cells
        Source and tags of each code cell, in the notebook's order; other cells are not given.
    skip_cells
        A cell that holds one of these texts is not executed.
    stop_at
        The first cell that holds this text, and all after it, are not executed.
    """
    stopped = False
    for source, tags in cells:
        stopped = stopped or (stop_at is not None and stop_at in source)
        skipped = is_skipped(source, tags) or any(text in source for text in skip_cells)
        yield not stopped and not skipped and bool(source.strip())
