"""Whether a notebook replaced what modules hold: functions, classes, settings.

Compared are the names of a module, and what the dictionaries and objects of its own in it hold. What is only added
counts for no change, since registries and caches grow; nor do changes inside of lists and foreign objects show.

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
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

    _Space = tuple[dict[Any, Any], list[Any], list[Any]]

_SOLID = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, str, bytes)
_PLAIN = (bool, int, float, complex, type(None))
_KEPT = (*_SOLID, *_PLAIN, list, tuple, set, frozenset, dict)
"""Kinds of values that are compared; others come and go while code runs, as caches do."""

_DEPTH = 4  # dictionaries and objects inside one another, as settings are
_MOST = 2000  # entries of a dictionary that is looked at; larger ones are tables

_REPLACED = (("builtins", "input"), ("getpass", "getpass"), ("matplotlib.pyplot", "draw_if_interactive"))
"""Functions that the kernel itself replaces."""

_SHELL = {
    ("matplotlib", "interactive"): (True,),
    ("matplotlib", "backend"): ("inline", "module://matplotlib_inline.backend_inline"),
}
"""Settings to which the shell's own ``%matplotlib inline`` puts what the variables of each kernel say already."""

_NOTEBOOKS = ("__main__", "__mp_main__")
"""Where a notebook's own names stand; each kernel has others."""

_HIDDEN = {"numpy": "geterr", "torch": "get_default_dtype", "torch.utils._device": "CURRENT_DEVICE"}
"""What modules keep inside, and imports of others can depend on: a function that returns it, or a name."""

_ABSENT = object()
_COUNT = 24  # bytes from a dictionary's start: after its references, its type and its number of entries


