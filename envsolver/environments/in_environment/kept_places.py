# ruff: noqa: PTH112, PTH118, SLF001  # it imports no more than a kernel does
"""What imports keep of a template's own places, as torch keeps its folder for debugging: each kernel has its own there.

The name of the template's private directory is like no other text. Wherever the imports left a text with it in
something that can be changed, a kernel puts the name of its job's place. Where they left it in something that cannot,
such as a tuple, the modules that asked for a place are not loaded ahead.

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

_INNER = ("tmp", "jupyter", "ipython")  # directories that a template has as a job has
_PARTS = 16  # into which what is searched is split, again and again
_FLAT = frozenset({dict, tuple, frozenset})  # the collector forgets those that hold only texts and numbers


class KeptPlaces:
    """The template's own places, and where imports kept them.

    Parameters
    ----------
    directory, here
        The template's private directory, and the folder in it that stands for a kernel's.

    Attributes
    ----------
    touched
        Modules whose imports, since the last `check`, asked for a place.
    """

    def __init__(self, directory: str, here: str) -> None:
        self.touched: set[str] = set()
        self._directory, self._here = directory, here
        self._kept: list[tuple[Any, Any, str]] = []
        self._before: set[str] = set()
        self._made: set[str] = set()
        self._writers: set[str] = set()

    def watch(self) -> None:
        """Look, afterwards, at what is made from now on."""
        self._before = self._entries()
        gc.collect()
        gc.freeze()

    def check(self, taint: Callable[[Iterable[str], str], object]) -> None:
        """Find what an import that has ended kept, if it asked for a place; `taint` is called when that cannot stay."""
        if self.touched:
            self._find(taint)
            self._writers |= self.touched
            self.touched.clear()
        gc.freeze()  # what it made need not be looked through again

    def _find(self, taint: Callable[[Iterable[str], str], object]) -> None:
        for name in ("importlib.metadata", "importlib_metadata"):
            paths = getattr(sys.modules.get(name), "FastPath", None)
            getattr(getattr(paths, "__new__", None), "cache_clear", bool)()  # what it listed, it lists again
        if not self._search(gc.get_objects()):
            taint(self.touched, "it keeps the name of a private directory where it cannot be changed")

    def _search(self, things: list[Any]) -> bool:
        """Note which of some things hold such a text; False when it cannot be changed in one of them."""
        if not self._in_any(gc.get_referents(*things)):
            return True
        if len(things) == 1:
            return self._find_in(things[0])
        step = -(-len(things) // _PARTS)
        found = [self._search(things[start : start + step]) for start in range(0, len(things), step)]
        return all(found)

    def settle(self, taint: Callable[[Iterable[str], str], object]) -> None:
        """Note which directories the imports made, when all are done."""
        made = self._entries() - self._before
        if not all(os.path.isdir(os.path.join(self._directory, entry)) for entry in made):
            taint(self._writers, "it writes a file in a private directory")
        self._made |= made
        self._writers.clear()
        gc.unfreeze()

    def names_private(self, value: object) -> bool:
        """Return whether a value is a text that names one of the template's own places."""
        return type(value) is str and self._directory in value

    def relocate(self, folder: str, private: str) -> None:
        """Put a job's places where imports kept the template's, and make the directories that they made."""
        for places, key, text in self._kept:
            places[key] = text.replace(self._here, folder).replace(self._directory, private)
        for inside in self._made:
            os.makedirs(os.path.join(private, inside), exist_ok=True)  # noqa: PTH103  # as above

    def _entries(self) -> set[str]:
        found: set[str] = set()
        for place in _INNER:
            for directory, names, files in os.walk(os.path.join(self._directory, place)):
                found.update(os.path.join(directory, entry)[len(self._directory) + 1 :] for entry in (*names, *files))
        return found

    def _in_any(self, things: list[Any]) -> bool:
        """Return whether one of some things is, or holds, a text that names a place."""
        directory = self._directory
        for text in [thing for thing in things if type(thing) is str]:
            if directory in text:
                return True
        flat = [thing for thing in things if type(thing) in _FLAT and not gc.is_tracked(thing)]
        return bool(flat) and self._in_any(gc.get_referents(*flat))

    def _find_in(self, thing: Any) -> bool:
        """Note where a thing holds such a text; False when it cannot be changed there."""
        if thing is self._kept or type(thing) is type(sys._getframe()):
            return True
        held = gc.get_referents(thing)
        flat = [self._find_in(inner) for inner in held if type(inner) in _FLAT and not gc.is_tracked(inner)]
        count = sum(map(self.names_private, held))
        if not count:
            return all(flat)
        places: Any = thing if issubclass(type(thing), (dict, list)) else getattr(thing, "__dict__", None)
        items: Any = enumerate(places) if issubclass(type(places), list) else (places or {}).items()
        kept = [(places, key, text) for key, text in items if self.names_private(text)]
        self._kept += kept
        return all(flat) and len(kept) >= count
