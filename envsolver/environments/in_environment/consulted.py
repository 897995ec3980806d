# ruff: noqa: PTH110, PTH112, PTH116, PTH118, PTH120, PTH208, SLF001  # it imports no more than a kernel does
"""What imports consult outside of the environment: a kernel may only be forked where it would find the same.

While a template imports, each file and folder that an import opens, lists, or asks for is recorded, whether it is there
or not. What is read of the environment, the interpreter and the system's own directories is left out, since no job
changes them. The template stands in an empty folder: what is looked for there stands for the kernel's folder. What has
no such counterpart, such as a search upward for a project's root, bars the module.

The time of day bars no module, since it differs between any two cold kernels. Nor does the number of the process: what
keeps it must stand a fork, which is what multiprocessing does. Libraries that ask for it at import (psutil, joblib,
filelock, tempfile) look at it again.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library. It imports only what every
kernel holds anyway.
"""

from __future__ import annotations

import importlib.machinery
import os
import stat
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_SYSTEM = ("/bin/", "/dev/", "/etc/", "/lib", "/proc/", "/run/", "/sbin/", "/sys/", "/usr/")
_METADATA = (".dist-info", ".egg-info", ".egg")
_PRIVATE = ("tmp", "jupyter", "ipython", "bin", "installs.jsonl")  # that a template's directory has as a job's has


class Consulted:
    """What the imports of this process consulted.

    Parameters
    ----------
    directory, here
        As for `KeptPlaces`.
    places
        The `KeptPlaces`.

    Attributes
    ----------
    root
        The module that the template itself is about to import; that it is missing matters to no other.
    """

    def __init__(self, directory: str, here: str, places: Any) -> None:
        self.root = ""
        self._directory, self._here, self._places = directory, here, places
        self._names: set[str] = set()  # modules on the first level that were looked for, found or not
        self._standard: set[str] = set()  # of these, those of the standard library, which comes before a folder's
        self._solid: set[str] = set()  # of these, those that are no mere folders
        self._homes = tuple({f"{os.path.realpath(p)}/" for p in (sys.prefix, sys.base_prefix)} | {f"{sys.prefix}/"})
        self._found: dict[tuple[str, str], object] = {}
        self._taint: Callable[[Iterable[str], str], object] = bool  # type: ignore[assignment]
        self._blame: Callable[[], list[str]] = list

    # While imports run

    def watch(self, taint: Callable[[Iterable[str], str], object], blame: Callable[[], list[str]]) -> None:
        """Say, before imports run, what is called for those that consult what they must not.

        Parameters
        ----------
        taint
            Called with names of modules that must not be loaded ahead, and the reason.
        blame
            Names the modules whose import is going on.
        """
        self._taint, self._blame = taint, blame

    def look_for(self, name: str) -> None:
        """Note that a module is looked for."""
        top = name.partition(".")[0]
        if top != self.root:
            self._names.add(top)

    def touch(self) -> None:
        """Note that one of the template's own places was asked for."""
        self._places.touched.update(self._blame())

    def look(self, kind: str, given: Any) -> None:
        """Note that a file or folder was looked for: ``open``, ``list`` or ``ask``."""
        if type(given) is str and given.startswith(self._homes) and ".." not in given:
            return
        path = os.path.normpath(os.path.join(self._here, os.fsdecode("." if given is None else given)))
        if path == self._here:
            self._look_here(kind)
        elif path.startswith(self._here + "/"):
            self._found.setdefault((kind, f"./{path[len(self._here) + 1 :]}"), None)
        elif f"{path}/".startswith((*self._homes, *_SYSTEM)) or f"{self._here}/".startswith(path.rstrip("/") + "/"):
            return
        elif path.startswith(os.path.dirname(self._directory) + "/"):
            self.touch()
            if os.path.relpath(path, self._directory).partition("/")[0] not in _PRIVATE:
                self._taint(self._blame(), "it looks at the folders above the one that it runs in")
        else:
            self._found.setdefault((kind, path), None)

    def _look_here(self, kind: str) -> None:
        if kind == "list":
            # Finders of modules list it as well, and the names of modules are compared for that.
            self._found.setdefault(("metadata", "./"), None)
            if not _called_by("importlib"):
                self._taint(self._blame(), "it lists the folder that it runs in")

    def settle(self) -> None:
        """Take down what all that the imports consulted was like, when all are done."""
        for kind, path in self._found:
            self._found[kind, path] = _state(kind, path, self._here)
        library = os.path.dirname(os.__file__) + "/"
        for name, module in list(sys.modules.items()):
            origin = getattr(getattr(module, "__spec__", None), "origin", None)
            if origin in ("built-in", "frozen"):
                continue
            self._names.add(name.partition(".")[0])
            if "." not in name and origin is not None:
                self._solid.add(name)
                if origin.startswith(library) and "-packages/" not in origin:
                    self._standard.add(name)

    # Before and in a kernel

    def places(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Return the files and folders that were looked for, each with how, and the modules on the first level."""
        return list(self._found), sorted(self._names)

    def watched(self) -> set[str]:
        """Name the modules there are of the standard library, on which any import can depend."""
        found = set()
        for name, module in list(sys.modules.items()):
            inner = getattr(getattr(module, "__spec__", None), "origin", None) in ("built-in", "frozen")
            if inner or name.partition(".")[0] in self._standard:
                found.add(name)
        return found

    def missing(self) -> set[str]:
        """Name the modules on the first level that were looked for and not found."""
        return {name for name in self._names if name not in sys.modules}

    def difference(self, folder: str) -> str:
        """Say what a kernel in a folder would find otherwise than the imports did; empty for nothing."""
        shadow = self.shadows(folder, last=True)
        if shadow:
            return shadow
        for (kind, path), before in self._found.items():
            if _state(kind, path, folder) != before:
                return f"{path} is there, or is another"
        return ""

    def shadows(self, folder: str, *, last: bool = False, behind: bool = False) -> str:
        """Say which file in a folder would be imported in the place of something that was looked for.

        Parameters
        ----------
        last
            Whether the folder is searched after the standard library, as the kernel's is.
        behind
            Whether it is searched after all that was searched before.
        """
        try:
            entries = os.listdir(folder or ".")
        except NotADirectoryError:
            return f"{folder} may hold any module"
        except OSError:
            return ""
        for entry in entries:
            name, dot, rest = entry.partition(".")
            if name not in self._names or (last and name in self._standard) or (behind and name in self._solid):
                continue
            path = os.path.join(folder, entry)
            module = dot + rest in importlib.machinery.all_suffixes()
            package = not dot and (name not in self._solid or os.path.exists(os.path.join(path, "__init__.py")))
            if module or (package and os.path.isdir(path)):
                return f"{entry} would be imported in the place of another {name}"
        return ""


def _state(kind: str, path: str, folder: str) -> object:
    """Return what an import can have learnt of a path."""
    if path.startswith("./"):
        path = os.path.join(folder, path[2:])
    try:
        if kind == "metadata":
            return sorted(entry for entry in os.listdir(path) if entry.endswith(_METADATA))
        if kind == "list":
            return sorted(os.listdir(path))
        status = os.stat(path)
    except OSError:
        return None
    if stat.S_ISREG(status.st_mode):
        return (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
    return stat.S_IFMT(status.st_mode)


def _called_by(module: str) -> bool:
    frame: Any = sys._getframe(1)
    while frame is not None:
        if module in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False
