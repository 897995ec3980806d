# ruff: noqa: PTH208  # what imports leave behind stands in private places; pathlib is slower
"""Tripwires: what an import must not do ahead of the kernel, since a kernel would notice.

An import is refused when it asks for the shell, prints, warns, draws from a random generator that cannot be drawn
afresh, opens a file, starts a thread or a process, changes a signal handler or the import path.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library and ipykernel. It imports only
what every kernel holds anyway.
"""

from __future__ import annotations

import builtins
import logging
import os
import random
import signal
import sys
import types
import uuid
import weakref

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

_TRAP = "_envsolver_trap_"
_SHELL_NAMES = ("__IPYTHON__", "display", "get_ipython")
_getcwd = os.getcwd  # as it is while imports are watched
_NUMPY_BITS = 128  # that numpy's `SeedSequence` draws
_PROMPTS = {"ps1": "In : ", "ps2": "...: ", "ps3": "Out: "}  # as the shell sets them


class Refused(BaseException):
    """Unwinds an import. No module is expected to catch it, and one that does is refused all the same."""


class Tripwires:
    """Watch the imports of this process while they are armed, which they are inside a ``with``.

    Parameters
    ----------
    randomness
        The `RandomState` of this process.
    consulted, places, spies
        Its `Consulted`, `KeptPlaces` and `OsSpies`.

    Attributes
    ----------
    refused
        What a refused import raises.
    streams
        The objects that become the kernel's ``sys.stdout`` and ``sys.stderr``, so that a module which keeps one at
        import keeps the right one.
    tainted
        The modules refused so far, and why.
    """

    refused = Refused

    def __init__(self, randomness: Any, consulted: Any, places: Any, spies: Any) -> None:
        from ipykernel.iostream import OutStream

        self.tainted: dict[str, str] = {}
        self.streams: dict[str, Any] = {}
        for name in ("stdout", "stderr"):
            self.streams[name] = OutStream.__new__(OutStream)
            self._lay(self.streams[name])
        self._randomness = randomness
        self._consulted, self._places, self._spies = consulted, places, spies
        self._shells: list[tuple[weakref.ref[Any], list[str]]] = []
        self._excluded: frozenset[str] = frozenset()
        self._loading = False
        self._silent = True
        self._seen = _Seen((None, None, None))
        self._traps = _Traps()

    def expect(self, excluded: Collection[str], *, silence: bool) -> None:
        """Say what the next imports must not do.

        Parameters
        ----------
        excluded
            Names that must not be imported, by others either.
        silence
            Whether they must not print.
        """
        self._excluded, self._silent = frozenset(excluded), silence

    def __enter__(self) -> None:
        """Arm them."""
        from IPython.core import getipython
        from IPython.display import display
        from traitlets.config import SingletonConfigurable

        self._loading = True
        self._seen = _Seen((sys.stdout, sys.stderr, sys.modules["__main__"]))
        sys.stdout, sys.stderr = self.streams["stdout"], self.streams["stderr"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        for name, value in _PROMPTS.items():
            setattr(sys, name, value)
        for name, thing in {"__IPYTHON__": True, "display": display, "get_ipython": getipython.get_ipython}.items():
            setattr(builtins, name, thing)
        self._traps.replace(getipython.get_ipython, "shell", self._stand_in)
        for name in ("instance", "initialized"):
            method = SingletonConfigurable.__dict__[name].__func__
            self._traps.around(method, name, lambda _: self._trip("it asks for the shell"))
        self._traps.around(random.SystemRandom.getrandbits, "bits", self._before_bits, self._randomness.drawn.add)
        self._traps.around(uuid.uuid4, "uuid4", self._before_identifier)
        self._randomness.watch()
        sys.meta_path.insert(0, self)
        self._seen.counts, self._seen.modules = _open_counts(), len(sys.modules)
        self._seen.state = self._process_state()
        self._consulted.watch(self._taint, _in_progress)
        self._places.watch()
        self._spies.watch()

    def __exit__(self, *_: object) -> None:
        """Disarm them."""
        self._spies.unwatch()
        self._loading = False
        sys.meta_path.remove(self)
        self._randomness.unwatch()
        self._traps.remove()
        for name in _SHELL_NAMES:
            builtins.__dict__.pop(name, None)
        for name in _PROMPTS:
            sys.__dict__.pop(name, None)
        sys.stdout, sys.stderr, sys.modules["__main__"] = self._seen.before

    def check(self, name: str) -> None:
        """Look at the process after the import of `name`, and taint it when it changed what all share."""
        self._look()
        self._places.check(self._taint)
        state = self._process_state()
        if state != self._seen.state:
            self.tainted.setdefault(
                name, "its import changes what all share, such as a signal handler or the import path"
            )
            self._seen.state = state

    def check_rest(self) -> None:
        """Taint who keeps the shell, a seed, or a place, that no child can have afresh, when all imports are done."""
        self._places.settle(self._taint)
        self._consulted.settle()
        for shell, names in self._shells:
            if shell() is not None:
                self.tainted.update(dict.fromkeys(names, "it keeps the shell"))
        self._shells.clear()
        if not self._randomness.find():
            self.tainted["numpy.random"] = "a module keeps a seed from the system's random numbers"

    def bars(self, name: str) -> bool:
        """Return whether a module, or a package that it stands in, is excluded."""
        parts = name.split(".")
        return any(".".join(parts[:count]) in self._excluded for count in range(1, len(parts) + 1))

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002  # a finder's signature
        """Stand first among the finders: look at the process between any two imports, and bar what is excluded."""
        self._look()
        self._consulted.look_for(name)
        self._randomness.remember()
        if self._loading and self.bars(name):
            self.tainted[name] = "it is excluded"
            self._trip(f"it imports {name}")

    def trip_importer(self) -> None:
        """Taint what warns of the line that imports it: in a kernel that is the notebook's, and Python shows it."""
        self._taint(_in_progress(), "it warns whoever imports it")

    def _taint(self, names: Iterable[str], why: str) -> None:
        for name in names:
            self.tainted.setdefault(name, why)

    def _trip(self, why: str) -> None:
        self._taint(_in_progress(), why)
        raise Refused(why)

    def _look(self) -> None:
        counts, names = _open_counts(), list(sys.modules)
        if counts != self._seen.counts:
            self._taint([*names[self._seen.modules :], *_in_progress()], "its import starts a thread or opens a file")
            self._seen.counts = counts
        self._seen.modules = len(names)

    def _process_state(self) -> list[object]:
        return [
            [signal.getsignal(number) for number in signal.valid_signals()],
            [sys.excepthook, sys.displayhook, getattr(sys, "unraisablehook", None), sys.getrecursionlimit()],
            list(sys.path),
            _getcwd(),
            [logging.root.level, list(logging.root.handlers), logging.root.manager.disable],
            self._randomness.state(),
            [sys.stdout is self.streams["stdout"], sys.stderr is self.streams["stderr"]],
            _has_children(),
        ]

    def _stand_in(self, *_: object, **__: object) -> object:
        """Answer an import that asks whether it runs in a notebook. One that wants more of the shell is refused."""
        shell = _shell_type(self._trip)()
        self._shells.append((weakref.ref(shell), _in_progress()))
        return shell

    def _before_bits(self, arguments: tuple[object, ...]) -> None:
        # So many are drawn to seed numpy's generators, which `RandomState` finds and seeds again.
        if arguments[-1] != _NUMPY_BITS:
            self._trip("it draws from the system's random numbers")

    def _before_identifier(self, _: object) -> None:
        names = _in_progress()
        # Torch draws keys for its own tables; anything else may name what two kernels must not share.
        if not (names and names[-1].startswith("torch.")):
            self._trip("it draws an identifier")

    def _lay(self, stream: Any) -> None:
        def write(text: str) -> Any:
            if self._loading and self._silent:
                self._trip("it prints or warns")
            elif self._loading:
                return len(text)
            return type(stream).write(stream, text)

        def flush() -> Any:
            return None if self._loading else type(stream).flush(stream)

        stream.write, stream.flush = write, flush
        stream.isatty = lambda: False if self._loading else type(stream).isatty(stream)


class _Seen:
    """The process at the last look.

    Attributes
    ----------
    before
        Its streams and its main module when the tripwires were armed.
    counts
        Of threads and of open files.
    modules
        How many there were.
    state
        What all modules share.
    """

    def __init__(self, before: tuple[Any, Any, Any]) -> None:
        self.before = before
        self.counts, self.modules = (0, 0), 0
        self.state: list[object] = []


class _Traps:
    """Functions whose code is changed while imports are watched, so that every reference to them is covered."""

    def __init__(self) -> None:
        self._original: list[tuple[Any, Any, Any, str]] = []

    def around(
        self, function: Any, name: str, before: Callable[[Any], object], after: Callable[[Any], object] = bool
    ) -> None:
        """Have `function` call `before` and `after`."""
        original = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )

        def trap(*args: object, **named: object) -> object:
            before(args)
            result = original(*args, **named)
            after(result)
            return result

        self.replace(function, name, trap)

    def replace(self, function: Any, name: str, trap: Callable[..., object]) -> None:
        """Have `function` call `trap` instead."""
        key = _TRAP + name
        space: dict[str, Any] = {}
        exec(f"def stub(*args, **named): return {key}(*args, **named)", space)  # noqa: S102  # our own text
        function.__globals__[key] = trap
        self._original.append((function, function.__code__, function.__defaults__, key))
        function.__defaults__ = None
        function.__code__ = space["stub"].__code__

    def remove(self) -> None:
        """Give each function its own code again."""
        for function, code, defaults, name in self._original:
            function.__code__, function.__defaults__ = code, defaults
            function.__globals__.pop(name, None)
        self._original.clear()


def _open_counts() -> tuple[int, int]:
    """Return how many threads and open files this process has."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def _shell_type(trip: Callable[[str], None]) -> Any:
    """Make a class that looks like the shell's to those who only ask whether there is one."""
    from ipykernel.zmqshell import ZMQInteractiveShell

    class ShellPart:
        def __getattr__(self, name: str) -> Any:
            trip(f"it asks for the shell's {name}")

        def __contains__(self, name: object) -> bool:
            if name != "IPKernelApp":
                trip("it asks for the shell's configuration")
            return True

    class Shell:
        kernel = ShellPart()
        config = ShellPart()

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            return ZMQInteractiveShell

        def __getattr__(self, name: str) -> Any:
            trip(f"it asks for the shell's {name}")

    Shell.__name__ = Shell.__qualname__ = ZMQInteractiveShell.__name__
    Shell.__module__ = ZMQInteractiveShell.__module__
    return Shell


def _in_progress() -> list[str]:
    """Name the modules whose import is going on, the innermost last."""
    found = []
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__dict__", {}).get("__spec__")
        if getattr(spec, "_initializing", False):
            found.append(name)
    return found


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
