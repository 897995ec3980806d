# ruff: noqa: PTH123, SLF001  # it imports no more than a kernel does
"""Modules loaded ahead stay out of sight until a notebook asks for them, and come as a cold import brings them.

While a template imports, `import_requests` notes what the import of each module asked for and changed, in order. In a
forked kernel `Aside` takes these modules out of ``sys.modules``. An import that asks for one gets it together with what
its own import would have loaded, in the order of a cold one, and what that import changed is changed at that moment.

A module is given only while all that its import could depend on is as it was in the template; see `kernel_state`.
Otherwise the attempt is void: the reason is written where the worker reads it, the kernel ends at once, and the
notebook starts again in a cold one. A kernel that gives 3,600 modules of torch and scipy takes 0.1 s for it in the
place of 10 s. Switched off by ``--cold``.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library. It imports only what every
kernel holds anyway.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

_ABSENT = object()
_bootstrap: Any = sys.modules["importlib._bootstrap"]
_imp: Any = sys.modules["_imp"]


class Aside:
    """The modules that a kernel has ahead of its notebook's imports.

    Parameters
    ----------
    requests
        What their imports asked for.
    base
        Names of the modules that every kernel has.
    state
        The `KernelState`.
    lists
        What `shared_lists` returned before the others came.
    """

    def __init__(self, requests: Any, base: Collection[str], state: Any, lists: dict[str, list[Any]]) -> None:
        self._modules = {name: module for name, module in sys.modules.items() if name not in base}
        self._events = {name: self._of_use(events, requests.events) for name, events in requests.events.items()}
        self._given: set[str] = set()  # whose events are done
        self._bound: set[str] = set()  # those that were an attribute of their package
        self._state = state
        self._lists = {name: list(entries) for name, entries in lists.items()}
        self._lock = _thread.RLock()
        self._find: Any = None
        self._create = _imp.create_dynamic
        self._void = ""
        self._kernel = 0

    def _of_use(self, events: list[tuple[str, Any]], known: Collection[str]) -> list[tuple[str, Any]]:
        """Return the events of an import without those that ask for what every kernel has, or ask again."""
        asked = dict.fromkeys(value for kind, value in events if kind == "ask")
        kept = {name for name in asked if name in self._modules or name in known}
        found = []
        for kind, value in events:
            if kind != "ask":
                found.append((kind, value))
            elif value in kept:
                kept.remove(value)
                found.append((kind, value))
        return found

    def hide(self) -> None:
        """Take the modules out of sight."""
        for name, module in self._modules.items():
            del sys.modules[name]
            parent, _, last = name.rpartition(".")
            space = getattr(self._modules.get(parent) or sys.modules.get(parent), "__dict__", {})
            if last and space.get(last) is module:
                del space[last]
                self._bound.add(name)
        self._swap_lists()
        self._state.code.count()
        self._find = _bootstrap._find_and_load
        source = (
            "def _find_and_load(name, import_):\n"
            "    module = give(name)\n"
            "    return find(name, import_) if module is None else module\n"
            "def create_dynamic(*arguments):\n"
            "    share()\n"
            "    return create(*arguments)\n"
        )
        space = {"give": self._give, "find": self._find, "share": self._share, "create": self._create}
        # With the file of what they stand for, so that tracebacks are as they are without them.
        exec(compile(source, self._find.__code__.co_filename, "exec"), space)  # noqa: S102  # our own text
        _bootstrap._find_and_load, _imp.create_dynamic = space["_find_and_load"], space["create_dynamic"]

    def show(self) -> None:
        """Put the modules back, in a process that is to load more."""
        self._stop()
        sys.modules.update(self._modules)
        for name in self._bound:
            parent, _, last = name.rpartition(".")
            sys.modules[parent].__dict__[last] = self._modules[name]
        self._swap_lists()

    def _swap_lists(self) -> None:
        """Exchange what finders there are for what there were before the modules came, and back."""
        for entries, others in ((sys.meta_path, self._lists["meta_path"]), (sys.path_hooks, self._lists["path_hooks"])):
            entries[:], others[:] = list(others), list(entries)

    def find(self, name: str) -> Any:
        """Return a module, out of sight or not; None when there is none."""
        return self._modules.get(name, sys.modules.get(name))

    def take(self, name: str) -> None:
        """Take what a module holds now for what its import left in it."""
        self._state.code.take(name)

    def settle(self, void: str) -> None:
        """Hand out modules from now on, when the kernel has started, only while all is as it is now.

        Parameters
        ----------
        void
            File for the reason when the attempt is void.
        """
        if self._modules:
            self._state.settle()
        self._void, self._kernel = void, os.getpid()

    def _give(self, name: str) -> Any:
        if name not in self._modules:
            return None
        with self._lock:
            if name in self._modules and self._kernel:
                reason = self._state.contradiction(self._modules, self._depends(name)) or self._shown(name)
                if reason:
                    self._end(name, reason)
            self._ensure(name)
            self._state.code.bound()
            if not self._modules:
                self._stop()
        return sys.modules.get(name)

    def _shown(self, name: str) -> str:
        """Say why the warnings of an import cannot be repeated; empty when they can."""
        fresh = self._led_to(name) - self._given
        told = (value for each in fresh for kind, value in self._events.get(each, ()) if kind == "warning")
        return next(filter(None, map(self._state.shown, told)), "")

    def _stop(self) -> None:
        _bootstrap._find_and_load, _imp.create_dynamic = self._find, self._create

    def _share(self) -> None:
        """Before an extension is loaded, show what extensions share without an import, as those made by Cython do."""
        with self._lock:
            for name, module in list(self._modules.items()):
                if "." not in name and getattr(module, "__spec__", None) is None:
                    sys.modules[name] = self._modules.pop(name)

    def _ensure(self, name: str) -> None:
        """Put a module in its place as its import would, with all that this import asks for."""
        parent, _, last = name.rpartition(".")
        if parent and name not in sys.modules:
            self._ensure(parent)
        if name in sys.modules:
            return
        module: Any = self._modules.pop(name, _ABSENT)
        if module is not _ABSENT:
            sys.modules[name] = module
        if name in self._given:
            return
        self._given.add(name)
        for kind, value in self._events.get(name, ()):
            if kind == "ask":
                self._ensure(value)
            else:
                self._state.repeat(kind, value)
        if module is not _ABSENT:
            sys.modules[name] = sys.modules.pop(name)  # where the end of an import puts it
            self._state.code.remember(name, module)
            if name in self._bound:
                self._state.code.bind(parent, last, module)

    def _depends(self, name: str) -> Callable[[str], bool]:
        """Return what tells of a module whether the import of another could depend on what it holds.

        It does when one of its package is asked for, directly or not. What every kernel has is taken to be asked for.
        """
        packages: set[str] = set()

        def depends(other: str) -> bool:
            if not packages:
                packages.update(found.partition(".")[0] for found in self._led_to(name))
            return other not in self._events or other.partition(".")[0] in packages

        return depends

    def _led_to(self, name: str) -> set[str]:
        """Return a module and all that its import asks for, directly or not."""
        names, waiting = {name}, [name]
        while waiting:
            asked = {value for kind, value in self._events.get(waiting.pop(), ()) if kind == "ask"} - names
            names |= asked
            waiting += asked
        return names

    def _end(self, name: str, reason: str) -> None:
        """Void the attempt before a module is imported, from whichever process of the kernel this is."""
        led_to = self._led_to(name) & self._modules.keys()
        with open(self._void, "w") as file:
            file.write("\n".join([f"{reason} before {name} was imported", name, *led_to]))
        os.kill(self._kernel, signal.SIGKILL)
        os._exit(1)
