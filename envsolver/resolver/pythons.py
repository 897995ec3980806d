"""Which Pythons a run uses: the default, those named, or the whole matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from envsolver.core.environments import Interpreter
from envsolver.core.errors import ConfigurationError
from envsolver.resolver.specifiers import python_allowed

ALL = "all"
"""What stands for every Python of the configuration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """The Pythons of a run."""

    interpreters: tuple[Interpreter, ...]
    """In the order asked for, each once."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Pythons that only `ALL` asks for and the machine lacks, each with the reason why."""


def choose_pythons(asked: Sequence[str], configured: Sequence[str], find: Callable[[str], Interpreter]) -> Matrix:
    """Return the Pythons of a run.

    Parameters
    ----------
    asked
        Versions, paths or `ALL`; empty for the default, the first configured one.
    configured
        The matrix.
    find
        Returns the interpreter that a version or a path stands for, or raises `ConfigurationError`.

    Raises
    ------
    ConfigurationError
        One that was named is missing; all such are listed. Or none is left.
    """
    named = [request for request in asked if request != ALL] or ([] if asked else list(configured[:1]))
    wanted = dict.fromkeys([*named, *(configured if ALL in asked else ())])
    found: dict[str, Interpreter] = {}
    missing: dict[str, ConfigurationError] = {}
    for request in wanted:
        try:
            interpreter = find(request)
        except ConfigurationError as error:
            missing[request] = error
        else:
            found.setdefault(interpreter.executable, interpreter)
    lacking = [missing[request] for request in named if request in missing]
    if lacking or not found:
        errors = lacking or list(missing.values())
        tip = errors[0].tip if errors else "Name one with --python, or configure `python`."
        raise ConfigurationError(
            [fault for error in errors for fault in error.faults] or ["no Python is named"], tip=tip
        )
    left_out = tuple((request, error.message) for request, error in missing.items())
    return Matrix(interpreters=tuple(found.values()), left_out=left_out)


def why_unsupported(what: str, requires_python: str | None, interpreter: Interpreter) -> str:
    """Return the sentence why something does not run on an interpreter; empty when it does.

    Parameters
    ----------
    what
        What has the requirement, such as ``group ml``.
    requires_python
        The versions that it supports; None for all.
    """
    if python_allowed(requires_python, interpreter):
        return ""
    return f"{what} needs Python {SpecifierSet(requires_python or '')}, and this is Python {interpreter.version}"
