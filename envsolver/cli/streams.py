"""Standard output and error as commands write to them: safe to read for a CI system, and never a reason to fail.

Everything that a command prints goes through here, so that one place takes out credentials, escapes what a CI system
would obey, writes what the encoding lacks as escapes, and abandons a stream that takes no more.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import TextIO, cast

from envsolver.core.redaction import redact
from envsolver.report.formatting import escape_commands

_LINE = 80
"""Characters of an unfinished line that are kept, to find commands that are written in pieces."""


class GuardedStream(io.TextIOBase):
    """A text stream that only ever writes text that may leave, and that no fault of its receiver gets out of.

    Parameters
    ----------
    stream
        Where to write; None when the process was started without.
    on_failure
        Called once, with what went wrong, when the stream takes no more.
    """

    def __init__(self, stream: TextIO | None, on_failure: Callable[[Exception], None] = lambda _: None) -> None:
        self._stream = stream
        self._on_failure = on_failure
        self._line = ""
        self._lock = threading.RLock()  # a live view writes from a thread of its own
        self.failed = stream is None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a mere attribute there
        """The encoding of what lies below."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What is done with characters that the encoding lacks."""
        return "backslashreplace"

    def writable(self) -> bool:
        """Return True: what cannot be written is dropped."""
        return True

    def isatty(self) -> bool:
        """Return whether a terminal lies below."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        """Return the descriptor of what lies below."""
        if self._stream is None:
            raise io.UnsupportedOperation("there is no stream")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text, with what a CI system would obey escaped; return its length."""
        with self._lock:
            safe = escape_commands(redact(text), self._line)
            line = (self._line + safe).replace("\r", "\n").rpartition("\n")[2]
            self._line = line if len(line) <= _LINE else f"…{line[-_LINE:]}"
            self._put(safe)
        return len(text)

    def write_commands(self, text: str) -> None:
        """Write whole lines that a CI system is to obey."""
        with self._lock:
            self._put(redact(text))

    def flush(self) -> None:
        """Hand on what was written."""
        self._try(lambda stream: stream.flush())

    def _put(self, text: str) -> None:
        self._try(lambda stream: stream.write(text))

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self.failed or self._stream is None:
            return
        try:
            act(self._stream)
        except (OSError, ValueError) as error:  # full, gone, or closed
            self.failed = True
            # What is buffered below must go somewhere, or the interpreter complains when it ends.
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)
            self._on_failure(error)


def guard_streams() -> None:
    """Put guards before standard output and error, to the process's end."""
    _open_descriptors()
    error = GuardedStream(sys.stderr)

    def complain(fault: Exception) -> None:
        why = getattr(fault, "strerror", None) or fault
        error.write(f"envsolver: nothing more is shown, since standard output cannot be written: {why}\n")
        error.flush()

    sys.stdout = cast("TextIO", GuardedStream(sys.stdout, complain))
    sys.stderr = cast("TextIO", error)


def _open_descriptors() -> None:
    """Open what the process was started without, so that no file or socket gets the number of a standard stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
