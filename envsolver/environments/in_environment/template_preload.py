# ruff: noqa: SLF001, PTH109, PTH208  # what imports leave behind stands in private places; pathlib is slower
"""Imports modules ahead of the kernels that will be forked, and refuses those that a kernel would notice.

A module is refused when its import does what cannot be the same for a kernel that is not there yet: it asks for the
shell, prints, warns, draws from a random generator that cannot be drawn afresh, opens a file, starts a thread or a
process, changes a signal handler or the import path. A refused import leaves traces, so the process that met one
reports the names and ends, and another is forked that never attempts them.

Runs in the environment's interpreter, Python 3.8 or later, with the standard library and ipykernel. It imports only
what every kernel holds anyway.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import logging
import os
import random
import signal
import sys
import tempfile
import types
import uuid
import warnings
import weakref

# Not every kernel holds it, and it can be told.
sys.modules.pop("gc", None)

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

_TRAP = "_envsolver_trap_"
_SHELL_NAMES = ("__IPYTHON__", "display", "get_ipython")
_TORCH_SEED = 67280421310721  # of a generator that nobody seeded, where it is the same in each process
_NUMPY_BITS = 128  # that numpy's `SeedSequence` draws
_PROMPTS = {"ps1": "In : ", "ps2": "...: ", "ps3": "Out: "}  # as the shell sets them


class Refused(BaseException):
    """Unwinds an import. No module is expected to catch it, and one that does is refused all the same."""


class Preload:
    """The modules loaded so far, and what a child must put right before it becomes a kernel.

    Attributes
    ----------
    streams
        The objects that become the kernel's ``sys.stdout`` and ``sys.stderr``, so that a module which keeps one at
        import keeps the right one.
    tainted
        The modules refused so far, and why.
    """

    def __init__(self) -> None:
        from ipykernel.iostream import OutStream

        self.tainted: dict[str, str] = {}
        self.streams: dict[str, Any] = {}
        for name in ("stdout", "stderr"):
            self.streams[name] = OutStream.__new__(OutStream)
            self._lay_tripwire(self.streams[name])
        self._filters = list(warnings.filters)
        self._handlers = list(logging._handlerList)  # type: ignore[attr-defined]
        self._environ: dict[str, str | None] = {}
        self._generators: dict[int, random.Random] = {}
        self._drawn: set[int] = set()
        self._shells: list[tuple[weakref.ref[Any], list[str]]] = []
        self._numpy_generators: list[Any] = []
        self._numpy: Any = None
        self._torch: int | None = None  # the seed of torch's global generator
        self._excluded: frozenset[str] = frozenset()
        self._loading = False
        self._silent = True
        self._counts = [0, 0]  # of threads and of open files
        self._settled = 0  # how many modules there were at the last look
        self._state: list[object] = []
        self._swapped: list[tuple[Any, Any, Any, str]] = []

    # Loading

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
            Names of modules that must not be loaded ahead, each with the reason. Unless it is empty, this process is
            of no more use.
        """
        before = set(sys.modules)
        environ = dict(os.environ)
        self._excluded = frozenset(excluded)
        self._silent = not before_cells
        self._arm()
        try:
            for entry in wanted:
                name, _, origin = entry.partition("=")
                name, _, taken = name.partition(":")
                barred = self._barred(name) or (taken and self._barred(name + "." + taken))
                if (taken or name not in sys.modules) and not barred:
                    self._step(name, taken, origin)
        finally:
            self._disarm()
        gc.collect()
        self._check_shells()
        self._find_generators()
        if allowed is not None:
            known = {entry.partition("=")[0] for entry in allowed}
            for name in set(sys.modules) - before - known:
                if _is_plain(name, sys.modules[name]):
                    self.tainted[name] = "it is not loaded by every notebook"
        for key in environ.keys() | os.environ.keys():
            if environ.get(key) != os.environ.get(key):
                self._environ[key] = os.environ.get(key)
        gc.freeze()
        return self.tainted

    def _barred(self, name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[:count]) in self._excluded for count in range(1, len(parts) + 1))

    def _step(self, name: str, taken: str, origin: str) -> None:
        try:
            module = importlib.import_module(name)
            if taken:
                __import__(name, fromlist=[taken])
            spec = module.__dict__.get("__spec__")
            if origin and getattr(spec, "origin", None) != origin:
                self.tainted.setdefault(name, "it comes from another file")
        except Refused:
            pass
        except ModuleNotFoundError as error:
            # One that can only be found with another's help comes with that one, or not at all.
            if error.name is None or not name.startswith(error.name):
                self.tainted.setdefault(name, f"its import raises {type(error).__name__}")
        except BaseException as error:  # noqa: BLE001  # an import may raise anything, SystemExit too
            self.tainted[name] = f"its import raises {type(error).__name__}"
        self._look()
        state = self._process_state()
        if state != self._state:
            self.tainted.setdefault(
                name, "its import changes what all share, such as a signal handler or the import path"
            )
            self._state = state

    # Tripwires

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002  # a finder's signature
        """Stand first among the finders: look at the process between any two imports, and bar what is excluded."""
        self._look()
        if self._numpy is None and _numpy_generator() is not None:
            self._remember_numpy()
        if self._torch is None and _torch_generator() is not None:
            self._torch = _torch_generator().initial_seed()
        if self._loading and self._barred(name):
            self.tainted[name] = "it is excluded"
            self._trip(f"it imports {name}")

    def _trip(self, why: str) -> None:
        for name in _in_progress():
            self.tainted.setdefault(name, why)
        raise Refused(why)

    def _look(self) -> None:
        counts = [len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))]
        names = list(sys.modules)
        if counts != self._counts:
            for name in [*names[self._settled :], *_in_progress()]:
                self.tainted.setdefault(name, "its import starts a thread or opens a file")
            self._counts = counts
        self._settled = len(names)

    def _process_state(self) -> list[object]:
        handlers = [signal.getsignal(number) for number in signal.valid_signals()]
        hooks = [sys.excepthook, sys.displayhook, getattr(sys, "unraisablehook", None), sys.getrecursionlimit()]
        generator = _numpy_generator()
        if generator is not None and self._numpy is None:
            self._remember_numpy()
        torch = _torch_generator()
        if torch is not None and self._torch is None:
            self._torch = torch.initial_seed()
        torch_fresh = torch is None or torch.initial_seed() == self._torch
        numpy_fresh = generator is None or _same_state(generator.get_state(legacy=False), self._numpy)
        streams = [sys.stdout is self.streams["stdout"], sys.stderr is self.streams["stderr"]]
        return [
            handlers,
            hooks,
            list(sys.path),
            os.getcwd(),
            random.getstate(),
            numpy_fresh,
            torch_fresh,
            streams,
            _has_children(),
        ]

    def _remember_numpy(self) -> None:
        self._numpy = _numpy_generator().get_state(legacy=False)

    def _arm(self) -> None:
        from IPython.core import getipython
        from IPython.display import display
        from traitlets.config import SingletonConfigurable

        self._loading = True
        self._raw = (sys.stdout, sys.stderr, sys.modules["__main__"])
        sys.stdout, sys.stderr = self.streams["stdout"], self.streams["stderr"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        for name, value in _PROMPTS.items():
            setattr(sys, name, value)
        for name, thing in {"__IPYTHON__": True, "display": display, "get_ipython": getipython.get_ipython}.items():
            setattr(builtins, name, thing)
        self._replace(getipython.get_ipython, "shell", self._stand_in)
        for name in ("instance", "initialized"):
            method = SingletonConfigurable.__dict__[name].__func__
            self._swap(method, name, lambda _: self._trip("it asks for the shell"))
        self._swap(random.SystemRandom.getrandbits, "bits", self._before_bits, self._drawn.add)
        self._swap(uuid.uuid4, "uuid4", self._before_identifier)
        self._seed = random.Random.seed
        random.Random.seed = self._seed_spy()  # type: ignore[method-assign]
        sys.meta_path.insert(0, self)
        self._counts = [len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))]
        self._settled = len(sys.modules)
        self._state = self._process_state()

    def _disarm(self) -> None:
        self._loading = False
        sys.meta_path.remove(self)
        random.Random.seed = self._seed  # type: ignore[method-assign]
        for function, code, defaults, name in self._swapped:
            function.__code__, function.__defaults__ = code, defaults
            function.__globals__.pop(name, None)
        self._swapped.clear()
        for name in _SHELL_NAMES:
            builtins.__dict__.pop(name, None)
        for name in _PROMPTS:
            sys.__dict__.pop(name, None)
        sys.stdout, sys.stderr, sys.modules["__main__"] = self._raw

    def _stand_in(self, *_: object, **__: object) -> object:
        """Answer whoever asks, at import, whether it runs in a notebook. Whoever wants more of the shell is refused."""
        shell = _shell_type(self._trip)()
        self._shells.append((weakref.ref(shell), _in_progress()))
        return shell

    def _check_shells(self) -> None:
        for shell, names in self._shells:
            if shell() is not None:
                self.tainted.update(dict.fromkeys(names, "it keeps the shell"))
        self._shells.clear()

    def _swap(
        self,
        function: Any,
        name: str,
        before: Callable[[Any], object],
        after: Callable[[Any], object] = bool,
    ) -> None:
        """Have `function` call `before` and `after`. Its code is changed, so whoever holds it is covered."""
        original = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )

        def trap(*args: object, **named: object) -> object:
            before(args)
            result = original(*args, **named)
            after(result)
            return result

        self._replace(function, name, trap)

    def _replace(self, function: Any, name: str, trap: Callable[..., object]) -> None:
        key = _TRAP + name
        space: dict[str, Any] = {}
        exec(f"def stub(*args, **named): return {key}(*args, **named)", space)  # noqa: S102  # our own text
        function.__globals__[key] = trap
        self._swapped.append((function, function.__code__, function.__defaults__, key))
        function.__defaults__ = None
        function.__code__ = space["stub"].__code__

    def _before_bits(self, arguments: tuple[object, ...]) -> None:
        # So many are drawn to seed numpy's generators, which `renew` finds and seeds again.
        if arguments[-1] != _NUMPY_BITS:
            self._trip("it draws from the system's random numbers")

    def _before_identifier(self, _: object) -> None:
        names = _in_progress()
        # Torch draws keys for its own tables; anything else may name what two kernels must not share.
        if not (names and names[-1].startswith("torch.")):
            self._trip("it draws an identifier")

    def _seed_spy(self) -> Any:
        seed, generators = self._seed, self._generators

        def spy(this: random.Random, a: Any = None, version: int = 2) -> None:
            seed(this, a, version)
            generators.pop(id(this), None)
            if a is None:
                generators[id(this)] = this

        return spy

    def _lay_tripwire(self, stream: Any) -> None:
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

    def _find_generators(self) -> None:
        """Find the generators of numpy that the system's random numbers seeded, to be seeded again in each child."""
        module = sys.modules.get("numpy.random.bit_generator")
        if module is None or not self._drawn:
            return
        self._numpy_generators = []
        # By their types: asking each object for its class would run code of some, which warns.
        kinds = (module.BitGenerator, module.SeedSequence)
        found = [thing for thing in gc.get_objects() if issubclass(type(thing), kinds)]
        owned = set()
        for thing in found:
            if isinstance(thing, module.BitGenerator):
                source = getattr(thing, "seed_seq", getattr(thing, "_seed_seq", None))
                owned.add(id(source))
                if getattr(source, "entropy", None) in self._drawn:
                    self._numpy_generators.append(thing)
        for thing in found:
            if isinstance(thing, module.SeedSequence) and id(thing) not in owned and thing.entropy in self._drawn:
                self.tainted["numpy.random"] = "a module keeps a seed from the system's random numbers"

    # In the child

    def renew(self) -> None:
        """Draw afresh what imports drew, and hide what they put where the kernel's own start puts things."""
        for own in self._generators.values():
            own.seed()
        for thing in self._numpy_generators:
            thing.state = type(thing)().state
        generator = _numpy_generator()
        if generator is not None:
            generator.seed()
        torch = _torch_generator()
        if torch is not None and torch.initial_seed() != _TORCH_SEED:
            torch.seed()
        process = sys.modules.get("multiprocessing.process")
        if process is not None:
            process.current_process().authkey = os.urandom(32)
        tempfile.tempdir = None
        for name, value in self._environ.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        self._added_filters = [entry for entry in warnings.filters if not _holds(self._filters, entry)]
        self._hidden = list(logging._handlerList)  # type: ignore[attr-defined]
        warnings.filters[:] = self._filters  # type: ignore[index]
        logging._handlerList[:] = self._handlers  # type: ignore[attr-defined]
        for stream in self.streams.values():
            stream.__dict__.clear()
        self._named_threads = _next_thread(0) - 1

    def settle(self) -> None:
        """Put back what `renew` hid, as imports would put it after the kernel's start."""
        rest = [entry for entry in warnings.filters if entry not in self._added_filters]
        warnings.filters[:] = self._added_filters + rest  # type: ignore[index]
        warnings._filters_mutated() if hasattr(warnings, "_filters_mutated") else None
        added = [entry for entry in self._hidden if not _holds(self._handlers, entry)]
        logging._handlerList.extend(added)  # type: ignore[attr-defined]
        _next_thread(self._named_threads)


