"""Own a run's processes: end them when the run is over, and when its controller vanishes, even by SIGKILL.

Run as a program, this module is the guardian that does the latter. So nothing heavy is imported at the top.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.worker.private_directories import remove, run_directory
from envsolver.worker.processes import JOB_MARK, RUN_MARK, await_end, kill_marked

if TYPE_CHECKING:
    import subprocess


class Guardian:
    """The child process that ends a run's processes when the controller vanishes, even by SIGKILL."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Process id of the guardian."""
        return self._process.pid

    def dismiss(self) -> None:
        """Say that the run ended well: the guardian exits and touches nothing. Harmless when repeated."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.write(b"dismissed")
                self._process.stdin.close()
            except OSError:  # it is gone already
                pass
        await_end(self._process)


@contextlib.contextmanager
def owned(run_id: str, directories: Sequence[Path] = ()) -> Iterator[contextlib.ExitStack]:
    """Mark what is started meanwhile, and end all of it afterwards, even when this process is killed.

    Parameters
    ----------
    directories
        What goes with the run, beside its private directory.

    Yields
    ------
    contextlib.ExitStack
        What is put on it is done when the processes have ended and the directories are still there.
    """
    places = [run_directory(run_id), *directories]
    with contextlib.ExitStack() as stack:
        stack.callback(_set_mark, os.environ.get(RUN_MARK))
        _set_mark(run_id)
        stack.callback(start_guardian(run_id, places).dismiss)
        for place in places:
            stack.callback(remove, place)
        ended = stack.enter_context(contextlib.ExitStack())
        stack.callback(kill_marked, RUN_MARK, run_id)
        yield ended


def _set_mark(value: str | None) -> None:
    """Set the mark that what this process starts will carry; None for no mark."""
    if value is None:
        os.environ.pop(RUN_MARK, None)
    else:
        os.environ[RUN_MARK] = value


def start_guardian(run_id: str, directories_to_remove: Sequence[str | Path] = ()) -> Guardian:
    """Start the guardian of a run.

    Parameters
    ----------
    run_id
        Value of `RUN_MARK` in the run's processes.
    directories_to_remove
        Private temporary directories that go with the run.

    Notes
    -----
    The guardian lives in a session of its own, so Ctrl-C does not reach it, and its environment has no marks, so its
    own sweep does not either. The pipe that ties it to the controller is closed on exec.
    """
    import subprocess

    environment = {k: v for k, v in os.environ.items() if k not in {RUN_MARK, JOB_MARK}}
    # The controller's import path, since the guardian must not look in the directory that it is started from.
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)])
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "envsolver.worker.guardian",
            str(os.getpid()),
            run_id,
            *map(str, directories_to_remove),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        start_new_session=True,
    )
    return Guardian(process)


def guard(controller: int, run_id: str, directories: Sequence[str]) -> None:
    """Wait for the end of the process `controller`; unless it dismissed us, end what the run left behind.

    Reads the standard input. Its end without a word means that the controller vanished; so does a change of
    parent, which counts because a process forked from the controller may hold the pipe open.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if _dismissed(controller):
        return
    _sweep(run_id, directories)
    # A process that was between fork and exec during the first sweep shows its mark only now.
    time.sleep(0.5)
    _sweep(run_id, directories)


def _sweep(run_id: str, directories: Sequence[str]) -> None:
    kill_marked(RUN_MARK, run_id)
    for directory in directories:
        remove(Path(directory))


def _dismissed(controller: int) -> bool:
    import select

    while os.getppid() == controller:
        if select.select([0], [], [], 1.0)[0]:
            return bool(os.read(0, 1))
    return bool(select.select([0], [], [], 0.0)[0] and os.read(0, 1))


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
