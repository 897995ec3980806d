"""The errors that end a command, an exit code for each kind.

Each says what happened and then what to do about it. They are caught once, in `cli`.
"""

from __future__ import annotations

from collections.abc import Sequence


class EnvsolverError(Exception):
    """Base of all expected errors.

    Parameters
    ----------
    message
        What happened, where; a sentence or several lines.
    tip
        What to do about it; shown after the message.
    """

    exit_code = 1

    def __init__(self, message: str, *, tip: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.tip = tip


class ConfigurationError(EnvsolverError):
    """The configuration or the command line is wrong. Lists every fault with its place."""

    exit_code = 2

    def __init__(self, faults: Sequence[str], *, tip: str = "") -> None:
        self.faults = tuple(faults)
        message = self.faults[0] if len(self.faults) == 1 else "\n".join(f"- {f}" for f in self.faults)
        super().__init__(message, tip=tip)


class NothingToRunError(EnvsolverError):
    """No notebook matches."""

    exit_code = 3


class UnsolvableError(EnvsolverError):
    """A group's requirements cannot be solved; the message holds uv's explanation and the places."""

    exit_code = 4


class BuildError(EnvsolverError):
    """An environment could not be built."""

    exit_code = 5


class HandedBackError(Exception):
    """A worker gives a job back that it has not started: its block ends too soon.

    Parameters
    ----------
    seconds
        How much is left of the block.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class UnfitPlaceError(Exception):
    """A job cannot be run where it was sent, which says nothing about its notebook.

    Parameters
    ----------
    words
        Why, where, and what to do about it, in one line.
    block
        The number of the block whose node it is; empty for a whole pool of workers that could not be started.
    path
        What is missing there; empty when it is something else.
    """

    def __init__(self, words: str, block: str = "", path: str = "") -> None:
        super().__init__(words, block, path)
        self.words = words
        self.block = block
        self.path = path

    def __str__(self) -> str:
        """Return the words alone."""
        return self.words


class UnusableNotebookError(Exception):
    """A file is not a usable notebook, or its settings do not fit it; the message says why.

    It ends no command: it becomes that notebook's fault, or its job's result.
    """


class InterruptedRunError(EnvsolverError):
    """The run was interrupted by a person or by the system."""

    exit_code = 130
