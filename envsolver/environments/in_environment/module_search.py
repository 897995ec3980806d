# ruff: noqa: PTH102, PTH109, PTH118, PTH119, PTH120, SIM105, SLF001  # it imports no more than a kernel does
"""Tells in which folders a process looks for modules, and why it lists one.

Finders are asked for what is imported, and for what somebody only wants to find. They list a folder once and remember
that, so what they are asked for is told, and not what they list. A part of `reading` and of `program_reading`.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import os
import sys

try:
    from _json import encode_basestring_ascii as _quoted
except ImportError:  # not CPython
    from json.encoder import encode_basestring_ascii as _quoted

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_DEVICES = ("/proc/", "/sys/", "/dev/")
_RUN_DIRECTORY = "envsolver-"
_SYSTEM = ("/", "/usr", "/usr/local")
_METADATA = ("importlib/metadata", "importlib_metadata", "pkg_resources")
_MODULE = type(sys)
_CALLERS = 6  # how many of the callers tell why a folder is listed
_MOST = 200  # names that wait to be told: not too much to lose


class Log:
    """The file in which all is told that a process reads.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._told: set[tuple[Any, ...]] = set()

    def tell(self, *words: Any) -> None:
        """Tell a thing once."""
        if words not in self._told:
            self._told.add(words)
            self.write(words)

    def write(self, words: Any) -> None:
        """Tell a thing each time."""
        # Importing `json` takes longer than a small program.
        texts = [_quoted(word) if issubclass(type(word), str) else repr(word) for word in words]
        data = f"[{', '.join(texts)}]\n".encode()
        try:
            number = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
            os.mkdir(self._path + ".lost")
        except OSError:  # it is there, or all is gone
            pass


class Places:
    """Which paths count: what is read of the environment, of the interpreter and of devices does not.

    Parameters
    ----------
    private
        The job's private directory, which does not count either, as our own programs.

    Attributes
    ----------
    ignored
        What the paths that do not count begin with.
    """

    def __init__(self, private: str) -> None:
        library = os.path.dirname(os.__file__)
        # What the system's own interpreter stands beside is not all its own.
        prefixes = [library if prefix in _SYSTEM else prefix for prefix in (sys.prefix, sys.base_prefix)]
        homes = {os.path.join(place, "") for prefix in prefixes for place in (prefix, os.path.realpath(prefix))}
        # That above the private one may be there for this run alone, and is asked about by those that resolve paths.
        above = os.path.dirname(private)
        own = above if os.path.basename(above).startswith(_RUN_DIRECTORY) else private
        ours = os.path.dirname(__file__)
        self.ignored = (os.path.join(own, ""), os.path.join(ours, ""), *_DEVICES, *homes)

    def path(self, given: Any) -> str:
        """Return an absolute path, empty for one that does not count."""
        if given is None:
            given = "."
        if isinstance(given, int):
            return ""
        path = os.fsdecode(given)
        if path.startswith(self.ignored) and ".." not in path:
            return ""
        path = os.path.join(os.getcwd(), path)
        if "/.." in path:
            # The folder above is that of what a link leads to.
            head, tail = os.path.split(path)
            path = os.path.realpath(path) if tail == ".." else os.path.join(os.path.realpath(head), tail)
        path = os.path.normpath(path)
        return "" if os.path.join(path, "").startswith(self.ignored) else path


class ModuleSearch:
    """Tells which modules are looked for where.

    Parameters
    ----------
    log
        The `Log`.
    places
        The `Places`.
    process
        The number of the process that says itself when all is to be told. Any other may end at any time, and tells at
        once.
    """

    def __init__(self, log: Any, places: Any, process: int) -> None:
        self._log, self._places, self._process = log, places, process
        self._paths: dict[str, str] = {}
        self._known: dict[str, set[str]] = {}
        self._waiting: list[tuple[str, str]] = []
        self._parentless: list[str] = []

    def start(self) -> None:
        """Tell from now on, and that what is loaded was looked for."""
        finders: Any = sys.modules["_frozen_importlib_external"]
        by_path, in_folder, looked = finders.PathFinder, finders.FileFinder, self._looked
        find, find_in = by_path.find_spec.__func__, in_folder.find_spec

        def find_spec(cls: Any, fullname: Any, path: Any = None, target: Any = None) -> Any:
            looked(sys.path if path is None else path, fullname)
            return find(cls, fullname, path, target)

        def find_spec_in(self: Any, fullname: Any, target: Any = None) -> Any:
            looked((self.path,), fullname)
            return find_in(self, fullname, target)

        for function in (find_spec, find_spec_in):
            function.__name__, function.__doc__ = "find_spec", find.__doc__
        by_path.find_spec, in_folder.find_spec = classmethod(find_spec), find_spec_in
        for name in list(sys.modules):
            if name != "__main__":
                self.imported(name)

    def imported(self, name: str) -> None:
        """Take note that a module is about to be imported, by whatever means."""
        parent, _, last = name.rpartition(".")
        if not parent:
            self.look_in(sys.path, name)
        elif parent in sys.modules:
            self.look_in(_paths_of(name), last)
        else:
            self._parentless.append(name)

    def look_in(self, places: Any, name: str) -> None:
        """Take note that a module was looked for in folders."""
        for place in list(places):
            if not isinstance(place, str):
                continue
            path = self._paths.get(place)
            if path is None:
                path = self._places.path(place or ".")
                if place.startswith("/"):  # any other depends on the folder in which the process is
                    self._paths[place] = path
            if path and name not in self._known.setdefault(path, set()):
                self._known[path].add(name)
                self._waiting.append((path, name))

    def tell(self, *, last: bool = True) -> None:
        """Tell what waits.

        Parameters
        ----------
        last
            Whether what is not there by now does not come any more.
        """
        # Other threads may add to both meanwhile, or tell as well.
        for name in list(_taken(self._parentless)):
            if last or name.rpartition(".")[0] in sys.modules:
                self.look_in(_paths_of(name), name.rpartition(".")[2])
            else:
                self._parentless.append(name)
        found: dict[str, list[str]] = {}
        for path, name in _taken(self._waiting):
            found.setdefault(path, []).append(name)
        for path, names in found.items():
            self._log.tell("modules", path, "/".join(sorted(names)))

    def tell_some(self) -> None:
        """Tell what waits if it is much, or if this process may end at any time."""
        if len(self._waiting) > _MOST or ((self._waiting or self._parentless) and os.getpid() != self._process):
            self.tell(last=False)

    def _looked(self, places: Any, name: Any) -> None:
        try:
            self.look_in(places, str(name).rpartition(".")[2])
            self.tell_some()
        except Exception as error:  # noqa: BLE001  # the notebook must not feel it, but its reading was not seen
            self._log.tell("blind", "import", repr(error))


def space_of(module: Any) -> dict[str, Any]:
    """Return what a module holds, not by its own means: one that is loaded when it is used would be loaded then."""
    space: dict[str, Any] = vars(_MODULE)["__dict__"].__get__(module) if issubclass(type(module), _MODULE) else {}
    return space


def _taken(items: list[Any]) -> Iterator[Any]:
    """Take all out of a list."""
    while True:
        try:
            item = items.pop()
        except IndexError:
            return
        yield item


def _paths_of(name: str) -> Any:
    return space_of(sys.modules.get(name.rpartition(".")[0])).get("__path__", ())


def listing_reason(depth: int) -> str:
    """Say whether a folder is listed by an import, for metadata, or by anybody else: ``own``, ``metadata``, ``list``.

    Parameters
    ----------
    depth
        How many callers stand between.
    """
    frame: Any = sys._getframe(depth)
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
