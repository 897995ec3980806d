"""Outputs of a run written into the notebooks themselves, which a run never does unless it is asked to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from envsolver.core.files import write_atomically
from envsolver.core.parsing import ODD_INPUT, parse_json, read_text

_FORMAT = 4
_INJECTED = "injected-"
"""How the tags of those cells begin that stand in the executed copy alone."""


def overwrite(notebook: Path, executed: Path) -> str:
    """Write the outputs of an executed copy into its notebook; nothing else of it changes.

    Cells that did not run keep the outputs that they have.

    Returns
    -------
    str
        Why the notebook was left as it is; empty when it was written.
    """
    try:
        data, copy = (parse_json(read_text(path)) for path in (notebook, executed))
        if data["nbformat"] != _FORMAT:
            return f"its format is {data['nbformat']}, and outputs are written in format {_FORMAT} alone"
        cells, fresh = _code(data), [cell for cell in _code(copy) if not _is_injected(cell)]
        if [_source(cell) for cell in cells] != [_source(cell) for cell in fresh]:
            return "settings changed its code for the run, so the outputs are not its own"
        for cell, ran in zip(cells, fresh, strict=True):
            if ran["execution_count"] is not None:
                cell["outputs"], cell["execution_count"] = ran["outputs"], ran["execution_count"]
        write_atomically(notebook, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        return f"it cannot be written: {error.strerror or error}"
    except (*ODD_INPUT, KeyError, TypeError, AttributeError) as error:
        return f"it cannot be read: {error}"
    return ""


def _code(data: Any) -> list[dict[str, Any]]:
    return [cell for cell in data["cells"] if cell["cell_type"] == "code"]


def _is_injected(cell: dict[str, Any]) -> bool:
    return any(str(tag).startswith(_INJECTED) for tag in cell["metadata"].get("tags", ()))


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])
