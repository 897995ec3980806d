"""What is reported while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from envsolver.core.jobs import Job
from envsolver.core.results import Block, Result

BlockListener: TypeAlias = Callable[[Block], None]
"""Is told what has become of a block of nodes."""


class Progress(Protocol):
    """What is reported while a run goes on. Calls come from one thread, but for notes and blocks, from any."""

    def note(self, text: str) -> None:
        """Say one line, such as ``core: built in 12 s``."""

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None = None, pythons: Sequence[str] = ()
    ) -> None:
        """Announce how many jobs each group has, how many run at once, the expected seconds in all, and the Pythons."""

    def started(self, job: Job, expected: float | None = None) -> None:
        """Say that a job was sent to a worker, which may still be starting; `expected` is its seconds by history."""

    def returned(self, job: Job) -> None:
        """Say that a job that was sent waits again."""

    def block(self, block: Block) -> None:
        """Say what has become of a block of nodes."""

    def finished(self, result: Result) -> None:
        """Say that a notebook has its verdict."""

    def end(self) -> None:
        """Nothing more will come; leave the terminal clean."""
