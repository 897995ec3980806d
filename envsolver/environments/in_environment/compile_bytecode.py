# ruff: noqa: PTH110, PTH118, SIM105  # it starts in no time
"""Compile the sources of a directory of packages that have no bytecode yet.

Run as a program by the environment's interpreter, Python 3.8 or later, with the directory; it uses all cores.
Unlike `compileall` it leaves out tests, whose modules no notebook imports as a rule, and spends nothing on a file but
its compilation.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import py_compile
import sys

TYPE_CHECKING = False  # without importing `typing` for it
if TYPE_CHECKING:
    from collections.abc import Iterator

_TESTS = {"tests", "test", "_tests"}


def missing(site: str) -> Iterator[str]:
    """Yield the sources below a directory that have no bytecode."""
    for directory, folders, files in os.walk(site):
        folders[:] = [name for name in folders if name not in _TESTS and name != "__pycache__"]
        for name in files:
            source = os.path.join(directory, name)
            if name.endswith(".py") and not os.path.exists(importlib.util.cache_from_source(source)):
                yield source


def compile_sources(sources: list[str], parent: int) -> None:
    """Compile sources as long as the process that asked for it lives; what is no Python is passed over."""
    gc.disable()
    for source in sources:
        if os.getppid() != parent:
            return
        try:
            py_compile.compile(source, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
        except OSError:  # it cannot be written; the import then compiles for itself
            pass


def main(site: str) -> None:
    """Deal the sources out to processes, the large ones first."""
    sources = sorted(missing(site), key=os.path.getsize, reverse=True)
    parent, children = os.getpid(), []
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            try:
                compile_sources(sources[number::processes], parent)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1])
