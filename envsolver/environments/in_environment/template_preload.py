# ruff: noqa: PTH118, SLF001  # what imports leave behind stands in private places
"""Imports modules ahead of the kernels that will be forked, and refuses those that a kernel would notice.

A module is refused when its import does what cannot be the same for a kernel that is not there yet; see `tripwires`.
A refused import leaves traces, so the process that met one reports the names and ends, and another is forked that
never attempts them.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library and ipykernel. It imports only
what every kernel holds anyway.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import tempfile
import warnings

# Not every kernel holds it, and a notebook could see it.
sys.modules.pop("gc", None)

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any


class Preload:
    """The modules loaded so far, and what a child must put right before it becomes a kernel.

    Parameters
    ----------
    tripwires
        The `Tripwires` of this process.
    randomness
        Its `RandomState`.
    consulted, places, requests
        Its `Consulted`, `KeptPlaces` and `Requests`.
    set_aside
        Called with the names of every kernel's modules and what `shared_lists` returned when there were no others;
        returns an `Aside`.

    Attributes
    ----------
    streams
        Those of `Tripwires`.
    path
        The import path without the kernel's folder.
    """

    def __init__(
        self,
        tripwires: Any,
        randomness: Any,
        *,
        consulted: Any,
        places: Any,
        requests: Any,
        set_aside: Callable[..., Any],
    ) -> None:
        self.streams: dict[str, Any] = tripwires.streams
        self.path = list(sys.path)
        self._tripwires = tripwires
        self._randomness = randomness
        self._consulted, self._places = consulted, places
        self._requests = requests
        self._set_aside = set_aside
        self._aside: Any = None
        self._base: tuple[frozenset[str], dict[str, list[Any]]] | None = None
        self._changes = _Changes()

    def load(
        self,
        wanted: Iterable[str],
        allowed: Collection[str] | None,
        excluded: Collection[str],
        *,
        before_cells: bool = False,
    ) -> dict[str, str]:
        """Import modules, in order.

        Parameters
        ----------
        wanted
            Names, ``name=origin`` for a module that must come from one file, ``a:b`` for ``from a import b``.
        allowed
            All that may be in ``sys.modules`` afterwards, beside what was before; None for whatever `wanted` brings.
        excluded
            Names that are not attempted.
        before_cells
            Whether a kernel loads these while it starts, when what they print shows in no cell.

        Returns
        -------
        dict
            Modules that must not be loaded ahead, with reasons. Unless it is empty, this process is of no more use.
        """
        if self._aside is not None:
            self._aside.show()
        before, environ = set(sys.modules), dict(os.environ)
        self._tripwires.expect(excluded, silence=not before_cells)
        if not before_cells and self._base is None:
            self._begin(before)
        with self._tripwires:
            self._load_entries(wanted, watched=not before_cells)
        gc.collect()
        self._tripwires.check_rest()
        if allowed is not None:
            self._refuse_others(before.union(entry.partition("=")[0] for entry in allowed))
        if before_cells:
            self._changes.note(environ)
        elif self._base is not None:
            self._aside = self._set_aside(*self._base)
            self._aside.hide()
        gc.freeze()
        return dict(self._tripwires.tainted)

    def _begin(self, before: set[str]) -> None:
        """Note what every kernel holds, ahead of the first modules of notebooks."""
        self._base = frozenset(before), self._requests.shared_lists()
        _add_folder()

    def _refuse_others(self, allowed: Collection[str]) -> None:
        """Taint the modules that are loaded and not allowed."""
        for name in set(sys.modules).difference(allowed):
            if _is_plain(name, sys.modules[name]):
                self._tripwires.tainted[name] = "it is not loaded by every notebook"

    def _load_entries(self, wanted: Iterable[str], *, watched: bool) -> None:
        if watched:
            self._requests.watch()
        for entry in wanted:
            self._load_entry(entry)
        if watched:
            self._requests.unwatch()

    def _load_entry(self, entry: str) -> None:
        name, _, origin = entry.partition("=")
        name, _, taken = name.partition(":")
        bars = self._tripwires.bars
        barred = bars(name) or (taken and bars(name + "." + taken))
        self._consulted.root = name.partition(".")[0]
        if (taken or name not in sys.modules) and not barred:
            self._import(name, taken, origin)

    def _import(self, name: str, taken: str, origin: str) -> None:
        tainted = self._tripwires.tainted
        try:
            module = importlib.import_module(name)
            if taken:
                __import__(name, fromlist=[taken])
            spec = module.__dict__.get("__spec__")
            if origin and getattr(spec, "origin", None) != origin:
                tainted.setdefault(name, "it comes from another file")
        except self._tripwires.refused:
            pass
        except ModuleNotFoundError as error:
            # One that can only be found with another's help comes with that one, or not at all.
            if error.name is None or not name.startswith(error.name):
                tainted.setdefault(name, f"its import raises {type(error).__name__}")
        except BaseException as error:  # noqa: BLE001  # an import may raise anything, SystemExit too
            tainted[name] = f"its import raises {type(error).__name__}"
        self._tripwires.check(name)

    def difference(self, folder: str) -> str:
        """Say what a kernel in a folder would find otherwise than the imports did; empty for nothing."""
        found: str = self._consulted.difference(folder)
        return found

    def consulted_places(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Return the files and folders that imports looked for, and the modules."""
        places: tuple[list[tuple[str, str]], list[str]] = self._consulted.places()
        return places

    # In the child

    def renew(self, folder: str, private: str) -> None:
        """Draw afresh what imports drew, and hide what they put where the kernel's own start puts things.

        Parameters
        ----------
        folder, private
            The kernel's working directory and its job's private directory.
        """
        find = sys.modules.get if self._aside is None else self._aside.find
        self._randomness.renew(find)
        process = find("multiprocessing.process")
        if process is not None:
            process.current_process().authkey = os.urandom(32)
            if self._aside is not None:
                self._aside.take("multiprocessing.process")
        tempfile.tempdir = None
        self._changes.hide()
        for stream in self.streams.values():
            stream.__dict__.clear()
        self._places.relocate(folder, private)
        if self._aside is not None:
            self._void = os.path.join(private, "void")

    def settle(self, begin: Callable[[], object]) -> None:
        """Put back what `renew` hid, as imports would put it after the kernel's start, and call `begin` then."""
        self._changes.show()
        begin()
        if self._aside is not None:
            self._aside.settle(self._void)


