# ruff: noqa: PTH109  # it imports no more than a kernel does
"""What an import could depend on in a kernel, and whether it is still as it was in the template.

Compared are variables, the working directory, the import path, files that were consulted, filters of warnings, levels
of logging, locale, standard streams, functions that were replaced, modules that were put in a place, and so on.
Of what modules hold that are in use already, `module_code` says what is compared.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library. It imports only what every
kernel holds anyway.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

_SHARED: dict[str, Callable[[], Any]] = {
    "filters": lambda: warnings.filters,
    "meta_path": lambda: sys.meta_path,
    "path_hooks": lambda: sys.path_hooks,
}


def shared_lists() -> dict[str, list[Any]]:
    """Return the lists to which imports add, as they are now."""
    return {name: list(entries()) for name, entries in _SHARED.items()}


class KernelState:
    """What imports could depend on.

    Made in a template when all is imported; in a kernel, `settle` is called when it has started.

    Parameters
    ----------
    consulted
        The `Consulted` of the process.
    code
        The `ModuleCode`.
    recorder
        The `WarningRecorder` of `warned`.

    Attributes
    ----------
    code
        The same.
    """

    def __init__(self, consulted: Any, code: Any, recorder: Any) -> None:
        self._consulted, self._recorder = consulted, recorder
        self.code = code
        self._lists: dict[str, list[Any]] = shared_lists()
        self._missing = consulted.missing()
        self._folder = ""
        self._path: list[str] = []
        self._variables: dict[str, str] = {}
        self._process: dict[str, Any] = {}

    def settle(self) -> None:
        """Take what is now for what the template had."""
        self._folder, self._path = os.getcwd(), list(sys.path)
        self._variables, self._lists = dict(os.environ), shared_lists()
        self._process = _process_state()
        self.code.settle()

    # What imports do themselves

    def repeat(self, kind: str, value: Any) -> None:
        """Do what the import of a module did; `kind` and `value` are an event of `import_requests`."""
        if kind == "variable":
            self.set_variable(*value)
        elif kind == "list":
            self.change_list(*value)
        else:
            self._recorder.replay(value)

    def shown(self, warning: tuple[Any, ...]) -> str:
        """Say why a warning of an import cannot be repeated unseen; empty when it can."""
        found: str = self._recorder.replay(warning, counted=False)
        return found

    def set_variable(self, name: str, value: str | None) -> None:
        """Change a variable, or take it away, as an import does."""
        for variables in (os.environ, self._variables):
            variables.pop(name, None)
            if value is not None:
                variables[name] = value

    def change_list(self, which: str, before: list[Any], after: list[Any]) -> None:
        """Change one of the shared lists as an import changed it that found `before` and left `after`."""
        added = [entry for entry in after if not _holds(before, entry)]
        gone = [entry for entry in before if not _holds(after, entry)]
        front = bool(added) and after[0] is added[0]
        for entries in (_SHARED[which](), self._lists[which]):
            rest = [entry for entry in entries if not _holds(gone, entry)]
            entries[:] = [*added, *rest] if front else [*rest, *added]
        getattr(warnings, "_filters_mutated", bool)()

    # Whether all is as it was

    def contradiction(self, apart: Collection[str], matters: Callable[[str], bool]) -> str:
        """Say what has changed that the import of a module could depend on; empty for nothing.

        Parameters
        ----------
        apart
            Names of modules that are not in ``sys.modules``, unless a notebook put them there.
        matters
            Tells of a module's name whether the import could depend on what it holds.
        """
        there = {*apart, *self._missing} & sys.modules.keys()
        if there:
            return f"another {min(there)} was put into sys.modules"
        if os.getcwd() != self._folder:
            return "the working directory changed"
        variables = dict(os.environ)
        if variables != self._variables:
            names = [name for name, _ in variables.items() ^ self._variables.items()]
            return f"{min(names)} changed among the variables"
        process = _process_state()
        changed = [thing for thing, before in self._process.items() if process[thing] != before]
        if changed:
            return f"{changed[0]} changed"
        rest: str = self._changed_path() or self._changed_list() or self.code.changed(matters)
        return rest or str(self._consulted.difference(self._folder))

    def _changed_path(self) -> str:
        kept = [entry for entry in sys.path if entry in self._path]
        if list(dict.fromkeys(kept)) != list(dict.fromkeys(self._path)):
            return "sys.path changed"
        last = max((index for index, entry in enumerate(sys.path) if entry in self._path), default=0)
        for index, entry in enumerate(sys.path):
            shadow = "" if entry in self._path else self._consulted.shadows(entry, behind=index > last)
            if shadow:
                return f"sys.path changed: {shadow}"
        return ""

    def _changed_list(self) -> str:
        lists = shared_lists()
        filters, expected = lists.pop("filters"), self._lists["filters"]
        added = [entry for entry in filters if not _holds(expected, entry)]
        if len(filters) - len(added) != len(expected) or any(entry[0] != "ignore" for entry in added):
            return "the filters of warnings changed"
        changed = [name for name, entries in lists.items() if entries != self._lists[name]]
        return f"sys.{changed[0]} changed" if changed else ""


def _process_state() -> dict[str, Any]:
    """Return what an import can depend on and any code can set, by what people call it."""
    place = sys.modules.get("_locale")
    mask = os.umask(0o77)
    os.umask(mask)
    root = logging.root
    loggers = [(name, getattr(logger, "level", 0)) for name, logger in list(root.manager.loggerDict.items())]
    return {
        "the mask of new files": mask,
        "the locale": place.setlocale(place.LC_ALL) if place is not None else None,
        "logging": [root.level, list(root.handlers), root.manager.disable, logging.raiseExceptions],
        "a logger's level": {name: level for name, level in loggers if level},
        "the limit of recursion": sys.getrecursionlimit(),
        "tracing": [sys.gettrace(), sys.getprofile()],
        "sys.dont_write_bytecode": sys.dont_write_bytecode,
        "a standard stream": [sys.stdout, sys.stderr],
        "sys.argv": sys.argv[:],
        # The kernel itself sets that of interruption for each cell.
        "a signal's handler": [signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGINT}],
    }


def _holds(entries: Collection[object], wanted: object) -> bool:
    return any(entry is wanted for entry in entries)