def _shell_type(trip: Callable[[str], None]) -> Any:
    """Make a class that looks like the shell's to those who only ask whether there is one."""
    from ipykernel.zmqshell import ZMQInteractiveShell

    class Part:
        def __getattr__(self, name: str) -> Any:
            trip(f"it asks for the shell's {name}")

        def __contains__(self, name: object) -> bool:
            if name != "IPKernelApp":
                trip("it asks for the shell's configuration")
            return True

    class Shell:
        kernel = Part()
        config = Part()

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            return ZMQInteractiveShell

        def __getattr__(self, name: str) -> Any:
            trip(f"it asks for the shell's {name}")

    Shell.__name__ = Shell.__qualname__ = ZMQInteractiveShell.__name__
    Shell.__module__ = ZMQInteractiveShell.__module__
    return Shell


def _next_thread(skipped: int) -> int:
    """Return the number that the next unnamed thread would get; let it be 1, or that one plus `skipped`."""
    threading: Any = sys.modules["threading"]
    number = int(threading._counter())
    threading._counter = threading._count(number + skipped if skipped else 1).__next__
    return number


def _numpy_generator() -> Any:
    """Return numpy's global generator, or None as long as it is not there."""
    return getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)


def _torch_generator() -> Any:
    """Return torch's global generator, or None as long as it is not there."""
    return getattr(sys.modules.get("torch.random"), "default_generator", None)


def _is_plain(name: str, module: object) -> bool:
    """Tell whether a module came from a file of its own name, as those that history remembers."""
    spec = getattr(module, "__dict__", {}).get("__spec__")
    return getattr(spec, "name", None) == name and isinstance(getattr(spec, "origin", None), str)


def _in_progress() -> list[str]:
    """Name the modules whose import is going on, the innermost last."""
    found = []
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__dict__", {}).get("__spec__")
        if getattr(spec, "_initializing", False):
            found.append(name)
    return found


def _holds(entries: Iterable[object], wanted: object) -> bool:
    return any(entry is wanted for entry in entries)


def _same_state(one: Any, other: Any) -> bool:
    return bool(
        one["bit_generator"] == other["bit_generator"]
        and one["has_gauss"] == other["has_gauss"]
        and one["state"]["pos"] == other["state"]["pos"]
        and (one["state"]["key"] == other["state"]["key"]).all()
    )


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
