"""Imports Parsl in half the time.

Parsl has the arguments of its own functions checked, by typeguard, which reads and compiles their sources anew at each
import: a third of a second in each of the processes that Parsl consists of. Inside envsolver these calls come from one
place, whose types are checked beforehand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Have what is imported meanwhile go without typeguard's checks of its calls."""
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        yield
    finally:
        typeguard.typechecked = checked


def _unchanged(target: Any = None, **_: object) -> Any:
    """Stand in for `typeguard.typechecked`, with and without options."""
    return _identity if target is None else target


def _identity(target: Callable[..., Any]) -> Callable[..., Any]:
    return target
