"""What the worker asks of a kernel, without a trace in the notebook's history."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from envsolver.worker.kernel import Kernel, KernelDiedError, OutOfTimeError

_BINDING = {
    "prefix": "__import__('os').path.realpath(__import__('sys').prefix)",
    # Let a crash write its Python stack to the kernel's log; ipykernel has put a pipe in the place of standard error.
    "stack": "__import__('faulthandler').enable(__import__('sys').stderr._original_stdstream_copy, False)",
}
# In the order of their import, those that came from a file: with its path, when that is outside the environment.
_MODULES = {
    "modules": (
        "'\\n'.join(name if origin in ('built-in', 'frozen') or origin.startswith(homes) else name + '=' + origin"
        " for homes in [tuple({p + '/' for s in [__import__('sys')] for p in (s.prefix, s.base_prefix)})]"
        " for name, module in list(__import__('sys').modules.items())"
        " for spec in [getattr(module, '__dict__', {}).get('__spec__')]"
        " for origin in [getattr(spec, 'origin', None)]"
        " if isinstance(name, str) and isinstance(origin, str) and getattr(spec, 'name', None) == name)"
    )
}
_VALUES = {"values": "__import__('_envsolver_values').captured(globals())"}
_PATIENCE = 30.0  # seconds for the kernel to answer after the last cell


async def ask_prefix(kernel: Kernel, seconds: float) -> str:
    """Return the kernel's real ``sys.prefix``; from now on a crash writes its stack to the kernel's log.

    Raises
    ------
    KernelDiedError, OutOfTimeError
        When it does not answer in time.
    """
    answer = await kernel.unless_dead(kernel.ask(_BINDING), seconds)
    return str(answer["prefix"])


async def ask_modules(kernel: Kernel, private: Path) -> tuple[str, ...]:
    """Return what the kernel has imported, as in `Result.modules`, but for what stands in the directory `private`.

    Raises
    ------
    KernelDiedError, OutOfTimeError
        When it does not answer in time.
    """
    answer = await kernel.unless_dead(kernel.ask(_MODULES), _PATIENCE)
    local = f"={private}/"  # what stands in the scratch directory is the project's
    names = (answer["modules"] or "").split("\n")
    return tuple(name for name in names if name and local not in name)


async def ask_values(kernel: Kernel) -> tuple[dict[str, object] | None, Mapping[str, str]]:
    """Return the notebook's variables, and why others cannot be had; None when the kernel has ended."""
    with contextlib.suppress(KernelDiedError, OutOfTimeError):
        answer = await kernel.unless_dead(kernel.ask(_VALUES), _PATIENCE)
        if answer["values"]:
            found = json.loads(answer["values"])
            return found["values"], found["faults"]
    return None, {}
