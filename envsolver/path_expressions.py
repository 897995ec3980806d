"""Work out the directory that an expression such as ``os.path.abspath("..")`` names, without running it."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping

_SAME = frozenset({"abspath", "realpath", "normpath", "str", "fspath", "Path", "PurePath", "PosixPath", "as_posix"})
_METHODS_SAME = frozenset({"resolve", "absolute", "as_posix", "expanduser", "__str__"})


def path_value(node: ast.expr, names: Mapping[str, str], cwd: str) -> str | None:
    """Return the path that an expression gives, or None when that cannot be known.

    Parameters
    ----------
    names
        Values of variables that are known to hold paths.
    cwd
        The working directory, absolute.
    """
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.Name(id=name):
            return names.get(name)
        case ast.Attribute(value=inner, attr="parent"):
            return _parent(path_value(inner, names, cwd), cwd)
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int() as level)):
            return _ancestor(path_value(inner, names, cwd), level + 1, cwd)
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() as operator, right=right):
            first, second = path_value(left, names, cwd), path_value(right, names, cwd)
            if first is None or second is None:
                return None
            return first + second if isinstance(operator, ast.Add) else os.path.join(first, second)  # noqa: PTH118 - texts
        case ast.Call(func=function, args=arguments):
            return _call_value(function, arguments, names, cwd)
    return None


def _call_value(function: ast.expr, arguments: list[ast.expr], names: Mapping[str, str], cwd: str) -> str | None:
    """Return the path that a call gives."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in {"getcwd", "cwd"} and not arguments:
        return cwd
    if isinstance(function, ast.Attribute) and not arguments and name in _METHODS_SAME:
        return path_value(function.value, names, cwd)
    values = [path_value(argument, names, cwd) for argument in arguments]
    known = [value for value in values if value is not None]
    if len(known) != len(values) or not known:
        # `Path()` is the working directory.
        return "." if name == "Path" and not arguments else None
    if name == "dirname":
        return _parent(known[0], cwd)
    if name in {"join", "joinpath"} or (name in _SAME and len(known) > 1):
        start = path_value(function.value, names, cwd) if name == "joinpath" and isinstance(function, ast.Attribute) else ""
        return None if start is None else os.path.join(start, *known)  # noqa: PTH118 - these are texts
    return known[0] if name in _SAME else None


def _parent(path: str | None, cwd: str) -> str | None:
    """Return the directory that holds a path."""
    return _ancestor(path, 1, cwd)


def _ancestor(path: str | None, levels: int, cwd: str) -> str | None:
    """Go up some levels, which is right for `..` as well when the path is made absolute first."""
    if path is None or levels < 1:
        return None
    return os.path.normpath(os.path.join(cwd, path, *[".."] * levels))  # noqa: PTH118 - these are texts
