"""What the scheduling asks of those that carry jobs and of those that warm kernels."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from envsolver.core.jobs import Job
from envsolver.core.results import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolRequest:
    """What the workers of one environment are to be.

    Attributes
    ----------
    prefix
        The environment's directory.
    environment, profile
        Its key, and the profile that the workers run under; empty for this machine.
    workers
        How many jobs may run at once.
    gpus
        What each worker is pinned to, such as ``0`` or ``0,1``; there are no more workers than that.
    cores, memory
        The most that one of its jobs takes: CPU cores, and bytes, None when nothing is known.
    """

    prefix: Path
    workers: int
    environment: str = ""
    profile: str = ""
    gpus: tuple[str, ...] = ()
    cores: int = 1
    memory: int | None = None


class JobExecutor(Protocol):
    """What carries jobs to where they run."""

    def open(self, key: str, pool: PoolRequest) -> None:
        """Get ready for jobs whose `pool` is `key`; returns at once."""

    def submit(self, key: str, job: Job) -> Future[Result]:
        """Start a job in an opened pool.

        The future raises when its worker is lost, `HandedBackError` when that ends too soon to start it,
        and `UnfitPlaceError` when the job cannot be run where it was sent.
        """

    def clear(self, job: Job) -> None:
        """End whatever an attempt whose worker was lost left running."""

    def broken(self) -> Mapping[str, str]:
        """Name the pools whose workers are gone for good, and why."""

    def reopen(self, key: str) -> None:
        """Replace the workers of a broken pool."""

    def close(self, *, gently: bool) -> None:
        """Stop everything; without `gently`, do not wait for anything."""


class KernelTemplates(Protocol):
    """The templates of warm kernels, as the scheduling sees them."""

    def path_for(self, job: Job) -> str:
        """Return the socket of the template that forks a job's kernel; empty for a kernel that starts anew."""

    def loading(self, job: Job) -> frozenset[str]:
        """Name the parts of a template that must still be loaded before it can fork a job's kernel."""

    def shared(self, job: Job) -> int:
        """Return the memory that a job's kernel has in common with its template, bytes."""

    def memory(self) -> int:
        """Return the memory that all templates take together, bytes."""

    def learn(self, job: Job, result: Result) -> None:
        """Hear what an attempt came to, so that the jobs that wait are spared what made it void."""
