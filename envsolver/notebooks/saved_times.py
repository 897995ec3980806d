"""How long a notebook took when it was last saved, by the times that Jupyter's tools write into it.

JupyterLab notes when a cell was sent and answered, if its `recordTiming` is on; the extension ExecuteTime and
papermill have their own ways. The machine may have been another one, so this serves to order, not to foretell.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_SPANS = (
    ("execution", "iopub.execute_input", "shell.execute_reply"),
    ("execution", "iopub.status.busy", "iopub.status.idle"),
    ("ExecuteTime", "start_time", "end_time"),
)
"""Table, beginning and end."""

_LONGEST = 7 * 86_400.0


def recorded_seconds(metadata: Mapping[str, Any]) -> float | None:
    """Return the seconds that the metadata of a cell, or of a whole notebook, says it took; None if it does not."""
    papermill = metadata.get("papermill")
    if isinstance(papermill, dict) and isinstance(papermill.get("duration"), (int, float)):
        return _plausible(papermill["duration"])
    for name, start, end in _SPANS:
        table = metadata.get(name)
        if isinstance(table, dict):
            began, ended = _time(table.get(start)), _time(table.get(end))
            if began is not None and ended is not None and (began.tzinfo is None) == (ended.tzinfo is None):
                return _plausible((ended - began).total_seconds())
    return None


def _time(text: object) -> datetime | None:
    """Read a time in ISO 8601; Python reads the final Z only since 3.11."""
    try:
        return datetime.fromisoformat(text.removesuffix("Z")) if isinstance(text, str) else None
    except ValueError:
        return None


def _plausible(seconds: float) -> float | None:
    return float(seconds) if 0 <= seconds <= _LONGEST else None
