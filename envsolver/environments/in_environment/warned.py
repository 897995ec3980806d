# ruff: noqa: SLF001, PTH118, PTH119, PTH120  # it imports no more than a kernel does
"""Counts the warnings that a kernel's process raises, by category and place, and changes nothing that a notebook sees.

What Python shows passes through `warnings._showwarnmsg`, which a stand-in calls. Deprecations that Python hides by
default pass through nothing: the two filters that hide them are exchanged for others, which the interpreter takes for
"always", so that the stand-in gets them too and shows them to nobody. To Python code they look as those that they stand
for. What a filter of the notebook, or of a library, hides or catches is not counted, as in pytest.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library.
"""

from __future__ import annotations

import _thread
import atexit
import builtins
import json
import os
import re
import sys
import warnings

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

MOST_PLACES = 200
"""How many places are told; those beyond are counted only."""

LONGEST = 1000
"""Characters of a message that are told."""

_HIDDEN = (DeprecationWarning, PendingDeprecationWarning)
_CELL = re.compile(r"<ipython-input-(\d+)-")
_FIELDS = 5  # of a filter


class WarningRecorder:
    """Counts this process's warnings.

    Attributes
    ----------
    imported
        Called with each hidden warning while templates import modules, as `replay` takes it; None elsewhere.
    """

    def __init__(self) -> None:
        self.imported: Callable[[tuple[Any, ...]], object] | None = None
        self._log = ""
        self._process = 0
        self._counts: dict[tuple[Any, ...], list[int]] = {}
        self._beyond = 0
        self._coming: set[int] = set()  # threads whose hidden warning is on its way to the stand-in
        self._show_impl: Any = None

    def install(self) -> None:
        """See warnings from now on."""
        self._show_impl = getattr(warnings, "_showwarnmsg_impl", None)
        for index, entry in enumerate(warnings.filters):
            for kind in _HIDDEN:
                if entry == ("ignore", None, kind, None, 0):
                    warnings.filters[index] = _Filter(entry, _observer(self, kind))  # type: ignore[index]
        self._stand_in()

    def start(self, log: str, filters: Sequence[str] = ()) -> None:
        """Count from now on.

        Parameters
        ----------
        log
            The file in which places and counts are told, as lines of JSON.
        filters
            What else is to be filtered, in pytest's syntax, the last first.
        """
        self._log, self._process = log, os.getpid()
        self.imported = None
        for text in filters:
            warnings.filters.insert(0, parse_filter(text, self._write))  # type: ignore[attr-defined]
        if filters:
            for name in ("_filters_mutated", "_filters_mutated_lock_held"):  # the older, and the newer
                getattr(warnings, name, bool)()

    def finish(self) -> None:
        """Tell what was counted, and count no more: what follows is the kernel's own end."""
        for number, (count, told) in enumerate(self._counts.values()):
            if count != told:
                self._write({"place": number, "count": count})
        self._write({"beyond": self._beyond})
        self._process = 0

    def replay(self, warning: tuple[Any, ...], *, counted: bool = True) -> str:
        """Count a warning that the import of a module raised in a template, as if it were raised now.

        Parameters
        ----------
        warning
            Category, text, the name of the module that it is of, file and line.
        counted
            Whether it is counted.

        Returns
        -------
        str
            Why it cannot be had, since the filters would show it or raise it; empty when it can.
        """
        category, text, module, file, line = warning
        counted = counted and not self._is_caught()
        for entry in list(warnings.filters):
            hides = isinstance(entry, _Filter)
            if _matches(tuple(entry), category, text, module, line):
                if hides and counted:
                    self._count(category, text, file, line, hidden=True)
                return "" if hides or entry[0] == "ignore" else "an import warns, which the filters would show"
        return ""

    # What the interpreter calls

    def hides(self, kind: type[Warning], category: type[Warning]) -> bool:
        """Return whether a filter that hides warnings of a kind meets one."""
        self._stand_in()  # a notebook may have put its own function there
        if not issubclass(category, kind):
            return False
        self._coming.add(_thread.get_ident())
        return True

    def _stand_in(self) -> None:
        shown: Any = warnings._showwarnmsg  # type: ignore[attr-defined]
        if getattr(shown, "__code__", None) is _CODE:
            return

        stand_in = _make_stand_in(self, shown)
        warnings._showwarnmsg = stand_in  # type: ignore[attr-defined]

    def take(self, message: Any) -> bool:
        """Count a warning that is about to be shown; return whether it is to be hidden."""
        thread = _thread.get_ident()
        hidden = thread in self._coming
        self._coming.discard(thread)
        try:
            if not self._is_caught():
                self._see(message, hidden=hidden)
        except Exception as error:  # noqa: BLE001  # the notebook must not feel it
            self._write({"blind": repr(error)})
        return hidden

    def _is_caught(self) -> bool:
        """Return whether the notebook collects what is shown, as by ``catch_warnings(record=True)``."""
        context = getattr(warnings, "_get_context", None)
        caught = context is not None and getattr(context(), "log", None) is not None
        return caught or getattr(warnings, "_showwarnmsg_impl", None) is not self._show_impl

    def _see(self, message: Any, *, hidden: bool) -> None:
        category, text = message.category, str(message.message)
        if self.imported is not None:
            file, line, module = _importer(message.filename, message.lineno)
            if hidden:
                self.imported((category, text, module, file, line))
        elif self._process == os.getpid():
            self._count(category, text, message.filename, message.lineno, hidden=hidden)

    def _count(self, category: type[Warning], text: str, file: str, line: int, *, hidden: bool) -> None:
        key = (category, file, line)
        held = self._counts.get(key)
        if held is None and len(self._counts) >= MOST_PLACES:
            self._beyond += 1
            return
        if held is None:
            if not self._counts:
                atexit.register(self.finish)
            self._counts[key] = [1, 1]
            told = {"category": _name_of(category), "message": text[:LONGEST], "file": file, "line": line}
            self._write({**told, "hidden": hidden, "execution": _execution_of(file)})
            return
        held[0] += 1
        if held[0] & (held[0] - 1) == 0:  # so that one that is killed has told the order of magnitude
            held[1] = held[0]
            self._write({"place": list(self._counts).index(key), "count": held[0]})

    def _write(self, told: dict[str, Any]) -> None:
        if not self._log or os.getpid() != self._process:
            return
        try:
            number = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(number, (json.dumps(told) + "\n").encode())
            finally:
                os.close(number)
        except OSError:  # no descriptor is left, the disk is full, or the directory is gone
            return


