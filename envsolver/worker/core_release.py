"""What a worker tells the controller while its job goes on: a datagram each, whose loss only costs time.

A notebook's cores are free from its last cell on, while its kernel still runs exit handlers and its directory is
removed. Saying so lets the next notebook start meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from envsolver.worker.private_directories import make_private, run_directory

_LONGEST = 4096


class ReleaseListener:
    """The controller's end.

    Parameters
    ----------
    run_id
        The run, in whose private directory it listens; empty for one that wants to hear nothing.

    Attributes
    ----------
    path
        Where it listens; empty when that is not possible, and then nothing will be heard.
    """

    def __init__(self, run_id: str) -> None:
        self.path = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread: threading.Thread | None = None
        with contextlib.suppress(OSError):
            if run_id and make_private(run_directory(run_id)):
                place = str(run_directory(run_id) / "release")
                self._socket.bind(place)
                self.path = place

    def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with the mark of each job that has given its cores back, on a thread of its own."""
        if self.path:
            self._thread = threading.Thread(target=self._listen, args=(heard,), name="core-release", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Listen no more. Harmless when repeated."""
        if self._thread is not None:
            release_cores(self.path, "")
            self._thread.join(timeout=1)
            self._thread = None
        self._socket.close()

    def _listen(self, heard: Callable[[str], None]) -> None:
        while mark := self._socket.recv(_LONGEST):
            heard(mark.decode(errors="replace"))


def release_cores(path: str, mark: str) -> None:
    """Tell the controller that a job needs its cores no more; does nothing where nobody listens.

    Parameters
    ----------
    path
        Where the controller listens; empty for nowhere.
    mark
        The job's.
    """
    if not path:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(mark.encode(), path)
