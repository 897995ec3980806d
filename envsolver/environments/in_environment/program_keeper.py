# ruff: noqa: PTH110, PTH112, PTH118, PTH123, SIM105, SLF001  # it imports no more than it needs
"""Sees what the programs that a kernel starts read, whatever they are written in, by notifications of the Linux kernel.

A filter of system calls (seccomp) halts a program at each call that names a path or an address until the keeper of the
kernel (`namespaces`) has noted it and lets it go on, unchanged. All that such a program starts is halted as well. The
kernel itself has no filter: it starts programs from a thread that has one (`followed`). A call costs some 20 µs, a
Python that starts and ends 3 ms. Where this cannot be had, which is on anything but x86-64 and Linux 5.19 or later, the
kernel says which program it started, and its pass counts for nothing.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import json
import os
import struct

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

_PIDFD_OPEN, _PIDFD_GETFD = 434, 438
_DEATH_SIGNAL = 1
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _IS_HALTED = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1
_X86_64 = 0xC000003E
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_REQUEST, _ANSWER = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
_HERE = 0xFFFFFF9C  # the working directory, where a call takes a directory
_NO_FOLLOW, _PATH_ONLY, _WRITE_ONLY, _TRUNCATE = 0x100, 0o10000000, 0o1, 0o1000
_UNIX, _INTERNET, _INTERNET_6 = 1, 2, 10
_PATIENCE = 20.0  # seconds for the other side to answer
_PARTING = 0.02  # seconds in which a thread that started a program has ended
_LONGEST = 4096
_MOST = 100_000  # beyond so many things nothing more is noted
_MESSAGE = 64  # size of the head of a message with its length
_PIECE = 256

# Which arguments of a call are a path, each with that of its folder (None for the working directory), and what it is.
_ASK, _LINK, _ASK_AT = ((None, 0, "ask"),), ((None, 0, "link"),), ((0, 1, "ask"),)
_PATHS: dict[int, tuple[tuple[int | None, int, str], ...]] = {
    **dict.fromkeys((4, 21, 80, 83, 84, 87, 90, 92, 132, 137, 188, 191, 194, 197, 235), _ASK),  # stat, access, ...
    **dict.fromkeys((6, 89, 94, 189, 192, 195, 198), _LINK),  # lstat, readlink, lchown, l*xattr
    **dict.fromkeys((258, 260, 261, 263, 268, 269, 280, 303, 439, 452, 463, 464, 465, 466), _ASK_AT),
    254: ((None, 1, "ask"),),  # inotify_add_watch
    267: ((0, 1, "link"),),  # readlinkat
    76: ((None, 0, "file"),),  # truncate
    85: ((None, 0, "write"),),  # creat
    133: ((None, 0, "write"),),  # mknod
    259: ((0, 1, "write"),),  # mknodat
    **dict.fromkeys((82, 86), ((None, 0, "file"), (None, 1, "write"))),  # rename, link
    **dict.fromkeys((264, 265, 316), ((0, 1, "file"), (2, 3, "write"))),  # renameat, linkat, renameat2
    88: ((None, 1, "write"),),  # symlink
    266: ((1, 2, "write"),),  # symlinkat
}
_OPEN, _OPEN_AT, _OPEN_AT_2, _STAT_AT, _STATX = 2, 257, 437, 262, 332
_EXECUTE, _EXECUTE_AT = 59, 322
_CONNECT, _SEND_TO, _SEND_MESSAGE, _SEND_MESSAGES, _CONTROL = 42, 44, 46, 307, 157
_OPENING, _ASKING, _EXECUTING = (_OPEN, _OPEN_AT, _OPEN_AT_2), (_STAT_AT, _STATX), (_EXECUTE, _EXECUTE_AT)
_SPEAKING = (_CONNECT, _SEND_MESSAGE, _SEND_MESSAGES)
# What shows a program other files under the names that the keeper knows, or reads by other ways than by these calls:
# pivot_root, chroot, mount, umount2, open_by_handle_at, setns, io_uring_setup, open_tree and the rest of new mounts.
_HIDING = (155, 161, 165, 166, 304, 308, 425, 428, 429, 430, 431, 432, 433, 442)
_LAST_KNOWN = 466
_HALTED = sorted((*_PATHS, *_OPENING, *_ASKING, *_EXECUTING, *_SPEAKING, *_HIDING))


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _filter() -> bytes:
    """Return the filter, as the Linux kernel wants it."""
    notify, allow = _instruction(_RETURN, _NOTIFY), _instruction(_RETURN, _ALLOW)

    def halt(number: int, *before: bytes) -> bytes:
        return b"".join((_instruction(_EQUAL, number, no=len(before) + 1), *before, notify))

    def argument(number: int, high: int = 0) -> bytes:
        return _instruction(_LOAD, 16 + 8 * number + high)

    return b"".join(
        (
            *(_instruction(_LOAD, 4), _instruction(_EQUAL, _X86_64, yes=1), notify),
            *(_instruction(_LOAD, 0), _instruction(_AT_LEAST, _LAST_KNOWN + 1, no=1), notify),
            *map(halt, _HALTED),
            halt(_CONTROL, argument(0), _instruction(_EQUAL, _DEATH_SIGNAL, yes=1), allow),
            # What is sent without an address goes where a connection leads.
            halt(
                _SEND_TO,
                *(argument(4), _instruction(_EQUAL, 0, no=3)),
                *(argument(4, 4), _instruction(_EQUAL, 0, no=1), allow),
            ),
            allow,
        )
    )


class Keeper:
    """Lets the programs that are followed go on, and notes what they name. Made before the kernel's ``/proc`` is.

    Parameters
    ----------
    library
        The C library.
    log
        The file in which the kernel tells what it reads as well. The socket is beside it.
    """

    def __init__(self, library: Any, log: str) -> None:
        import _socket
        import fcntl

        self._library, self._log, self._ioctl = library, log, fcntl.ioctl
        self._socket = _socket
        self._programs = ProgramView()
        self._door: Any = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._door.bind(log + ".programs")
        self._door.listen(64)
        self._guests: dict[int, Any] = {}
        self._listeners: set[int] = set()
        self._ignored: tuple[str, ...] = ("/proc/", "/sys/", "/dev/")
        self._told: set[tuple[str, ...]] = set()
        self._listings = 0

    @property
    def numbers(self) -> set[int]:
        """The descriptors at which something may come."""
        return {self._door.fileno(), *self._guests, *self._listeners}

    @property
    def busy(self) -> bool:
        """Whether a program may wait."""
        return bool(self._listeners or self._guests)

    def forget(self) -> None:
        """Close all in a process that is not the keeper."""
        self._door.close()
        self._programs.close()

    def take(self, number: int, *, ended: bool) -> None:
        """Take what came at a descriptor, or note that there is nobody at its other end any more."""
        if number in self._listeners and ended:
            self._listeners.discard(number)
            os.close(number)
        elif number in self._listeners:
            self._hear(number)
        elif number in self._guests:
            self._answer(number)
        else:
            try:
                guest, _ = self._door._accept()
            except OSError:  # it has gone, or no descriptor is left
                return
            connection = self._socket.socket(fileno=guest)
            connection.settimeout(_PATIENCE)
            self._guests[guest] = connection

    # Threads that want to be followed

    def _answer(self, number: int) -> None:
        """Answer a thread: first by the filter, if its descriptors can be had, then that its programs are awaited."""
        connection = self._guests[number]
        try:
            data = b""
            while not data.endswith(b"\n"):
                data += connection.recv(65536) or b"\0\n"  # it has gone
            theirs, *ignored = json.loads(data)
            found = self._fetch(connection, theirs)
            code = _filter() if ignored else b""
            connection.sendall(struct.pack("I", len(code)) + code)
        except (OSError, ValueError):
            ignored = []
        else:
            if ignored:
                os.close(found)
                self._ignored = tuple(ignored)
                return
            self._listeners.add(found)
        del self._guests[number]
        connection.close()

    def _fetch(self, connection: Any, number: int) -> int:
        """Return an own descriptor for that of a process at the other end of a connection."""
        peer = connection.getsockopt(self._socket.SOL_SOCKET, self._socket.SO_PEERCRED, 12)
        process = int(self._library.syscall(_PIDFD_OPEN, struct.unpack("3i", peer)[0], 0))
        if process < 0:
            raise OSError(self._library.last_error(), "no such process")
        try:
            found = int(self._library.syscall(_PIDFD_GETFD, process, number, 0))
        finally:
            os.close(process)
        if found < 0:
            raise OSError(self._library.last_error(), "no such descriptor")
        os.set_inheritable(found, False)
        return found

    # What programs name

    def _hear(self, listener: int) -> None:
        request = bytearray(_REQUEST.size)
        try:
            self._ioctl(listener, _RECEIVE, request, True)
        except OSError:  # it was killed meanwhile
            return
        name, pid, _, call, machine, _, *arguments = _REQUEST.unpack(request)
        try:
            self._note(pid, call, machine, arguments)
        except Exception as error:  # noqa: BLE001  # the program must go on
            if self._is_halted(listener, name):
                self._tell("blind", f"a program's system call {call}: {error!r}")
        try:
            self._ioctl(listener, _SEND, _ANSWER.pack(name, 0, 0, _CONTINUE))
        except OSError:  # it was killed meanwhile
            pass

    def _is_halted(self, listener: int, name: int) -> bool:
        """Return whether a call is still to be made; not when its program was killed meanwhile."""
        try:
            self._ioctl(listener, _IS_HALTED, struct.pack("Q", name))
        except OSError:
            return False
        return True

    def _note(self, pid: int, call: int, machine: int, arguments: list[int]) -> None:
        if machine != _X86_64 or call > _LAST_KNOWN or call in _HIDING:
            self._tell("blind", f"a program made system call {call}")
        elif call == _CONTROL:
            # The signal comes as soon as the thread has ended that started the program.
            import time

            time.sleep(_PARTING)
        elif call == _SEND_TO or call in _SPEAKING:
            for address, length in self._addresses(pid, call, arguments):
                self._address(pid, address, length)
        elif call in _OPENING:
            self._opened(pid, call, arguments)
        elif call in _EXECUTING:
            at = call == _EXECUTE_AT
            self._executed(self._programs.path(pid, arguments[0] if at else _HERE, arguments[1 if at else 0], empty=at))
        elif call in _ASKING:
            flags = arguments[3 if call == _STAT_AT else 2]
            path = self._programs.path(pid, arguments[0], arguments[1])
            self._look("link" if flags & _NO_FOLLOW else "ask", path)
        else:
            for folder, place, kind in _PATHS[call]:
                self._look(
                    kind, self._programs.path(pid, _HERE if folder is None else arguments[folder], arguments[place])
                )

    def _addresses(self, pid: int, call: int, arguments: list[int]) -> list[tuple[int, int]]:
        """Return where the addresses are that a call names, and how long they are."""
        if call in (_CONNECT, _SEND_TO):
            place = 1 if call == _CONNECT else 4
            return [(arguments[place], arguments[place + 1])]
        count = arguments[2] & 0xFFFFFFFF if call == _SEND_MESSAGES else 1
        heads = [
            self._programs.memory(pid, arguments[1] + _MESSAGE * position, 12) for position in range(min(count, 1024))
        ]
        found = [struct.unpack("QI", head) for head in heads]
        return [(address, length) for address, length in found if address]

    def _opened(self, pid: int, call: int, arguments: list[int]) -> None:
        if call == _OPEN:
            path, flags = self._programs.path(pid, _HERE, arguments[0]), arguments[1]
        else:
            path, flags = self._programs.path(pid, arguments[0], arguments[1]), arguments[2]
        if call == _OPEN_AT_2:
            (flags,) = struct.unpack("Q", self._programs.memory(pid, flags, 8))
        if flags & _PATH_ONLY:
            self._look("ask", path)
        elif flags & _TRUNCATE or flags & os.O_ACCMODE == _WRITE_ONLY:
            self._look("write", path)
        else:
            self._look("listing" if os.path.isdir(path) else "file", path)

    def _executed(self, path: str) -> None:
        """Note a program, and what the Linux kernel itself reads to run it."""
        for _ in range(4):
            self._look("file", path)
            try:
                with open(path, "rb") as file:
                    head = file.read(_PIECE)
                    if head.startswith(b"\x7fELF\2\1"):
                        self._look("file", _loader(head, file))
                        return
            except OSError:  # it cannot be run either
                return
            if not head.startswith(b"#!"):
                break
            words = head[2:].split(b"\n")[0].split()
            if not words:
                break
            path = os.fsdecode(words[0])
        self._tell("blind", f"a program of an unknown kind: {path}")

    def _address(self, pid: int, place: int, length: int) -> None:
        data = self._programs.memory(pid, place, min(length & 0xFFFFFFFF, 128))
        family = struct.unpack("H", data[:2])[0] if len(data) > 1 else 0
        if family == _UNIX:
            path = os.fsdecode(data[2:].partition(b"\0")[0])
            path = self._programs.absolute(pid, _HERE, path) if path else "an abstract socket"
            if path and not os.path.join(path, "").startswith(self._ignored):
                self._tell(*(("ask", path) if path[0] == "/" and not os.path.exists(path) else ("service", path)))
        elif family == _INTERNET:
            self._tell("connection", ".".join(map(str, data[4:8])), str(int.from_bytes(data[2:4], "big")))
        elif family == _INTERNET_6:
            host = self._socket.inet_ntop(self._socket.AF_INET6, data[8:24])
            self._tell("connection", host, str(int.from_bytes(data[2:4], "big")))
        elif family:
            self._tell("service", f"a socket of family {family}")

    def _look(self, kind: str, path: str) -> None:
        if path and not os.path.join(path, "").startswith(self._ignored):
            self._tell(kind, path)

    def _tell(self, *words: str) -> None:
        if words[0] == "listing":  # how often it is listed tells whether imports alone did so
            self._listings += 1
            words = (*words, str(self._listings))
        if words in self._told or len(self._told) > _MOST:
            return
        if len(self._told) == _MOST:
            words = ("blind", "programs named too many files")
        self._told.add(words)
        number = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(number, (json.dumps(words) + "\n").encode())
        finally:
            os.close(number)


class ProgramView:
    """What programs hold: the texts and addresses that they name, and where they are."""

    def __init__(self) -> None:
        self._processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Look no more."""
        os.close(self._processes)

    def path(self, pid: int, folder: int, place: int, *, empty: bool = False) -> str:
        """Return the absolute path that a call names, empty for none."""
        text = os.fsdecode(self.memory(pid, place, _LONGEST, text=True)) if place else ""
        if text:
            return self.absolute(pid, folder, text)
        return self.link(pid, f"fd/{folder & 0xFFFFFFFF}") if empty else ""

    def absolute(self, pid: int, folder: int, text: str) -> str:
        """Return a path from the root, of one that may be relative to a folder."""
        if not text.startswith("/"):
            folder &= 0xFFFFFFFF
            text = os.path.join(self.link(pid, "cwd" if folder == _HERE else f"fd/{folder}"), text)
        if "/.." in text:
            # The folder above is that of what a link leads to.
            head, tail = os.path.split(text)
            text = os.path.realpath(text) if tail == ".." else os.path.join(os.path.realpath(head), tail)
        return os.path.normpath(text)

    def link(self, pid: int, name: str) -> str:
        """Return where a link in a process's folder leads."""
        return os.readlink(f"{pid}/{name}", dir_fd=self._processes)

    def memory(self, pid: int, place: int, size: int, *, text: bool = False) -> bytes:
        """Return what is in a program's memory; of a text, what is before its end."""
        number = os.open(f"{pid}/mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._processes)
        try:
            if not text:
                return os.pread(number, size, place)
            found = b""
            while len(found) < size:
                # Not across the end of a page, beyond which there may be nothing.
                piece = os.pread(number, _PIECE - (place + len(found)) % _PIECE, place + len(found))
                found += piece
                if b"\0" in piece or not piece:
                    break
            return found.partition(b"\0")[0]
        finally:
            os.close(number)


def _loader(head: bytes, file: Any) -> str:
    """Return the loader that an executable names, empty for none."""
    start, size, count = (struct.unpack_from(kind, head, place)[0] for kind, place in (("Q", 32), ("H", 54), ("H", 56)))
    for number in range(count):
        file.seek(start + number * size)
        entry = file.read(size)
        if struct.unpack_from("I", entry)[0] == 3:  # noqa: PLR2004  # PT_INTERP
            place, length = struct.unpack_from("Q", entry, 8)[0], struct.unpack_from("Q", entry, 32)[0]
            file.seek(place)
            return os.fsdecode(file.read(length).rstrip(b"\0"))
    return ""
