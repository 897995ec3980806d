"""Runs Parsl's own programs, so that they start in a fraction of the time: its interchange, and its pool of workers.

Parsl spawns its workers, and each imports Parsl and Jupyter for about a second of processor time. Here they are
forked from a server that has imported both and runs no thread (the standard library's fork server). A worker that
replaces a lost one is forked from it as well.

Run as a program, with the name of one of `PROGRAMS` and that one's own arguments; or `become` one, in a process that
`fork_server` has forked.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import multiprocessing.util
import os
import runpy
import sys
import tempfile
import traceback
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

PROGRAMS = {
    "interchange": "parsl.executors.high_throughput.interchange",
    "pool": "parsl.executors.high_throughput.process_worker_pool",
}

SHARED = "envsolver.run.parsl.worker_preload"
"""What the fork server imports."""

LAZY = ("multiprocessing.managers", "multiprocessing.popen_forkserver", "multiprocessing.sharedctypes", "zmq.auth")
"""What the programs import only when they run."""


def preload() -> None:
    """Import all that the programs need, but not themselves, since they are to be run."""
    from envsolver.run.parsl.lean_import import lean

    with lean():
        for name in (SHARED, *LAZY, *PROGRAMS.values()):
            importlib.import_module(name)
    for name in PROGRAMS.values():
        del sys.modules[name]


def become(*, forked: bool = False) -> None:
    """Become the program that the arguments name.

    Parameters
    ----------
    forked
        Whether all is imported here, so that the workers' server need not be started anew.
    """
    name = sys.argv.pop(1)
    context = _fork_server(forked=forked) if name == "pool" else None
    from envsolver.run.parsl.lean_import import lean

    with lean():
        import parsl.multiprocessing
    if context is not None:
        parsl.multiprocessing.SpawnContext = context  # type: ignore[assignment]  # the two have the same interface
    runpy.run_module(PROGRAMS[name], run_name="__main__", alter_sys=True)


def _keep_sockets_short() -> None:
    """Have multiprocessing put its sockets where their paths are short enough, and where the run's end removes them."""
    from envsolver.worker.private_directories import make_private, run_directory
    from envsolver.worker.processes import RUN_MARK

    parent = run_directory(os.environ.get(RUN_MARK, ""))
    before = tempfile.tempdir
    with contextlib.suppress(OSError):
        if make_private(parent):
            tempfile.tempdir = str(parent)
            multiprocessing.util.get_temp_dir()  # it is made once, and known to all that is started from here
    tempfile.tempdir = before


def _fork_server(*, forked: bool) -> ForkServerContext:
    _keep_sockets_short()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([SHARED])
    start = forkserver.util.spawnv_passfds  # type: ignore[attr-defined]
    if forked:
        forkserver.util.spawnv_passfds = _fork  # type: ignore[attr-defined]
    try:
        forkserver.ensure_running()
    finally:
        forkserver.util.spawnv_passfds = start  # type: ignore[attr-defined]
    return context


def _fork(_: object, arguments: Sequence[Any], kept: Sequence[int]) -> int:
    """Do in a child what ``python -c <the last argument>`` would do anew."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # names are wanted
            if number not in {0, 1, 2, *kept}:
                with contextlib.suppress(OSError):  # that of the listing
                    os.close(number)
        exec(arguments[-1], {"__name__": "__main__"})  # noqa: S102  # the standard library's own text
    except SystemExit:
        pass
    except BaseException:  # noqa: BLE001  # this process must not go on as its parent
        traceback.print_exc()
    os._exit(0)


def main() -> None:
    """Become one of Parsl's programs."""
    # The package's own directory must not be searched: its modules have names that others use as well.
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    become()


if __name__ == "__main__":
    main()
