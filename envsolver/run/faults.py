"""An unexpected error of ours: shown in a sentence, and kept whole in the run's folder."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

from envsolver.core.paths import LOGS


def keep_traceback(directory: Path, name: str, error: BaseException) -> str:
    """Write an error's traceback to a run's folder, and return the file's path relative to that.

    Parameters
    ----------
    name
        What the error happened to, usable in a file name.

    Returns
    -------
    str
        Empty when the file cannot be written.
    """
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    folder = directory / LOGS
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"envsolver-error-{name}.log"
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)
        return str(path.relative_to(directory))
    return ""


def own_failure(error: BaseException, place: str) -> str:
    """Return the sentence that says that envsolver itself failed, and where its traceback is."""
    where = f"; its traceback is in {place} of the run's folder" if place else ""
    return f"envsolver itself failed: {type(error).__name__}: {error}{where}"
