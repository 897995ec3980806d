# it imports no more than it needs
"""Has the programs followed that a kernel starts: it starts them from a thread that has a filter of system calls.

The keeper of the kernel (`program_keeper`) sends the filter, and awaits what is halted by it.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_SECCOMP = 317
_SET_FILTER, _NEW_LISTENER, _KILLABLE = 1, 1 << 3, 1 << 5
_NO_NEW_PRIVILEGES = 38
_PATIENCE = 20.0  # seconds for the keeper to answer


class Follower:
    """Has programs followed that this process, or one that it forked, starts.

    Parameters
    ----------
    place
        The keeper's socket.
    ignored
        What the paths of all files begin with that do not count.
    """

    def __init__(self, place: str, ignored: Sequence[str]) -> None:
        before = set(sys.modules)
        import _socket
        import _thread
        import ctypes

        for name in set(sys.modules) - before:
            del sys.modules[name]
        self._socket, self._thread, self._errno = _socket, _thread, ctypes.get_errno
        self._library: Any = ctypes.CDLL(None, use_errno=True)
        self._buffer, self._address = ctypes.create_string_buffer, ctypes.addressof
        self._place, self._ignored = place, list(ignored)

    def start(self, start: Callable[[], Any], refused: Callable[[], object]) -> Any:
        """Call a function that starts a program from a thread that is followed, and return what that returned.

        Parameters
        ----------
        refused
            Called before when the program cannot be followed.
        """
        done = self._thread.allocate_lock()
        outcome: list[tuple[Any, BaseException | None]] = []

        def work() -> None:
            try:
                if self.follow():
                    outcome.append((start(), None))
            except BaseException as error:  # noqa: BLE001  # it is raised where it belongs
                outcome.append((None, error))
            finally:
                done.release()

        done.acquire()
        try:
            self._thread.start_new_thread(work, ())
        except RuntimeError:  # no thread is to be had
            done.release()
        interrupted = not self._wait(done)
        if not outcome:
            refused()
            return start()
        value, error = outcome[0]
        if interrupted:  # only now, since else nobody would know of the program
            self._thread.interrupt_main()
        if error is not None:
            raise error
        return value

    @staticmethod
    def _wait(done: Any) -> bool:
        """Wait for a lock, and return whether no interrupt came meanwhile."""
        undisturbed = True
        while True:
            try:
                done.acquire()
            except KeyboardInterrupt:
                undisturbed = False
            else:
                return undisturbed

    def follow(self) -> bool:
        """Have all followed that this thread starts from now on, and itself; return whether that is so."""
        connection = self._socket.socket(self._socket.AF_UNIX, self._socket.SOCK_STREAM)
        try:
            connection.settimeout(_PATIENCE)
            connection.connect(self._place)
            code = self._ask(connection, [connection.fileno(), *self._ignored])
            listener = self._install(code) if code else -1
            if listener < 0:
                return False
            try:
                return self._ask(connection, [listener]) is not None
            finally:
                os.close(listener)
        except OSError:
            return False
        finally:
            connection.close()

    def _install(self, code: bytes) -> int:
        """Install the filter for this thread, and return the descriptor at which what it halts is heard of."""
        held = self._buffer(code, len(code))
        program = struct.pack("HP", len(code) // 8, self._address(held))
        arguments = (_SECCOMP, _SET_FILTER, _NEW_LISTENER | _KILLABLE, self._buffer(program, len(program)))
        listener = int(self._library.syscall(*arguments))
        if listener < 0 and self._errno() == errno.EACCES:
            self._library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
            listener = int(self._library.syscall(*arguments))
        return listener

    @staticmethod
    def _ask(connection: Any, words: list[Any]) -> bytes | None:
        """Return the keeper's answer, None when there is none."""
        connection.sendall(json.dumps(words).encode() + b"\n")
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack_from("I", data)[0]:  # noqa: PLR2004
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        return bytes(data[4:])
