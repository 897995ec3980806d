"""Forks Parsl's programs from a process that has imported them, so that an executor costs no imports.

Parsl starts an interchange and a pool of workers for each executor, and each would import Parsl and Jupyter for half
a second of processor time. This process starts with the command, and imports both while that reads its configuration.
It runs no thread, and ends when the command does. Linux only; elsewhere, and when it is gone, the programs start anew.

A request comes from `parsl_client`: one line of JSON (``argv``, ``cwd``, ``env``, ``output``) with the three standard
streams. The answers are ``{"pid": …}`` and, at the program's end, ``{"exit": …}``. When the client goes, so does the
program.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

_STREAMS = 3
_LONGEST_REQUEST = 4_000_000
_REQUEST_SECONDS = 10.0


class Server:
    """Answers requests until its lifeline, the standard input, ends.

    Parameters
    ----------
    listener
        Where requests come in.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._lifeline = os.dup(0)
        self._programs: dict[
            int, tuple[int, socket.socket | None]
        ] = {}  # process and client, by the descriptor of its end

    def serve(self) -> list[str]:
        """Fork a program for each request. Returns its arguments, in the child that is to become the program."""
        while True:
            poll = select.poll()
            clients = [client.fileno() for _, client in self._programs.values() if client is not None]
            for number in (self._lifeline, self._listener.fileno(), *self._programs, *clients):
                poll.register(number, select.POLLIN)
            ready = {number for number, _ in poll.poll()}
            if self._lifeline in ready:
                self._end()
            self._look(ready)
            if self._listener.fileno() in ready:
                argv = self._asked()
                if argv is not None:
                    return argv

    def _asked(self) -> list[str] | None:
        client, _ = self._listener.accept()
        client.settimeout(_REQUEST_SECONDS)
        try:
            request, streams = _receive(client)
        except (OSError, ValueError):
            client.close()
            return None
        pid = os.fork()
        if pid == 0:
            self._forget(client)
            _enter(request, streams)
            return list(request["argv"])
        for stream in streams:
            os.close(stream)
        self._programs[os.pidfd_open(pid)] = (pid, client)
        _answer(client, {"pid": pid})
        return None

    def _look(self, ready: set[int]) -> None:
        """Report the end of programs, and end those whose client has gone."""
        for ending, (pid, client) in list(self._programs.items()):
            if ending in ready:
                _, status = os.waitpid(pid, 0)
                os.close(ending)
                del self._programs[ending]
                if client is not None:
                    _answer(client, {"exit": os.waitstatus_to_exitcode(status)})
                    client.close()
            elif client is not None and client.fileno() in ready:
                client.close()
                self._programs[ending] = (pid, None)
                end_session(pid)

    def _forget(self, client: socket.socket) -> None:
        """Close what a forked child must not hold."""
        for held in (self._listener, client, *(other for _, other in self._programs.values() if other is not None)):
            held.close()
        for number in (self._lifeline, *self._programs):
            os.close(number)
        self._programs.clear()

    def _end(self) -> None:
        for pid, _ in self._programs.values():
            end_session(pid)
        place = Path(self._listener.getsockname())
        with contextlib.suppress(OSError):  # others may still use the directory, or it is gone
            place.unlink()
            place.parent.rmdir()
        os._exit(0)


def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read a request and the streams that come with it.

    Raises
    ------
    OSError, ValueError
        When it is not complete.
    """
    data, streams, _, _ = socket.recv_fds(client, 65536, _STREAMS)
    try:
        while not data.endswith(b"\n"):
            data += _more(client, len(data))
        return dict(json.loads(data)), streams
    except BaseException:
        for stream in streams:
            os.close(stream)
        raise


def _more(client: socket.socket, have: int) -> bytes:
    piece = client.recv(65536)
    if not piece or have > _LONGEST_REQUEST:
        raise OSError("no request")
    return piece


def _enter(request: dict[str, Any], streams: list[int]) -> None:
    """Set up the session, the streams, the folder and the variables that the program would start with."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if request["output"]:
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()


def end_session(pid: int) -> None:
    """Ask a program and its children to end; what does not is ended with the run."""
    with contextlib.suppress(OSError):
        try:
            os.killpg(pid, signal.SIGTERM)
        except ProcessLookupError:  # it was forked this moment, and has no session yet
            os.kill(pid, signal.SIGTERM)


def _answer(client: socket.socket, message: dict[str, int]) -> None:
    with contextlib.suppress(OSError):  # it has gone; that is noticed at the next look
        client.sendall(json.dumps(message).encode() + b"\n")


def main() -> None:
    """Import what Parsl's programs need, then serve on the socket whose descriptor is the first argument."""
    # The package's own directory must not be searched: its modules have names that others use as well.
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    listener = socket.socket(fileno=int(sys.argv[1]))
    from envsolver.run.parsl.programs import become, preload

    preload()
    gc.collect()
    gc.freeze()
    sys.argv[1:] = Server(listener).serve()
    become(forked=True)


if __name__ == "__main__":
    main()