class _Changes:
    """What the modules of every kernel change in the process; what others do shows when a notebook asks for them.

    A kernel's own start comes before such changes, so its child hides them first.
    """

    def __init__(self) -> None:
        self._filters = list(warnings.filters)
        self._added_filters: list[Any] = []
        self._handlers = list(logging._handlerList)  # type: ignore[attr-defined]
        self._added_handlers: list[Any] = []
        self._environ: dict[str, str | None] = {}
        self._threads = 0

    def note(self, environ: dict[str, str]) -> None:
        """Note what differs from when this was made, and from the variables that were there."""
        for key in environ.keys() | os.environ.keys():
            if environ.get(key) != os.environ.get(key):
                self._environ[key] = os.environ.get(key)
        self._added_filters = [entry for entry in warnings.filters if not _holds(self._filters, entry)]

    def hide(self) -> None:
        """Set the noted variables, and take back filters, handlers and the names of threads."""
        for name, value in self._environ.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        handlers = list(logging._handlerList)  # type: ignore[attr-defined]
        self._added_handlers = [entry for entry in handlers if not _holds(self._handlers, entry)]
        warnings.filters[:] = self._filters  # type: ignore[index]
        logging._handlerList[:] = self._handlers  # type: ignore[attr-defined]
        self._threads = _next_thread(0) - 1

    def show(self) -> None:
        """Put back what `hide` took, as imports would put it after the kernel's start."""
        rest = [entry for entry in warnings.filters if entry not in self._added_filters]
        warnings.filters[:] = self._added_filters + rest  # type: ignore[index]
        warnings._filters_mutated() if hasattr(warnings, "_filters_mutated") else None
        logging._handlerList.extend(self._added_handlers)  # type: ignore[attr-defined]
        _next_thread(self._threads)


def _add_folder() -> None:
    """Put the kernel's folder into the import path, as its own start will."""
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.__new__(IPKernelApp)
    app.init_path()


def _next_thread(skipped: int) -> int:
    """Return the number that the next unnamed thread would get; let it be 1, or that one plus `skipped`."""
    threading: Any = sys.modules["threading"]
    number = int(threading._counter())
    threading._counter = threading._count(number + skipped if skipped else 1).__next__
    return number


def _is_plain(name: str, module: object) -> bool:
    """Return whether a module came from a file of its own name, as those that history remembers."""
    spec = getattr(module, "__dict__", {}).get("__spec__")
    return getattr(spec, "name", None) == name and isinstance(getattr(spec, "origin", None), str)


def _holds(entries: Iterable[object], wanted: object) -> bool:
    return any(entry is wanted for entry in entries)
