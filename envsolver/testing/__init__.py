"""Notebooks as unittest cases: `NotebookTestCase` is public, and what generated test files import."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envsolver.testing.case import NotebookTestCase

__all__ = ["NotebookTestCase"]


def __getattr__(name: str) -> Any:
    # Every pytest imports this package on its way to the plugin, and pays for nothing that it does not use.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from envsolver.testing.case import NotebookTestCase

    return NotebookTestCase
