"""Which packages uv builds from source, and for how long by now: a compiler may take minutes and says nothing."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator

from envsolver.core.quantities import duration

FIRST_SECONDS = 15.0
"""How long a build goes on before it is told of; then again each time that it has taken twice as long."""

_LINE = re.compile(r"\s*(Building|Built) ([A-Za-z0-9][A-Za-z0-9._-]*)")


class SourceBuilds:
    """Says which packages are being built from source.

    Parameters
    ----------
    say
        Takes a line, from a thread.
    clock
        Seconds, such as of a monotonic clock.
    """

    def __init__(self, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._started: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._guard = threading.Lock()
        self._ended = threading.Event()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Say what takes long as long as this is entered."""
        thread = threading.Thread(target=self._watch, name="source-builds", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def hear(self, line: str) -> None:
        """Take a line of uv's standard error."""
        found = _LINE.match(line)
        if found is None:
            return
        with self._guard:
            if found[1] == "Building":
                self._started[found[2]] = self._clock()
                self._due[found[2]] = FIRST_SECONDS
            else:
                self._started.pop(found[2], None)

    def due(self) -> str:
        """Return what is to be said now, as a line; empty when there is nothing new."""
        with self._guard:
            taken = {name: self._clock() - start for name, start in sorted(self._started.items())}
            late = {name: seconds for name, seconds in taken.items() if seconds >= self._due[name]}
            for name, seconds in late.items():
                while self._due[name] <= seconds:
                    self._due[name] *= 2
        named = ", ".join(f"{name} ({duration(seconds)} so far)" for name, seconds in late.items())
        return f"building from source: {named}" if named else ""

    def _watch(self) -> None:
        while not self._ended.wait(1.0):
            if line := self.due():
                self._say(line)
