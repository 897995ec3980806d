"""What the worker asks of a kernel, without a trace in the notebook's history."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from envsolver.environments.in_environment import FOLLOWED, OWN_MODULES, READING, WARNED
from envsolver.worker.isolation import READ, WARNED_LOG
from envsolver.worker.kernel import Kernel

_BINDING = {
    "prefix": "__import__('os').path.realpath(__import__('sys').prefix)",
    # An empty entry is the notebook's folder, which comes first here, wherever it stands.
    "path": (
        "[__import__('os').getcwd(), *(place for place in __import__('sys').path if isinstance(place, str) and place)]"
    ),
    # Let a crash write its Python stack to the kernel's log; ipykernel has put a pipe in the place of standard error.
    "stack": "__import__('faulthandler').enable(__import__('sys').stderr._original_stdstream_copy, False)",
}
# In the order of their import, those that came from a file: with its path, when that is outside the environment.
_MODULES = {
    "modules": (
        "'\\n'.join(name if origin in ('built-in', 'frozen') or origin.startswith(homes) else name + '=' + origin"
        " for homes in [tuple({p + '/' for s in [__import__('sys')] for p in (s.prefix, s.base_prefix)})]"
        " for kind in [type(__import__('sys'))]"
        " for name, module in list(__import__('sys').modules.items()) if issubclass(type(module), kind)"
        # Not by the module's own means: one that is loaded when it is used would be loaded for that.
        " for spec in [kind.__dict__['__dict__'].__get__(module).get('__spec__')]"
        " for origin in [getattr(spec, 'origin', None)]"
        " if isinstance(name, str) and isinstance(origin, str) and getattr(spec, 'name', None) == name)"
    ),
    "path": "[__import__('os').path.abspath(place) for place in __import__('sys').path if isinstance(place, str)]",
}
_FINISH = {"finish": "__import__('sys').audit('envsolver.finish')"}
_SAVE_COVERAGE = {"saved": "__import__('_envsolver_coverage').save()"}
_VALUES = {"values": "__import__('_envsolver_values').captured(globals())"}
_KEEPER_SECONDS = 2.0
_KEEPER_POLL = 0.002
_PATIENCE = 30.0  # seconds for the kernel to answer after the last cell


async def ask_binding(kernel: Kernel, seconds: float) -> tuple[str, tuple[str, ...]]:
    """Return the kernel's real ``sys.prefix`` and its ``sys.path``; from now on a crash writes its stack to the log.

    From now on a cold kernel tells what it reads and what it is warned of, as a warm one does from its start.

    Raises
    ------
    KernelDiedError, OutOfTimeError
        When it does not answer in time.
    """
    watch = {} if kernel.warm else {"watch": _watching(kernel.private, kernel.filters)}
    answer = await kernel.unless_dead(kernel.ask({**_BINDING, **watch}), seconds)
    return str(answer["prefix"]), tuple(map(str, answer["path"] or ()))


async def finish_reading(kernel: Kernel, *, opened: Path | None) -> None:
    """Have the kernel report the rest of what it read; one that has ended has reported what it could.

    Parameters
    ----------
    opened
        The file in which its keeper writes what was opened; None when there is none.

    Raises
    ------
    KernelDiedError, OutOfTimeError
        When it does not answer in time.
    """
    await kernel.unless_dead(kernel.ask(_FINISH), _PATIENCE)
    if opened is not None:
        await asyncio.to_thread(_await_file, opened)


async def finish_coverage(kernel: Kernel) -> None:
    """Have the kernel write down what coverage measured; one that has ended did so by itself.

    Raises
    ------
    KernelDiedError, OutOfTimeError
        When it does not answer in time.
    """
    await kernel.unless_dead(kernel.ask(_SAVE_COVERAGE), _PATIENCE)


def _await_file(path: Path) -> None:
    deadline = time.monotonic() + _KEEPER_SECONDS
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(_KEEPER_POLL)


def _watching(private: Path, filters: Sequence[str]) -> str:
    places = (str(private / READ), str(private), str(FOLLOWED))
    start = f"recorder.start({str(private / WARNED_LOG)!r}, {list(filters)!r})"
    finish = "setattr(watch, 'at_finish', recorder.finish)"
    return (
        f"(lambda watch, recorder: (recorder.install(), {start}, {finish}, watch.start()) and None)"
        f"(*(lambda own: ({_running(READING, 'own')}['Watch'](*{places!r}),"
        f" {_running(WARNED, 'own')}['WarningRecorder']()))({_running(OWN_MODULES)}['own_builtins']()))"
    )


def _running(program: Path, own: str = "__builtins__") -> str:
    """Return an expression that runs a program without a trace in ``sys.modules``, and has what it defines.

    Parameters
    ----------
    own
        The expression for its builtins.
    """
    code = f"compile(__import__('pathlib').Path({str(program)!r}).read_bytes(), {str(program)!r}, 'exec')"
    space = f"{{'__name__': {program.stem!r}, '__file__': {str(program)!r}, '__builtins__': {own}}}"
    return f"(lambda space: exec({code}, space) or space)({space})"


async def ask_modules(kernel: Kernel, home: Path, search_path: Sequence[str]) -> tuple[str, ...]:
    """Return what the kernel has imported, as in `Result.modules`, but for modules that are local to the notebook.

    Parameters
    ----------
    home
        What the kernel takes for the project's root.
    search_path
        Its ``sys.path`` before the first cell. What an environment finds in the project without the notebook's help,
        such as an editable install, is not local.

    Raises
    ------
    KernelDiedError, OutOfTimeError
        When it does not answer in time.
    """
    answer = await kernel.unless_dead(kernel.ask(_MODULES), _PATIENCE)
    names = filter(None, (answer["modules"] or "").split("\n"))
    # The first entry is the notebook's folder. What no entry holds was found by a hook of the environment.
    added = {*search_path[:1], *map(str, answer["path"] or ())} - set(search_path[1:])
    places = {place for place in map(_real, added) if place == str(home) or place.startswith(f"{home}/")}
    return tuple(name for name in names if not _is_local(name, places))


def _real(place: str) -> str:
    return os.path.realpath(place)


def _is_local(module: str, places: set[str]) -> bool:
    """Return whether a module, ``name=path``, was found in one of some directories."""
    name, _, origin = module.partition("=")
    above = PurePosixPath(origin).parents[name.count(".") + origin.endswith("/__init__.py")] if origin else None
    return above is not None and _real(str(above)) in places


async def ask_values(kernel: Kernel) -> tuple[dict[str, object] | None, Mapping[str, str]]:
    """Return the notebook's variables, and why others cannot be had; None where it keeps them from being read.

    Raises
    ------
    KernelDiedError, OutOfTimeError
        When it does not answer in time.
    """
    answer = await kernel.unless_dead(kernel.ask(_VALUES), _PATIENCE)
    if answer["values"]:
        found = json.loads(answer["values"])
        return found["values"], found["faults"]
    return None, {}
