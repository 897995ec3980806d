# ruff: noqa: INP001  # its directory is put on the import path; it is no package
"""What a test may ask of an executed notebook: its variables, as far as JSON can hold them.

Runs inside the kernel, on the environment's interpreter, which may be any Python from 3.7 on, with nothing but the
standard library.
"""

from __future__ import annotations

import json
import math
import re
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ELEMENTS = 10_000
"""Numbers and texts that one variable may hold."""

CHARACTERS = 200_000
"""Length that one variable may have as JSON."""

# The shell's own: results, inputs, outputs, and what it puts into every notebook.
_OWN = re.compile(r"_+|_i+|_i?\d+|_[ido]h|__\w+__|In|Out|exit|quit|get_ipython|open")
_TEXT_OF_TYPE = {ModuleType: "module", FunctionType: "function", BuiltinFunctionType: "function", MethodType: "method"}


class UnshownError(Exception):
    """A value cannot be given; the message continues "it"."""


def captured(namespace: Mapping[Any, Any]) -> str:
    """Return a notebook's variables as JSON: ``values`` by name, and ``faults``, why the others cannot be given.

    Lists, tuples, NumPy's arrays and what else has a ``tolist`` become lists, NumPy's numbers become numbers.
    """
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, value in list(namespace.items()):
        if not isinstance(name, str) or _OWN.fullmatch(name):
            continue
        try:
            values[name] = _bounded(value)
        except UnshownError as error:
            faults[name] = str(error)
        except RecursionError:
            faults[name] = "is nested too deeply"
        except Exception as error:  # noqa: BLE001  # what a foreign object raises must not lose the other variables
            faults[name] = f"cannot be read: {type(error).__name__}"
    return json.dumps({"values": values, "faults": faults})


def _bounded(value: Any) -> Any:
    plain = _plain(value, [ELEMENTS])
    length = len(json.dumps(plain))
    if length > CHARACTERS:
        raise UnshownError(f"is {length:,} characters long, and at most {CHARACTERS:,} can be given")
    return plain


def _plain(value: Any, room: list[int]) -> Any:
    """Return a value made of Python's own types; `room` holds how many numbers and texts may still come."""
    if hasattr(value, "tolist") and not isinstance(value, type):
        return _from_library(value, room)
    # What is not empty is counted by what it holds.
    if isinstance(value, (list, tuple)) and value:
        return [_plain(item, room) for item in value]
    if isinstance(value, dict) and value:
        return {_key(key): _plain(item, room) for key, item in value.items()}
    room[0] -= 1
    if room[0] < 0:
        raise UnshownError(f"has more than {ELEMENTS:,} elements")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        return {} if isinstance(value, dict) else []
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise UnshownError(f"is {_type_name(value)}, and only numbers, texts, lists, tables and arrays can be given")


def _from_library(value: Any, room: list[int]) -> Any:
    size = math.prod(value.shape) if hasattr(value, "shape") and hasattr(math, "prod") else 1
    if size > ELEMENTS:
        raise UnshownError(f"has {size:,} elements, and at most {ELEMENTS:,} can be given")
    plain = value.tolist()
    if hasattr(plain, "tolist"):
        raise UnshownError(f"is {_type_name(value)}, whose elements have no plain form")
    return _plain(plain, room)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise UnshownError(f"is a table with the key {key!r:.40}, which is no text")
    return str(key)


def _type_name(value: Any) -> str:
    kind = type(value)
    if isinstance(value, type):
        return "a class"
    if kind in _TEXT_OF_TYPE:
        return "a " + _TEXT_OF_TYPE[kind]
    module = "" if kind.__module__ in ("builtins", "__main__") else kind.__module__ + "."
    return "of type " + module + kind.__qualname__
