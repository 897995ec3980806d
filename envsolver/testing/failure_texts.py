"""What pytest shows of a notebook that did not pass: the failing cell, the traceback, and what it had printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envsolver.core.parsing import ODD_INPUT, parse_json, read_text
from envsolver.core.results import Result
from envsolver.report.annotations import line_of_failure
from envsolver.report.formatting import printable, strip_ansi
from envsolver.report.summaries import headline
from envsolver.report.text import failure_lines

LONGEST = 64 * 1024
"""Characters of what a notebook printed that are shown, of its end."""


class NotebookFailedError(Exception):
    """A notebook did not pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedPlace:
    """Where a notebook failed, as pytest's short summaries, JUnit files and editors read it."""

    path: str
    lineno: int
    message: str

    def __str__(self) -> str:
        """Return it on one line, as `--tb=line` shows it."""
        return f"{self.path}:{self.lineno}: {self.message}"


class FailureText:
    """A failure as pytest prints it.

    Attributes
    ----------
    reprcrash
        Where it failed.
    """

    def __init__(self, root: Path, path: Path, result: Result | None, directory: Path, message: str) -> None:
        line = None if result is None else line_of_failure(root, result)
        shown = message if result is None else headline(result) or result.status
        self._text = message if result is None else "\n".join(failure_lines(result, directory)).rstrip()
        self.reprcrash = FailedPlace(path=str(path), lineno=line or 1, message=printable(strip_ansi(shown)))

    def __str__(self) -> str:
        """Return the text."""
        return printable(self._text)

    def shortened(self) -> FailureText:
        """Leave the text out, and keep the place."""
        self._text = ""
        return self

    def toterminal(self, writer: Any) -> None:
        """Write the text to pytest's terminal."""
        if self._text:
            writer.line(str(self))


def printed(executed: Path | None) -> dict[str, str]:
    """Return what the cells of an executed copy gave out, by stream; results and pictures stand as text in stdout."""
    texts: dict[str, str] = {}
    try:
        cells = parse_json(read_text(executed))["cells"] if executed else []
    except ODD_INPUT:
        return {}
    for output in (output for cell in cells for output in cell.get("outputs", ())):
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        joined = strip_ansi(text if isinstance(text, str) else "".join(text))
        if joined:
            stream = output.get("name", "stdout")
            texts[stream] = texts.get(stream, "") + joined.rstrip("\n") + "\n"
    return {stream: printable(text[-LONGEST:]) for stream, text in texts.items()}
