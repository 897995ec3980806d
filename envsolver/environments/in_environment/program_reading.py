# ruff: noqa: PTH118, PTH120  # it imports no more than it needs
"""Tells which modules a Python that a notebook started looks for, and which folders it lists for that.

All that a program opens is seen (`program_keeper`), but not that it lists a folder for the sake of its imports alone,
nor what it looked for there. What is looked for is told at once, since a program may end at any time, and an excuse for
a listing after that: without it the listing counts, and any new file in the folder with it.

Runs in any interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ProgramWatch:
    """Tells what the imports of this process, and of those that it forks, do.

    Parameters
    ----------
    search
        What `module_search` defines.
    log
        The file in which the kernel tells what it reads as well.
    """

    def __init__(self, search: dict[str, Any], log: str) -> None:
        self._log = search["Log"](log)
        self._places = search["Places"](os.path.dirname(log))
        self._search = search["ModuleSearch"](self._log, self._places, 0)
        self._reason = search["listing_reason"]
        self._excused: list[tuple[str, str]] = []
        self._handlers: dict[str, Callable[..., object]] = {
            "os.listdir": self._list,
            "os.scandir": self._list,
            "import": lambda name, *_: self._search.imported(str(name)),
        }

    def start(self) -> None:
        """Tell from now on."""
        atexit.register(self._excuse)
        sys.addaudithook(self._hear)
        self._search.start()

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        handler = self._handlers.get(event)
        if handler is not None:
            try:
                self._excuse()  # what it was about to list it has listed by now
                handler(*arguments)
                self._search.tell_some()
            except Exception as error:  # noqa: BLE001  # the program must not feel it, but its reading was not seen
                self._log.tell("blind", event, repr(error))

    def _list(self, given: Any = None) -> None:
        kind, path = self._reason(3), self._places.path(given)
        if path and kind != "list":
            self._excused.append((kind, path))

    def _excuse(self) -> None:
        while self._excused:
            kind, path = self._excused.pop()
            self._log.write((kind, path))
            self._log.write(("excused", path))


def watch(log: str) -> None:
    """Tell from now on what this interpreter looks for."""
    own = _beside("own_modules", __builtins__)["own_builtins"]()
    ProgramWatch(_beside("module_search", own), log).start()


def _beside(name: str, own: Any) -> dict[str, Any]:
    """Run a file beside this one with builtins of its own, and return what it defines."""
    place = os.path.join(os.path.dirname(__file__), name + ".py")
    space: dict[str, Any] = {"__name__": name, "__file__": place, "__builtins__": own}
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader(name, place)
    exec(loader.get_code(name), space)  # noqa: S102  # our own file
    return space
