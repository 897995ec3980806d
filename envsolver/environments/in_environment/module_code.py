"""Whether somebody replaced what modules hold: functions, classes and texts are compared by identity.

Looking at all values of thousands of modules copies the memory that a kernel shares with its template, and takes 30 ms
with torch. Where the interpreter counts the changes of its dictionaries (CPython up to 3.11 does, in the word after the
number of entries), a module whose count is the same is not looked at. Whether it counts is tried before.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library. It imports only what every
kernel holds anyway.
"""

from __future__ import annotations

import operator
import sys
import types

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_SOLID = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, str)
"""Kinds of values that a module's own code does not replace."""

_REPLACED = (("builtins", "input"), ("getpass", "getpass"), ("matplotlib.pyplot", "draw_if_interactive"))
"""Functions that the kernel itself replaces."""

_HIDDEN = {"numpy": "geterr", "torch": "get_default_dtype", "torch.utils._device": "CURRENT_DEVICE"}
"""What modules keep inside, and imports of others can depend on: a function that returns it, or a name."""

_COUNT = 24  # bytes from a dictionary's start: after its references, its type and its number of entries


class ModuleCode:
    """What modules hold.

    Parameters
    ----------
    names
        The modules; others are not looked at.
    apart
        Tells of a value whether each kernel has another.
    """

    def __init__(self, names: Iterable[str], apart: Callable[[object], bool]) -> None:
        self._apart = apart
        self._held = {name: self._values(name, sys.modules[name]) for name in names}
        self._hidden: dict[str, Any] = {}
        self._count = _counter()
        self._counts: dict[str, int] = {}
        self._binding: dict[str, bool] = {}

    def settle(self) -> None:
        """Take what is now for what there was: the start of a kernel replaces some things."""
        for name, (space, _, _) in list(self._held.items()):
            if name in sys.modules and self._replaced(name):
                del self._held[name]
            elif name in sys.modules:
                self._counts[name] = self._count(space)

    def count(self) -> None:
        """Take the counts of changes as they are now for those of the values as they were."""
        self._counts = {name: self._count(space) for name, (space, _, _) in self._held.items()}

    def bind(self, package: str, name: str, module: Any) -> None:
        """Make a module an attribute of its package, which counts as no change once `bound` is called."""
        space = sys.modules[package].__dict__
        if package not in self._binding:
            self._binding[package] = self._counts.get(package) == self._count(space)
        space[name] = module

    def bound(self) -> None:
        """Say that all that an import binds is bound."""
        for package, same in self._binding.items():
            if same:
                self._counts[package] = self._count(sys.modules[package].__dict__)
        self._binding.clear()

    def remember(self, name: str, module: Any) -> None:
        """Take down what a module keeps inside."""
        if name in _HIDDEN:
            self._hidden[name] = (module, _ask(module, _HIDDEN[name]))

    def changed(self) -> str:
        """Say what was replaced; empty for nothing."""
        for name in self._held:
            replaced = self._replaced(name) if name in sys.modules else ""
            if replaced:
                return f"{name}.{replaced} was replaced"
        for name, (module, value) in self._hidden.items():
            if _ask(module, _HIDDEN[name]) != value:
                return f"{name}.{_HIDDEN[name]} changed"
        return ""

    def _values(self, name: str, module: Any) -> tuple[Any, list[str], list[Any]]:
        space = getattr(module, "__dict__", {})
        keys, values = [], []
        for key, value in list(space.items()):
            apart = f"{name}.{key}" in sys.modules or (name, key) in _REPLACED or self._apart(value)
            if issubclass(type(value), _SOLID) and not apart:
                keys.append(key)
                values.append(value)
        return space, keys, values

    def _replaced(self, name: str) -> str:
        """Return a name in a module that stands for something else now; empty for none."""
        space, keys, values = self._held[name]
        if getattr(sys.modules[name], "__dict__", space) is not space:
            return "__dict__"
        if name in self._counts and self._count(space) == self._counts[name] != -1:
            return ""
        now = list(map(space.get, keys))
        if all(map(operator.is_, now, values)):
            return ""
        return next(key for index, key in enumerate(keys) if now[index] is not values[index])


def _counter() -> Callable[[Any], int]:
    """Return what reads how often a dictionary was changed; one that returns -1 where nobody counts."""
    before = set(sys.modules)
    import ctypes

    for name in set(sys.modules) - before:
        del sys.modules[name]
    read = ctypes.c_uint64.from_address

    def count(space: Any) -> int:
        return read(id(space) + _COUNT).value

    tried: dict[str, object] = {"a": 1}
    seen = [count(tried), count(tried)]
    for value in (2, 2, "text"):
        tried["a"] = value
        seen.append(count(tried))
    del tried["a"]
    seen.append(count(tried))
    counted = seen[0] == seen[1] and len({seen[1], seen[2], seen[4], seen[5]}) == 4  # noqa: PLR2004  # all differ
    return count if counted and sys.implementation.name == "cpython" else lambda _: -1


def _ask(module: Any, name: str) -> Any:
    value = getattr(module, name, None)
    return value() if callable(value) else value