class _Filter(tuple):  # type: ignore[type-arg]  # noqa: SLOT001  # it holds what it stands for
    """A filter that the interpreter takes for "always", and all Python code for the one that it stands for."""

    def __new__(cls, original: tuple[Any, ...], observer: object) -> _Filter:  # noqa: PYI034  # Python 3.8 has no `Self`
        made = super().__new__(cls, ("always", None, observer, None, 0))
        made.original = original
        return made

    original: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.original)

    def __getitem__(self, index: Any) -> Any:
        return self.original[index]

    def __eq__(self, other: object) -> bool:
        return self.original == (other.original if isinstance(other, _Filter) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.original)

    def __repr__(self) -> str:
        return repr(self.original)

    def __reduce_ex__(self, _: object) -> tuple[Any, ...]:
        return tuple, (self.original,)


def _observer(recorder: WarningRecorder, kind: type[Warning]) -> object:
    """Return what stands in the place of a category, and tells the recorder of each warning that gets so far."""

    class Kind(type):
        def __subclasscheck__(cls, category: type) -> bool:
            return recorder.hides(kind, category)

    return Kind(kind.__name__, (kind,), {"__module__": "builtins"})


def _make_stand_in(recorder: WarningRecorder, shown: Callable[[Any], object]) -> Any:
    def _showwarnmsg(msg: Any) -> None:
        if not recorder.take(msg):
            shown(msg)

    _showwarnmsg.__module__, _showwarnmsg.__qualname__ = "warnings", "_showwarnmsg"
    _showwarnmsg.__doc__ = shown.__doc__
    return _showwarnmsg


