"""Imports Parsl in a third of the time.

Parsl has the arguments of its own functions checked, by typeguard, which reads and compiles their sources anew at each
import: a third of a second in each of the processes that Parsl consists of. Inside envsolver these calls come from one
place, whose types are checked beforehand. And wherever SQLAlchemy is installed, Parsl imports it, which takes as long
again, though only the database of its monitoring needs it; Parsl goes without it where it is not installed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

_DATABASE = "sqlalchemy"


@contextlib.contextmanager
def lean(*, database: bool = False) -> Iterator[None]:
    """Have what is imported meanwhile go without typeguard's checks of its calls, and without SQLAlchemy.

    Parameters
    ----------
    database
        Whether SQLAlchemy is needed, which it is for `--monitor`.
    """
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchanged
    hidden = not database and _DATABASE not in sys.modules
    if hidden:
        sys.modules[_DATABASE] = None  # type: ignore[assignment]  # then it counts as not installed
    try:
        yield
    finally:
        typeguard.typechecked = checked
        if hidden:
            del sys.modules[_DATABASE]


def _unchanged(target: Any = None, **_: object) -> Any:
    """Stand in for `typeguard.typechecked`, with and without options."""
    return _identity if target is None else target


def _identity(target: Callable[..., Any]) -> Callable[..., Any]:
    return target
