# it imports no more than a kernel does
"""Find which files, folders and variables the imports of a process ask for, whether they are there or not.

A look-up that finds nothing raises no audit event, so the functions of `os` that look are replaced while imports run.
No trace of that is left in the modules that took one of them by name.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library. It imports only what every
kernel holds anyway.
"""

from __future__ import annotations

import gc
import os
import sys

# Not every kernel holds it, and a notebook could see it.
sys.modules.pop("gc", None)

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_LOOKING = ("stat", "lstat", "access", "readlink")
_PLACES = ("getcwd", "getcwdb")
_SUPPORT = ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks")
_EVENTS = {"open": "open", "os.listdir": "list", "os.scandir": "list"}


class OsSpies:
    """Watch what this process asks the system for.

    Parameters
    ----------
    private
        Names of variables that differ from job to job.
    looked
        Called with ``open``, ``list`` or ``ask``, and the path.
    touched
        Called when the working directory or a private variable was asked for.
    """

    def __init__(
        self, private: Iterable[str], looked: Callable[[str, Any], object], touched: Callable[[], object]
    ) -> None:
        self._private = frozenset(private)
        self._looked, self._touched = looked, touched
        self._watching = False
        self._hooked = False
        self._replaced: list[tuple[str, _Function, Any]] = []
        self._environ = (type(os.environ).__getitem__, type(os.environ).__iter__)

    def watch(self) -> None:
        """Watch from now on."""
        if not self._hooked:
            sys.addaudithook(self._hear)
            self._hooked = True
        for name in _LOOKING:
            self._replace(name, lambda path: self._look("ask", path))
        for name in _PLACES:
            self._replace(name, lambda _: self._touched())
        getitem, iterate = self._environ

        def spy(this: Any, key: Any) -> Any:
            if key in self._private:
                self._touched()
            return getitem(this, key)

        def spy_all(this: Any) -> Any:
            self._touched()
            return iterate(this)

        kind: Any = type(os.environ)
        kind.__getitem__, kind.__iter__ = spy, spy_all
        self._watching = True

    def unwatch(self) -> None:
        """Watch no more, and leave no trace of having done so."""
        self._watching = False
        kind: Any = type(os.environ)
        kind.__getitem__, kind.__iter__ = self._environ
        for name, function, original in self._replaced:
            setattr(os, name, original)
            for support in _SUPPORT:
                getattr(os, support).discard(function)
        pairs = [(function, original) for _, function, original in self._replaced]
        self._replaced.clear()
        put_back(pairs)

    def _replace(self, name: str, tell: Callable[[Any], object]) -> None:
        original = getattr(os, name)
        function = _Function(original, tell)
        self._replaced.append((name, function, original))
        setattr(os, name, function)
        for support in _SUPPORT:
            if original in getattr(os, support):
                getattr(os, support).add(function)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._watching and event in _EVENTS:
            self._look(_EVENTS[event], arguments[0] if arguments else None)

    def _look(self, kind: str, path: Any) -> None:
        if self._watching and not isinstance(path, int):
            self._watching = False  # what is done in here is none of the imports' doing
            try:
                self._looked(kind, path)
            finally:
                self._watching = True


class _Function:
    """A function of `os` that tells what it is called with. No method where a class takes it in, as those are none."""

    def __init__(self, original: Callable[..., Any], tell: Callable[[Any], object]) -> None:
        self._original, self._tell = original, tell
        self.__doc__, self.__name__ = original.__doc__, original.__name__

    def __call__(self, *args: Any, **named: Any) -> Any:
        self._tell(args[0] if args else named.get("path"))
        return self._original(*args, **named)


def put_back(pairs: list[tuple[Any, Any]]) -> None:
    """Have modules that took a stand-in by its name hold the original; `pairs` are of both."""
    originals = {id(thing): original for thing, original in pairs}
    for holder in gc.get_referrers(*[thing for thing, _ in pairs]) if pairs else ():
        if isinstance(holder, dict):
            for key, value in list(holder.items()):
                if id(value) in originals:
                    holder[key] = originals[id(value)]
