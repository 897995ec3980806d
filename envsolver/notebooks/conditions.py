"""What the conditions around a statement mean for the imports and install lines below them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_ELSEWHERE = re.compile(
    r"colab|kaggle|binder|deepnote|sagemaker|paperspace|pyodide|emscripten|jupyterlite|readthedocs", re.IGNORECASE
)
_EITHER = re.compile(
    r"find_spec|find_loader|sys\.modules|installed|available|\bhas_|pkg_resources|sys\.platform|platform\.system|os\.name"
    r"|version_info",
    re.IGNORECASE,
)
_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_CHECKERS_ONLY = frozenset({"TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING"})
_INSTALL = re.compile(
    r"\b(?:pip|conda|uv|mamba|poetry) (?:\w+ )?(?:install|add)\b|(?:need|have|required?) to install", re.IGNORECASE
)
_EXITS = frozenset({"exit", "quit", "_exit"})


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for the statements of one block."""

    optional: bool = False
    """The notebook copes when an import fails here."""
    guarded: bool = False
    """A condition decides whether this is run."""
    deferred: bool = False
    """It stands in a function, which may never be called."""


def branches(test: ast.expr, context: Context, flags: Mapping[str, bool]) -> tuple[Context | None, Context | None]:
    """Return what holds in the two branches of an ``if``; None for a branch that never runs under test.

    A condition that asks for another platform, such as Colab, makes its branch optional; one that asks whether
    something is installed makes both optional, and so is what a variable that holds False switches off. Any other
    leaves imports needed. InstallRequests are guarded in all of them.
    """
    guarded = replace(context, guarded=True)
    optional = replace(guarded, optional=True)
    text = ast.unparse(test)
    if text in _CHECKERS_ONLY or (isinstance(test, ast.Constant) and not test.value):
        return None, context
    if isinstance(test, ast.Constant):
        return context, None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        # Written the other way round, it means the same.
        otherwise, then = branches(test.operand, context, flags)
        return then, otherwise
    if text in flags:
        return (guarded, optional) if flags[text] else (optional, guarded)
    if _ELSEWHERE.search(text):
        negated = " not in " in text or "!=" in text or text.endswith((" is None", " == False", " is False"))
        return (context, optional) if negated else (optional, context)
    return (optional, optional) if _EITHER.search(text) else (guarded, guarded)


def catches_import_error(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler is reached when an import fails."""
    return handler.type is None or _names_import_error(handler.type)


def suppresses_import_error(node: ast.With) -> bool:
    """Return whether a ``with`` is a ``contextlib.suppress`` of failed imports."""
    for item in node.items:
        match item.context_expr:
            case ast.Call(func=ast.Attribute(attr="suppress") | ast.Name(id="suppress"), args=arguments):
                if any(_names_import_error(argument) for argument in arguments):
                    return True
    return False


def gives_up(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler ends the notebook: it raises or exits."""
    for statement in handler.body:
        match statement:
            case ast.Raise():
                return True
            case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))) if name in _EXITS:
                return True
    return False


def only_tells_to_install(node: ast.Try, handler: ast.ExceptHandler) -> bool:
    """Return whether a handler does nothing but say what to install, so that what follows fails without the import."""
    if node.orelse or not all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in node.body):
        # What stands beside the imports may note whether they worked.
        return False
    said: list[str] = []
    for statement in handler.body:
        match statement:
            case ast.Expr(value=ast.Call(args=arguments)):
                said += [ast.unparse(argument) for argument in arguments]
            case _:
                return False
    return any(_INSTALL.search(text) for text in said)


def _names_import_error(node: ast.expr) -> bool:
    """Return whether an expression is, or holds, an exception that a failed import raises."""
    match node:
        case ast.Tuple(elts=members):
            return any(_names_import_error(member) for member in members)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _IMPORT_ERRORS
    return False