class ModuleCode:
    """What modules hold.

    Parameters
    ----------
    names
        The modules; others are not looked at.
    base
        Of these, those that a kernel itself uses, and the standard library. They keep what they found out, so only
        their code is compared.
    apart
        Tells of a value whether each kernel has another.
    """

    def __init__(self, names: Collection[str], base: Collection[str], apart: Callable[[object], bool]) -> None:
        self._base, self._apart = base, apart
        self._seen: dict[int, object] = {}
        self._held: dict[str, list[_Space]] = {}
        spaces = {
            name: _space_of(sys.modules[name]) for name in list(sys.modules) if name in names and name not in _NOTEBOOKS
        }
        modules = {name: space for name, space in spaces.items() if type(space) is dict}
        self._seen.update((id(space), space) for space in modules.values())
        for name, space in modules.items():
            self._held[name] = list(self._spaces(name, space))
        self._seen.clear()
        self._hidden: dict[str, Any] = {}
        self._count = _counter()
        self._counts: dict[int, int] = {}
        self._binding: dict[str, bool] = {}

    def settle(self) -> None:
        """Take what is now for what there was: the start of a kernel replaces some things."""
        for name, spaces in self._held.items():
            if name in sys.modules:
                for index, held in enumerate(spaces):
                    if self._replaced(name, held):
                        spaces[index] = self._values(name, held[0], top=not index)
                    self._counts[id(held[0])] = self._count(held[0])

    def count(self) -> None:
        """Take the counts of changes as they are now for those of the values as they were."""
        self._counts = {id(held[0]): self._count(held[0]) for spaces in self._held.values() for held in spaces}

    def take(self, name: str) -> None:
        """Take what a module holds now for what it held."""
        for index, (space, _, _) in enumerate(self._held.get(name, ())):
            self._held[name][index] = self._values(name, space, top=not index)
            self._counts[id(space)] = self._count(space)

    def bind(self, package: str, name: str, module: Any) -> None:
        """Make a module an attribute of its package, which counts as no change once `bound` is called."""
        space = sys.modules[package].__dict__
        if package not in self._binding:
            self._binding[package] = self._counts.get(id(space)) == self._count(space)
        space[name] = module

    def bound(self) -> None:
        """Say that all that an import binds is bound."""
        for package, same in self._binding.items():
            if same:
                space = sys.modules[package].__dict__
                self._counts[id(space)] = self._count(space)
        self._binding.clear()

    def remember(self, name: str, module: Any) -> None:
        """Take down what a module keeps inside."""
        if name in _HIDDEN:
            self._hidden[name] = (module, _ask(module, _HIDDEN[name]))

    def changed(self, matters: Callable[[str], bool]) -> str:
        """Say what was replaced; empty for nothing.

        Parameters
        ----------
        matters
            Tells of a module's name whether what is to be imported could depend on what it holds.
        """
        for name, spaces in self._held.items():
            replaced = ""
            if name in sys.modules:
                if _space_of(sys.modules[name]) is not spaces[0][0]:
                    replaced = "__dict__"
                else:
                    replaced = next(filter(None, (self._replaced(name, held) for held in spaces)), "")
            if replaced and matters(name):
                return f"{name} changed: {replaced}"
        for name, (module, value) in self._hidden.items():
            if _ask(module, _HIDDEN[name]) != value and matters(name):
                return f"{name}.{_HIDDEN[name]} changed"
        return ""

    def _spaces(self, name: str, space: dict[Any, Any], depth: int = 0) -> Iterator[_Space]:
        """Yield what a module holds, and what the dictionaries and objects in it hold."""
        if depth and (id(space) in self._seen or len(space) > _MOST):
            return
        self._seen[id(space)] = space
        yield self._values(name, space, top=not depth)
        for value in list(dict.values(space)) if depth < _DEPTH and name not in self._base else ():
            inner: Any = value
            # By its type: asking a thing for its class runs the code of some.
            if not issubclass(type(value), _KEPT):
                inner = _attributes(value, name.partition(".")[0])
            if issubclass(type(inner), dict):
                yield from self._spaces(name, inner, depth + 1)

    def _values(self, name: str, space: dict[Any, Any], *, top: bool) -> _Space:
        keys, values = [], []
        kinds = _SOLID if name in self._base else _KEPT
        for key, value in list(dict.items(space)):
            apart = top and (f"{name}.{key}" in sys.modules or (name, key) in _REPLACED)
            unset = top and value is None  # until it is asked for
            if not (apart or unset or self._apart(value)) and issubclass(type(value), kinds):
                keys.append(key)
                values.append(value)
        return space, keys, values

    def _replaced(self, name: str, held: _Space) -> str:
        """Return a name in a dictionary that stands for something else now; empty for none."""
        space, keys, values = held
        if self._counts.get(id(space), -1) == self._count(space) != -1:
            return ""
        now = [dict.get(space, key, _ABSENT) for key in keys]
        if all(map(operator.is_, now, values)):
            return ""
        for index, key in enumerate(keys):
            if not _equal(now[index], values[index]) and now[index] not in _SHELL.get((name, key), ()):
                return str(key)
        return ""


def _space_of(module: Any) -> Any:
    """Return what a module holds, without the code of one that loads itself when it is asked; None for what is none."""
    if not issubclass(type(module), types.ModuleType):
        return None
    return vars(types.ModuleType)["__dict__"].__get__(module)


def _attributes(thing: Any, package: str) -> Any:
    """Return the dictionary of an object of a package's own classes; None for any other."""
    if (getattr(type(thing), "__module__", "") or "").partition(".")[0] != package:
        return None
    try:
        return object.__getattribute__(thing, "__dict__")
    except Exception:  # noqa: BLE001  # it may be anything
        return None


def _equal(one: Any, other: Any) -> bool:
    plain = type(one) is type(other) and issubclass(type(one), (*_PLAIN, str, bytes))
    return one is other or (plain and bool(one == other or (one != one and other != other)))  # noqa: PLR0124  # not a number


def _counter() -> Callable[[Any], int]:
    """Return what reads how often a dictionary was changed; one that returns -1 where that is not counted."""
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
