# ruff: noqa: PTH118, PTH120, PTH123, SIM105  # it imports no more than a kernel does
"""Tells what a kernel reads: an audit hook, and stand-ins for those functions of `os` that look and raise no event.

Each thing is reported once, as a line of JSON in a file of the job's private directory. Names of modules follow at the
end, for which the worker raises the event `FINISH`, or as soon as there are many. What is read of the environment, of
the interpreter and of devices is left out, since no file of a project is there.

The hook costs some 0.2 µs an event, a stand-in 1 µs a call.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FINISH = "envsolver.finish"
"""The event on which all is reported that is not yet."""

_LOOKING = {"stat": "ask", "lstat": "link", "access": "ask", "readlink": "link"}
_SUPPORT = ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks")
_STREAM = 1  # a connection of this type is one, and no question which address this machine has


def _beside(name: str) -> dict[str, Any]:
    """Run a file beside this one, with the builtins of this one, and return what it defines."""
    place = os.path.join(os.path.dirname(__file__), name + ".py")
    with open(place, "rb") as file:
        code = compile(file.read(), place, "exec")
    space: dict[str, Any] = {"__name__": name, "__file__": place, "__builtins__": __builtins__}
    exec(code, space)  # noqa: S102  # our own file
    return space


_search, _starts = _beside("module_search"), _beside("starts")


class Watch:
    """Tells what this process, and those that it forks, read.

    Parameters
    ----------
    log
        The file.
    private
        The job's private directory, of which nothing is reported.
    follower
        The file of `followed`.
    """

    at_finish: Callable[[], object] = bool  # called when all is to be told that is not yet
    at_end: Callable[[], object] = bool  # called when all is told

    def __init__(self, log: str, private: str, follower: str) -> None:
        self._path = log
        self._kernel = os.getpid()
        self._log = _search["Log"](log)
        self._places = _search["Places"](private)
        self._search = _search["ModuleSearch"](self._log, self._places, self._kernel)
        followed = (follower, log + ".programs", self._places.ignored)
        starts = _starts["Starts"](self._log.tell, self._log.write, _text, followed)
        self._handlers: dict[str, Callable[..., object]] = {
            "open": self._open,
            "os.listdir": self._list,
            "os.scandir": self._list,
            "import": lambda name, *_: self._search.imported(str(name)),
            "sqlite3.connect": self._file,
            "ctypes.dlopen": self._library,
            "os.rename": self._move,
            "os.link": self._move,
            "os.remove": self._ask,
            **starts.handlers,
            "socket.connect": self._connect,
            "socket.sendto": self._connect,
            "socket.sendmsg": self._connect,
            FINISH: self._finish,
        }
        self._starts = starts

    def start(self) -> None:
        """Tell from now on."""
        self._look_at_loaded()
        self._log.tell("start")
        for name, kind in _LOOKING.items():
            self._stand_in(name, kind)
        self._starts.stand_in()
        sys.addaudithook(self._hear)
        self._search.start()  # it may list a folder, for a namespace package

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
        for name in names:
            self._search.look_in((here, *sys.path), name)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        handler = self._handlers.get(event)
        if handler is not None:
            try:
                handler(*arguments)
                self._search.tell_some()
            except Exception as error:  # noqa: BLE001  # the notebook must not feel it, but its reading was not seen
                self._log.tell("blind", event, repr(error))

    def _look(self, kind: str, given: Any) -> None:
        path = self._places.path(given)
        if path:
            self._log.tell(kind, path)

    def _look_at_loaded(self) -> None:
        """Take note of the files of the modules that are there."""
        for module in list(sys.modules.values()):
            place = _search["space_of"](module).get("__file__")
            if isinstance(place, str):
                self._look("file", place)

    def _finish(self) -> None:
        self.at_finish()
        self._search.tell()
        self._look_at_loaded()
        self._log.tell("finish")
        os.close(os.open(self._path + ".done", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.at_end()

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
        path = self._places.path(given)
        if path:
            kind = _search["listing_reason"](3)
            # How often tells whether somebody else listed it too.
            self._log.write((kind, path)) if kind != "list" else self._log.tell(kind, path)

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

    # Programs and connections

    def _connect(self, connection: Any, address: Any) -> None:
        kind = getattr(connection, "type", _STREAM)
        if isinstance(address, tuple) and len(address) >= 2 and kind == _STREAM:  # noqa: PLR2004  # host and port
            self._log.tell("connection", _text(address[0]), address[1])


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value)