_CODE = _make_stand_in(WarningRecorder(), id).__code__


class _LazyCategory:
    """A category named by its module, which a warning of it has imported: nothing is imported for it."""

    def __init__(self, name: str, tell: Callable[[dict[str, Any]], object]) -> None:
        self._module, _, self._name = name.rpartition(".")
        self._tell = tell

    def __subclasscheck__(self, category: type) -> bool:
        module = sys.modules.get(self._module)
        kind = getattr(module, self._name, None)
        if isinstance(kind, type):
            return issubclass(category, kind)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            self._tell({"fault": f"names {self._module}.{self._name}, which is no category of warnings"})
        return False

    def __repr__(self) -> str:
        return f"{self._module}.{self._name}"


def parse_filter(text: str, tell: Callable[[dict[str, Any]], object]) -> tuple[Any, ...]:
    """Return a filter of warnings from pytest's syntax, ``action:message:category:module:line``, which was checked.

    Parameters
    ----------
    tell
        Called with the fault, when a category's module turns out not to have it.
    """
    parts = [part.strip() for part in text.split(":")]
    action, message, category, module, line = [*parts, *[""] * _FIELDS][:_FIELDS]
    actions = ("default", "always", "ignore", "module", "once", "error")
    return (
        next(name for name in actions if name.startswith(action or "default")),
        re.compile(message, re.IGNORECASE) if message else None,
        _LazyCategory(category, tell) if "." in category else getattr(builtins, category or "Warning", Warning),
        re.compile(module) if module else None,
        int(line or 0),
    )


def _matches(entry: tuple[Any, ...], category: type[Warning], text: str, module: str, line: int) -> bool:
    """Return whether a filter meets a warning, as the interpreter finds out."""
    _, message, kind, name, number = entry
    return _fits(message, text) and issubclass(category, kind) and _fits(name, module) and number in (0, line)


def _fits(pattern: Any, text: str) -> bool:
    if pattern is None or isinstance(pattern, str):
        return pattern is None or pattern == text
    found = pattern.match(text)
    return bool(found)


def _name_of(category: type[Warning]) -> str:
    module = category.__module__
    return category.__qualname__ if module == "builtins" else f"{module}.{category.__qualname__}"


def _execution_of(file: str) -> int | None:
    """Return the execution count of the cell whose code a file name stands for; None for any other file."""
    kind = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    shell: Any = getattr(kind, "_instance", None)
    if shell is None:
        return None
    named = _CELL.match(file)
    if named:
        return int(named.group(1))
    if file.startswith("<") and not file.startswith("<frozen"):  # what a magic compiles belongs to the cell that runs
        return int(shell.execution_count)
    number = getattr(shell.compile, "_filename_map", {}).get(file)
    return number if isinstance(number, int) else None


def _importer(file: str, line: int) -> tuple[str, int, str]:
    """Return whose line an import in a template warns of: of what stands between the modules there is none in a kernel.

    Returns
    -------
    tuple
        File, line and name of the module; an empty file for the notebook's own line.
    """
    ours = os.path.join(os.path.dirname(__file__), "")
    library = os.path.join(os.path.dirname(os.__file__), "importlib", "")
    frame: Any = sys._getframe()
    if not file.startswith((ours, library)):
        while frame is not None and frame.f_code.co_filename != file:
            frame = frame.f_back
        name = frame.f_globals.get("__name__") if frame is not None else None
        return file, line, name or os.path.basename(file)[:-3]
    while frame is not None and (frame.f_code.co_filename, frame.f_lineno) != (file, line):
        frame = frame.f_back
    while frame is not None and _stands_between(frame, ours, library):
        frame = frame.f_back
    if frame is None or frame.f_back is None:
        return "", 0, "__main__"
    return frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__") or ""


def _stands_between(frame: Any, ours: str, library: str) -> bool:
    """Return whether a frame is one of those by which a template imports."""
    name: str = frame.f_code.co_filename
    above = frame.f_back
    if name.startswith(library):
        return above is not None and str(above.f_code.co_filename).startswith(ours)
    return name.startswith((ours, "<frozen importlib"))
