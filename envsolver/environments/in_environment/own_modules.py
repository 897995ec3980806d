"""Functions of their own for the programs that watch a kernel.

A notebook may replace what `os`, `json` or the builtins hold, as tests do for a while with `unittest.mock`. What
watches it must neither be misled by that, nor count among the calls. So these programs get copies of some modules,
whose functions call each other.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

_NAMES = ("genericpath", os.path.__name__, "os", "json", "struct")


def own_builtins() -> dict[str, Any]:
    """Return builtins for a program, whose imports give it copies of those modules that are there, as they are now."""
    originals: list[Any] = [sys.modules[name] for name in _NAMES if name in sys.modules]
    copies = {original.__name__: type(os)(original.__name__) for original in originals}
    spaces = {id(vars(original)): vars(copies[original.__name__]) for original in originals}

    def copied(value: Any) -> Any:
        if any(value is original for original in originals):
            return copies[value.__name__]
        kind: Any = type(own_builtins)
        if type(value) is not kind or id(value.__globals__) not in spaces:
            return value
        space = spaces[id(value.__globals__)]
        function = kind(value.__code__, space, value.__name__, value.__defaults__, value.__closure__)
        function.__kwdefaults__ = value.__kwdefaults__
        return function

    for original in originals:
        vars(copies[original.__name__]).update({key: copied(value) for key, value in vars(original).items()})
    import_module = builtins.__import__

    def find(name: str, space: Any = None, local: Any = None, items: Any = (), level: int = 0) -> Any:
        return import_module(name, space, local, items, level) if level or name not in copies else copies[name]

    return {**vars(builtins), "__import__": find}
