# ruff: noqa: SIM105  # it imports no more than a kernel does
"""The kernels that a template has forked, and what it says to the workers that asked for them.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library. It imports only what every
kernel holds anyway.
"""

from __future__ import annotations

import json
import os
import signal
import socket

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

_POLL = 20  # milliseconds between looks at the kernels where the system has no descriptors for processes
_LONGEST_REQUEST = 1_000_000
_REQUEST_SECONDS = 10.0


class Kernels:
    """The kernels that a node has forked and not yet seen the end of."""

    def __init__(self) -> None:
        self.connections: dict[int, tuple[socket.socket, int]] = {}
        self.descriptors: dict[int, int] = {}

    @staticmethod
    def read_request(connection: socket.socket) -> Any:
        """Return what a worker asks for.

        Raises
        ------
        OSError, ValueError
            When it does not come in time, or is no request.
        """
        connection.settimeout(_REQUEST_SECONDS)
        data = b""
        while not data.endswith(b"\n"):
            piece = connection.recv(65536)
            if not piece or len(data) > _LONGEST_REQUEST:
                raise OSError("no request")
            data += piece
        return json.loads(data)

    @staticmethod
    def refuse(connection: socket.socket, why: str) -> None:
        """Answer a worker that it gets no kernel from here."""
        _answer(connection, {"refused": why})
        connection.close()

    def add(self, pid: int, connection: socket.socket) -> None:
        """Keep a kernel that has just been forked, and answer its worker."""
        self.connections[connection.fileno()] = (connection, pid)
        try:
            self.descriptors[os.pidfd_open(pid)] = pid  # type: ignore[attr-defined,unused-ignore]
        except (AttributeError, OSError):  # an old Python or an old kernel
            pass
        _answer(connection, {"pid": pid})

    @property
    def timeout(self) -> int | None:
        """Milliseconds to wait at most, None for no limit."""
        return _POLL if len(self.descriptors) < len(self.connections) else None

    def reap(self) -> None:
        """Report the exit of each kernel that has ended."""
        for number, (connection, pid) in list(self.connections.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            _answer(connection, {"exit": code})
            connection.close()
            del self.connections[number]
            for descriptor, which in list(self.descriptors.items()):
                if which == pid:
                    os.close(descriptor)
                    del self.descriptors[descriptor]

    def abandoned(self, number: int) -> None:
        """End the kernel whose worker has gone."""
        _kill_session(self.connections[number][1])

    def end(self) -> None:
        """End all kernels."""
        for _, pid in self.connections.values():
            _kill_session(pid)

    def forget(self) -> None:
        """Close what a forked child must not hold."""
        for connection, _ in self.connections.values():
            connection.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.connections.clear()
        self.descriptors.clear()

    def let_go(self) -> None:
        """Forget the sockets without closing them."""
        for connection, _ in self.connections.values():
            connection.detach()


def _answer(connection: socket.socket, message: dict[str, Any]) -> None:
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:  # the worker has gone; its kernel is ended when that is noticed
        pass


def _kill_session(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
