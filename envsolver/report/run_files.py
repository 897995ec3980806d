"""Files of a run's folder, as reports read them."""

from __future__ import annotations

from pathlib import Path

from envsolver.core.results import Result, Run

LOG_TAIL_BYTES = 16 * 1024
"""How much of the end of a log is shown."""


def file_in(run: Run, relative: str) -> Path | None:
    """Return a file of the run's folder, or None when it is missing or lies outside.

    The name may come from a `results.json` from elsewhere, so it is not followed anywhere else.
    """
    if not relative:
        return None
    directory = run.directory.resolve()
    path = (directory / relative).resolve()
    return path if path.is_relative_to(directory) and path.is_file() else None


def read_log_tail(run: Run, result: Result, limit: int = LOG_TAIL_BYTES) -> str:
    """Return the last `limit` bytes of a result's log, from a line's start; empty when there is no log."""
    path = file_in(run, result.log)
    if path is None:
        return ""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - limit))
        data = file.read(limit)
    if end > limit:
        data = data.partition(b"\n")[2] or data
    return data.decode("utf-8", "replace")
