# ruff: noqa: SLF001  # what imports do shows in private places
"""What the import of each module asks for and changes, so that a kernel can repeat it later; see `adoption`.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library. It imports only what every
kernel holds anyway.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_bootstrap: Any = sys.modules["importlib._bootstrap"]


class Requests:
    """What the imports of this process asked for and changed.

    Parameters
    ----------
    put_back
        The function of `os_spies`.

    Attributes
    ----------
    shared_lists
        The function of `kernel_state`.
    events
        By the module whose import did so, in order: ``("ask", name)``, ``("variable", [name, value])``,
        ``("list", (which, before, after))`` and ``("warning", …)`` as in `warned`.
    """

    def __init__(
        self,
        shared_lists: Callable[[], dict[str, list[Any]]],
        put_back: Callable[[list[tuple[Any, Any]]], object],
    ) -> None:
        self._put_back = put_back
        self.shared_lists = shared_lists
        self.events: dict[str, list[tuple[str, Any]]] = {}
        self._loading: list[tuple[str, set[str]]] = []  # with what each asked for
        self._known: set[str] = set()
        self._lists: dict[str, list[Any]] = {}
        self._variables: dict[Any, Any] = {}
        self._import: Any = None
        self._find: Any = None

    def watch(self) -> None:
        """Note from now on."""
        self._known = set(sys.modules)
        self._lists, self._variables = self.shared_lists(), dict(_variables())
        self._import, self._find = builtins.__import__, _bootstrap._find_and_load
        builtins.__import__, _bootstrap._find_and_load = self._spy_import, self._spy_find

    def unwatch(self) -> None:
        """Note no more, and leave no trace of having done so."""
        spies = (builtins.__import__, _bootstrap._find_and_load)
        builtins.__import__, _bootstrap._find_and_load = self._import, self._find
        self._put_back([(spies[0], self._import), (spies[1], self._find)])

    def asked(self) -> set[str]:
        """Name the modules that any of the imports asked for, as far as they are there."""
        names = {value for events in self.events.values() for kind, value in events if kind == "ask"}
        return names & sys.modules.keys()

    def note_warning(self, warning: tuple[Any, ...]) -> bool:
        """Note a warning of the import that is going on; False when it is of the notebook's own line."""
        if warning[3] and self._loading:
            self.events.setdefault(self._loading[-1][0], []).append(("warning", warning))
        return bool(warning[3]) or not self._loading

    def _spy_import(
        self,
        name: str,
        globals: Any = None,  # noqa: A002  # the function's own names
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        whole = name if level == 0 else self._resolve(name, globals, level)
        self._note(whole)
        module = self._import(name, globals, locals, fromlist, level)
        for item in fromlist or ():
            inner = f"{whole}.{item}"
            if inner in sys.modules:
                self._note(inner)
        return module

    @staticmethod
    def _resolve(name: str, space: Any, level: int) -> str:
        try:
            whole: str = _bootstrap._resolve_name(name, _bootstrap._calc___package__(space), level)
        except (ImportError, KeyError, TypeError):  # as the import itself will say
            return ""
        return whole

    def _spy_find(self, name: str, import_: Any) -> Any:
        self._note(name)
        if name in sys.modules:
            return self._find(name, import_)
        self._sync()
        self._loading.append((name, set()))
        self._known.add(name)
        try:
            return self._find(name, import_)
        finally:
            self._sync()
            self._loading.pop()

    def _note(self, name: str) -> None:
        """Note that the import that is going on asks for a module, the first time that it does."""
        if self._loading:
            loading, asked = self._loading[-1]
            if name and name not in asked:
                asked.add(name)
                self.events.setdefault(loading, []).append(("ask", name))

    def _sync(self) -> None:
        """Attribute what has changed since the last look to the import that is going on."""
        events = self.events.setdefault(self._loading[-1][0] if self._loading else "", [])
        if len(sys.modules) != len(self._known):
            # Names that came without an import, or went; those of imports are known from their beginning.
            events += [("ask", name) for name in list(sys.modules) if name not in self._known]
            self._known = {*sys.modules, *(name for name, _ in self._loading)}
        lists = self.shared_lists()
        if lists != self._lists:
            before, self._lists = self._lists, lists
            events += [("list", (name, before[name], now)) for name, now in lists.items() if now != before[name]]
        variables = _variables()
        if variables != self._variables:
            past, self._variables = self._variables, dict(variables)
            for key in past.keys() | variables.keys():
                value = variables.get(key)
                if past.get(key) != value:
                    # In a list, so that the name of a private directory is put right there; see `kept_places`.
                    events.append(("variable", [os.fsdecode(key), None if value is None else os.fsdecode(value)]))


def _variables() -> dict[bytes, bytes]:
    """Return the variables in the dictionary that they stand in; copying them is slower."""
    variables: dict[bytes, bytes] = vars(os.environ)["_data"]
    return variables
