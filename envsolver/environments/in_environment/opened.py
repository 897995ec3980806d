# ruff: noqa: PTH105, PTH110, PTH113, PTH119, PTH120, PTH112, PTH118, PTH123  # it imports no more than it needs
"""Sees which files of the project anybody opens below a kernel, by inotify from inside its own view of the project.

What a C library or a child process opens is seen as well. A file that is looked for and is not there is not seen, nor
one that is only asked about. Links are followed, out of the project too, since what they lead to is opened there.

The keeper of a kernel (`namespaces`) collects while it waits, and writes down what it saw when the kernel says that its
notebook has ended. Where it cannot see all, it writes that.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import errno
import json
import os
import select
import struct

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from typing import Any

MOST_FOLDERS = 5000
"""How many folders are watched at most; 1,000 take some 10 ms."""

_UNSEEN = (".venv", "venv", "node_modules", ".nox", ".tox", ".mypy_cache", ".ruff_cache", ".pytest_cache")
_OPEN, _OVERFLOW, _IS_FOLDER = 0x20, 0x4000, 0x40000000
_HEAD = struct.Struct("iIII")
_PIECE = 1 << 16
_REST = 0.003  # seconds in which events gather


class Opened:
    """The files that are opened.

    Parameters
    ----------
    library
        The C library.
    root
        The project's root.
    start
        File that the kernel opens first when its notebook is to begin: what was opened before does not count. One with
        ``.done`` at its end, which it opens when the notebook has ended, has what was seen written down.
    place
        The file for that.
    """

    def __init__(self, library: Any, root: str, start: str, place: str) -> None:
        self._library = library
        self._start = start
        self._place = place
        self._places: dict[int, str] = {}
        self._links: list[str] = []
        self._files: set[str] = set()
        self._folders: dict[str, int] = {}
        self._begun = False
        self.blind = False
        self.number = library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        folders: list[str] = [os.path.dirname(start)]
        files: list[str] = []
        if not self._walk(root, folders, files, {os.path.realpath(root)}) or self.number < 0:
            self.blind = True
            self._write()
            return
        # All are found before any is watched, since finding them opens them.
        for each in (*folders, *files):
            self._watch(each)

    def _walk(self, root: str, folders: list[str], files: list[str], seen: set[str]) -> bool:
        """Find the folders to watch, and the files outside that links lead to; False when there are too many."""
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            folders.append(folder)
            if len(folders) > MOST_FOLDERS:
                return False
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            for entry in entries:
                if entry.is_symlink():
                    self._links.append(entry.path)
                    target = os.path.realpath(entry.path)
                    if not os.path.join(target, "").startswith((os.path.join(root, ""), "/proc/", "/dev/", "/sys/")):
                        if os.path.isdir(target) and target not in seen:
                            seen.add(target)
                            waiting.append(target)
                        elif os.path.isfile(target):
                            files.append(target)
                elif entry.is_dir() and self._counts(entry):
                    waiting.append(entry.path)
        return True

    @staticmethod
    def _counts(entry: Any) -> bool:
        if entry.name in _UNSEEN or os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
            return False
        # What stands there is named by its content, and found through files that are watched.
        return not (entry.name == "objects" and os.path.basename(os.path.dirname(entry.path)) == ".git")

    def _watch(self, place: str) -> None:
        number = self._library.inotify_add_watch(self.number, os.fsencode(place), _OPEN)
        if number >= 0:
            self._places[number] = place
        elif self._library.last_error() not in (errno.ENOENT, errno.EACCES, errno.ENOTDIR):
            self.blind = True

    def wait(self, pipe: int, programs: Any = None) -> bytes:
        """Collect until a pipe is closed; return what came through it.

        Parameters
        ----------
        programs
            The `Keeper` of the programs that are followed, None where none is.
        """
        answer = b""
        while True:
            poll = select.poll()
            numbers = programs.numbers if programs is not None else ()
            for number in {pipe, self.number, *numbers} - {-1}:
                poll.register(number, select.POLLIN)
            ready = dict(poll.poll())
            for number in ready.keys() & numbers:
                programs.take(number, ended=not ready[number] & select.POLLIN)
            if self.number in ready:
                self.collect()
                if not (programs and programs.busy):
                    select.select([pipe], [], [], _REST)
            if pipe in ready:
                piece = os.read(pipe, 64)
                answer += piece
                if not piece:
                    return answer

    def collect(self) -> None:
        """Take in all events that there are."""
        while True:
            try:
                data = os.read(self.number, _PIECE)
            except OSError:
                return
            place = 0
            while place < len(data):
                watch, mask, _, length = _HEAD.unpack_from(data, place)
                place += _HEAD.size
                name = data[place : place + length].rstrip(b"\0")
                place += length
                self._take(watch, mask, os.fsdecode(name))

    def _take(self, watch: int, mask: int, name: str) -> None:
        self.blind = self.blind or bool(mask & _OVERFLOW)
        folder = self._places.get(watch, "")
        path = os.path.join(folder, name) if name else folder
        if path == self._start:
            if not self._begun:
                self._begun = True
                self._files.clear()
                self._folders.clear()
        elif path == self._start + ".done":
            self._write()
        elif not mask & _IS_FOLDER:
            self._files.add(path)
        elif not name:
            self._folders[path] = self._folders.get(path, 0) + 1

    def _write(self) -> None:
        found = {"files": sorted(self._files), "folders": self._folders, "links": self._links, "blind": self.blind}
        with open(self._place + ".new", "wb") as file:
            file.write(json.dumps(found).encode())
        os.replace(self._place + ".new", self._place)
