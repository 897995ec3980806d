"""Which cells of a notebook are executed, by their tags and by the settings; the one place that decides it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

SKIP_TAG = "skip-execution"
RAISES_TAG = "raises-exception"


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
        skipped = SKIP_TAG in tags or any(text in source for text in skip_cells)
        yield not stopped and not skipped and bool(source.strip())
