"""Starts a pool of Parsl workers that share one import of what they run.

Parsl spawns its workers, and each imports Parsl and Jupyter for about a second of processor time. Here they are
forked from a server that has imported both and runs no thread (the standard library's fork server), which starts
while the pool itself is still importing. A worker that replaces a lost one is forked from it as well.

Run as a program, with the pool's own arguments.
"""

from __future__ import annotations

import multiprocessing
import runpy
import sys
from multiprocessing import forkserver
from pathlib import Path

POOL = "parsl.executors.high_throughput.process_worker_pool"
"""The program that is the pool."""

SHARED = ("envsolver.worker", "parsl.executors.high_throughput.probe", "parsl.executors.execute_task")
"""What every worker imports; importing any part of Parsl imports nearly all of it."""


def main() -> None:
    """Become the pool."""
    # The package's own directory must not be searched: its modules have names that others use as well.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*SHARED])
    forkserver.ensure_running()
    import parsl.multiprocessing

    parsl.multiprocessing.SpawnContext = context  # type: ignore[assignment]  # the two have the same interface
    runpy.run_module(POOL, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
