# ruff: noqa: PTH102, PTH109, PTH118, PTH119, PTH120, SLF001, SIM105  # it imports no more than a kernel does
"""Tells what a kernel reads: an audit hook, and stand-ins for those functions of `os` that look and raise no event.

Each thing is reported once, as a line of JSON in a file of the job's private directory. Names of modules follow at the
end, for which the worker raises the event `FINISH`, or as soon as there are many. What is read of the environment, of
the interpreter and of devices is left out, since no file of a project is there.

The hook costs some 0.2 µs an event, a stand-in 1 µs a call.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FINISH = "envsolver.finish"
"""The event on which all is reported that is not yet."""

_DEVICES = ("/proc/", "/sys/", "/dev/")
_RUN_DIRECTORY = "envsolver-"
_SYSTEM = ("/", "/usr", "/usr/local")
_METADATA = ("importlib/metadata", "importlib_metadata", "pkg_resources")
_MODULE = type(sys)
_LOOKING = {"stat": "ask", "lstat": "link", "access": "ask", "readlink": "link"}
_SUPPORT = ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks")
_CALLERS = 6  # how many of the callers tell why a folder is listed
_STREAM = 1  # a connection of this type is one, and no question which address this machine has


class Watch:
    """Tells what this process, and those that it forks, read.

    Parameters
    ----------
    starts
        The class `Starts`.
    log
        The file.
    private
        The job's private directory, of which nothing is reported.
    ours
        The folder of our own modules on the import path, likewise.
    follower
        The file of `followed`, likewise.
    """

    at_finish: Callable[[], object] = bool  # called when all is to be told that is not yet
    at_end: Callable[[], object] = bool  # called when all is told

    def __init__(self, starts: Any, log: str, private: str, ours: str, follower: str) -> None:
        self._log = log
        library = os.path.dirname(os.__file__)
        # What the system's own interpreter stands beside is not all its own.
        prefixes = [library if prefix in _SYSTEM else prefix for prefix in (sys.prefix, sys.base_prefix)]
        homes = {os.path.join(place, "") for prefix in prefixes for place in (prefix, os.path.realpath(prefix))}
        # That above the private one may be there for this run alone, and is asked about by those that resolve paths.
        above = os.path.dirname(private)
        own = above if os.path.basename(above).startswith(_RUN_DIRECTORY) else private
        ignored = (*(os.path.join(place, "") for place in (own, ours)), follower)
        self._ignored = (*ignored, *_DEVICES, *homes)
        self._told: set[tuple[Any, ...]] = set()
        self._names: dict[str, set[str]] = {}
        self._waiting: list[str] = []
        self._kernel = os.getpid()
        self._starts = starts(self._tell, self._write, _text, (follower, log + ".programs", self._ignored))
        self._handlers: dict[str, Callable[..., object]] = {
            "open": self._open,
            "os.listdir": self._list,
            "os.scandir": self._list,
            "import": self._import,
            "sqlite3.connect": self._file,
            "ctypes.dlopen": self._library,
            "os.rename": self._move,
            "os.link": self._move,
            "os.remove": self._ask,
            **self._starts.handlers,
            "socket.connect": self._connect,
            "socket.sendto": self._connect,
            "socket.sendmsg": self._connect,
            FINISH: self._finish,
        }

    def start(self) -> None:
        """Tell from now on."""
        for name, module in list(sys.modules.items()):
            self._loaded(name, module)
        self._tell("start")
        for name, kind in _LOOKING.items():
            self._stand_in(name, kind)
        self._starts.stand_in()
        sys.addaudithook(self._hear)

    def template(self, looks: Any, names: Any, here: str) -> None:
        """Tell what the template of this kernel consulted for its modules.

        Parameters
        ----------
        looks
            Pairs of ``open``, ``list`` or ``ask`` and a path; one that starts with ``./`` is of the kernel's folder.
        names
            Modules that were looked for.
        here
            The kernel's folder.
        """
        kinds = {"open": "file", "list": "list", "ask": "ask", "metadata": "metadata"}
        for kind, path in looks:
            self._look(kinds[kind], os.path.join(here, path[2:]) if path.startswith("./") else path)
        for place in {here, *map(str, sys.path)}:
            self._look_for(place, names)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        handler = self._handlers.get(event)
        if handler is not None:
            try:
                handler(*arguments)
                # One that was forked may end at any time.
                if self._waiting and os.getpid() != self._kernel:
                    self._resolve()
            except Exception as error:  # noqa: BLE001  # the notebook must not feel it, but its reading was not seen
                self._tell("blind", event, repr(error))

    def _tell(self, *words: Any) -> None:
        if words in self._told:
            return
        self._told.add(words)
        self._write(words)

    def _write(self, words: Any) -> None:
        data = (json.dumps(words) + "\n").encode()
        try:
            number = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                written = os.write(number, data)
            finally:
                os.close(number)
        except OSError:  # no descriptor is left, the disk is full, or the directory is gone
            written = 0
        if written < len(data):
            self._lose()

    def _lose(self) -> None:
        """Have it known that something was not told, by what needs neither a descriptor nor room in a file."""
        try:
            os.mkdir(self._log + ".lost")
        except OSError:  # it is there, or all is gone
            pass

    def _path(self, given: Any) -> str:
        """Return an absolute path, empty for one that does not count."""
        if given is None:
            given = "."
        if isinstance(given, int):
            return ""
        path = os.fsdecode(given)
        if path.startswith(self._ignored) and ".." not in path:
            return ""
        path = os.path.join(os.getcwd(), path)
        if "/.." in path:
            # The folder above is that of what a link leads to.
            head, tail = os.path.split(path)
            path = os.path.realpath(path) if tail == ".." else os.path.join(os.path.realpath(head), tail)
        path = os.path.normpath(path)
        return "" if os.path.join(path, "").startswith(self._ignored) else path

    def _look(self, kind: str, given: Any) -> None:
        path = self._path(given)
        if path:
            self._tell(kind, path)

    # Files and folders

    def _open(self, given: Any, _mode: Any = None, flags: Any = 0) -> None:
        flags = flags if isinstance(flags, int) else 0
        writes = flags & os.O_TRUNC or flags & os.O_ACCMODE == os.O_WRONLY
        self._look("write" if writes else "file", given)

    def _file(self, given: Any) -> None:
        if not isinstance(given, str) or given not in {"", ":memory:"}:
            self._look("file", given)

    def _library(self, given: Any) -> None:
        if given and "/" in _text(given):
            self._look("file", given)

    def _move(self, source: Any, target: Any, *_: Any) -> None:
        self._look("file", source)
        self._look("write", target)

    def _ask(self, given: Any, *_: Any) -> None:
        self._look("ask", given)

    def _list(self, given: Any = None) -> None:
        if isinstance(given, int):
            given = os.readlink(f"/proc/self/fd/{given}")  # noqa: PTH115
        path = self._path(given)
        if path:
            kind = _reason()
            # How often tells whether somebody else listed it too.
            self._write((kind, path)) if kind != "list" else self._tell(kind, path)

    def _stand_in(self, name: str, kind: str) -> None:
        system: Any = sys.modules["os"]  # ours is a copy
        original, look = getattr(system, name), self._look

        def function(*args: Any, **named: Any) -> Any:
            try:
                look(kind, args[0] if args else named.get("path"))
            except Exception:  # noqa: BLE001, S110  # the original says what is wrong
                pass
            return original(*args, **named)

        function.__name__ = function.__qualname__ = name
        function.__module__, function.__doc__ = "os", original.__doc__
        for support in _SUPPORT:
            if original in getattr(os, support):
                getattr(os, support).add(function)
        setattr(system, name, function)
        # Up to Python 3.10 `pathlib` took it by name.
        accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)
        if getattr(accessor, name, None) is original:
            setattr(accessor, name, staticmethod(function))

    # Modules

    def _loaded(self, name: str, module: Any) -> None:
        """Take note of a module that is there: its file, and that its name was looked for."""
        place = _space_of(module).get("__file__")
        if isinstance(place, str):
            self._look("file", place)
        if name != "__main__":
            self._waiting.append(name)

    def _import(self, name: Any, *_: Any) -> None:
        if len(self._waiting) > 200:  # noqa: PLR2004  # not too much to lose
            self._resolve()
        self._waiting.append(str(name))

    def _resolve(self) -> None:
        """Find the folders in which modules were looked for, as far as their packages are there by now."""
        waiting, self._waiting = self._waiting, []
        if os.getpid() != self._kernel:  # their packages are about to be imported
            self._waiting = [name for name in waiting if name.rpartition(".")[0] not in {"", *sys.modules}]
        top = {name.partition(".")[0] for name in waiting}
        for place in list(sys.path):
            if isinstance(place, str):
                self._look_for(place, top)
        for name in waiting:
            parent, _, last = name.rpartition(".")
            for place in list(_space_of(sys.modules.get(parent)).get("__path__", ())) if parent else ():
                self._look_for(str(place), {last})

    def _look_for(self, place: str, names: Any) -> None:
        path = self._path(place or ".")
        fresh = set(names) - self._names.setdefault(path, set()) if path else None
        if fresh:
            self._names[path] |= fresh
            self._tell("modules", path, "/".join(sorted(fresh)))

    def _finish(self) -> None:
        self.at_finish()
        self._resolve()
        for name, module in list(sys.modules.items()):
            self._loaded(name, module)
        self._waiting.clear()
        self._tell("finish")
        os.close(os.open(self._log + ".done", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.at_end()

    # Programs and connections

    def _connect(self, connection: Any, address: Any) -> None:
        kind = getattr(connection, "type", _STREAM)
        if isinstance(address, tuple) and len(address) >= 2 and kind == _STREAM:  # noqa: PLR2004  # host and port
            self._tell("connection", _text(address[0]), address[1])


def _space_of(module: Any) -> dict[str, Any]:
    """Return what a module holds, not by its own means: one that is loaded when it is used would be loaded then."""
    space: dict[str, Any] = vars(_MODULE)["__dict__"].__get__(module) if issubclass(type(module), _MODULE) else {}
    return space


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value)


def _reason() -> str:
    """Say whether a folder is listed by an import, for metadata, or by anybody else."""
    frame: Any = sys._getframe(3)
    for _ in range(_CALLERS):
        if frame is None:
            break
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            return "own"
        if any(part in name for part in _METADATA):
            return "metadata"
        frame = frame.f_back
    return "list"
