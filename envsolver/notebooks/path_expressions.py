"""Work out the directory that an expression such as ``os.path.abspath("..")`` names, without running it."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping

_SAME = frozenset({"abspath", "realpath", "normpath", "str", "fspath", "Path", "PurePath", "PosixPath", "as_posix"})
_METHODS = frozenset({"resolve", "absolute", "as_posix", "expanduser"})
_JOINING = frozenset({"join", "joinpath"})


def path_value(node: ast.expr, names: Mapping[str, str], cwd: str) -> str | None:
    """Return the path that an expression stands for, or None when that cannot be known.

    Parameters
    ----------
    names
        Values of variables that are known to hold paths.
    cwd
        The working directory, absolute.
    """
    value: str | None = None
    match node:
        case ast.Constant(value=str() as text):
            value = text
        case ast.Name(id=name):
            value = names.get(name)
        case ast.Attribute(attr="pardir"):
            value = ".."
        case ast.Attribute(attr="curdir"):
            value = "."
        case ast.Attribute(value=inner, attr="parent"):
            value = _ancestor(path_value(inner, names, cwd), 1, cwd)
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int() as level)):
            value = _ancestor(path_value(inner, names, cwd), level + 1, cwd)
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() as operator, right=right):
            first, second = path_value(left, names, cwd), path_value(right, names, cwd)
            if first is not None and second is not None:
                value = first + second if isinstance(operator, ast.Add) else _join(first, second)
        case ast.Call(func=function, args=arguments):
            value = _call_value(function, arguments, names, cwd)
    return value


def path_tail(node: ast.expr, names: Mapping[str, str], cwd: str) -> str:
    """Return the relative path that an expression ends in whose beginning cannot be known; empty when there is none."""
    match node:
        case ast.BinOp(left=left, op=ast.Div() | ast.Add(), right=right):
            return _tail([left, right], names, cwd)
        case ast.Call(func=function, args=arguments):
            owner = function.value if isinstance(function, ast.Attribute) else None
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in _METHODS and not arguments and owner is not None:
                return path_tail(owner, names, cwd)
            if name in _JOINING or name in _SAME:
                return _tail([*([owner] if name == "joinpath" and owner is not None else []), *arguments], names, cwd)
        case ast.JoinedStr(values=parts):
            return _tail(parts, names, cwd)
    return ""


def _tail(parts: list[ast.expr], names: Mapping[str, str], cwd: str) -> str:
    """Join the known parts behind the last one that is not known."""
    tail = ""
    for part in parts:
        value = path_value(part, names, cwd)
        tail = path_tail(part, names, cwd) if value is None else _join(tail, value.lstrip("/"))
    return tail


def _call_value(function: ast.expr, arguments: list[ast.expr], names: Mapping[str, str], cwd: str) -> str | None:
    """Return the path that a call returns."""
    owner = function.value if isinstance(function, ast.Attribute) else None
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if not arguments:
        if owner is not None and name in _METHODS:
            return path_value(owner, names, cwd)
        # `Path()` is the working directory too.
        return cwd if name in {"getcwd", "cwd", "Path"} else None
    values = [path_value(argument, names, cwd) for argument in arguments]
    if name == "joinpath" and owner is not None:
        values.insert(0, path_value(owner, names, cwd))
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return None
    if name == "dirname":
        return _ancestor(known[0], 1, cwd)
    return _join(*known) if name in _JOINING or name in _SAME else None


def _ancestor(path: str | None, levels: int, cwd: str) -> str | None:
    """Go up some levels; the path is made absolute first, since ``..`` has no parent in its text."""
    if path is None or levels < 1:
        return None
    return os.path.normpath(_join(cwd, path, *[".."] * levels))


def _join(*parts: str) -> str:
    """Join texts as `os.path.join` does; they are not paths of this machine yet."""
    return os.path.join(*parts)  # noqa: PTH118 - pathlib would tidy the texts up
