"""Runs Parsl's own programs, so that they start in a fraction of the time: its interchange, and its pool of workers.

Parsl spawns its workers, and each imports Parsl and Jupyter for about a second of processor time. Here they are
forked from a server that has imported both and runs no thread (the standard library's fork server), which starts
while the pool itself is still importing. A worker that replaces a lost one is forked from it as well.

Run as a program, with the name of one of `PROGRAMS` and that one's own arguments.
"""

from __future__ import annotations

import multiprocessing
import runpy
import sys
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

PROGRAMS = {
    "interchange": "parsl.executors.high_throughput.interchange",
    "pool": "parsl.executors.high_throughput.process_worker_pool",
}

SHARED = "envsolver.worker_shared"
"""What the fork server imports."""


def main() -> None:
    """Become one of Parsl's programs."""
    # The package's own directory must not be searched: its modules have names that others use as well.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    name = sys.argv.pop(1)
    context = _fork_server() if name == "pool" else None
    from envsolver.parsl_import import unchecked

    with unchecked():
        import parsl.multiprocessing
    if context is not None:
        parsl.multiprocessing.SpawnContext = context  # type: ignore[assignment]  # the two have the same interface
    runpy.run_module(PROGRAMS[name], run_name="__main__", alter_sys=True)


def _fork_server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([SHARED])
    forkserver.ensure_running()
    return context


if __name__ == "__main__":
    main()
