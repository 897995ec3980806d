"""What an interpreter says about itself, and the memory of such answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from envsolver.core.environments import Interpreter
from envsolver.core.errors import ConfigurationError
from envsolver.core.files import read_json, write_json

# What decides which interpreter a request stands for; a change asks again.
_FINDING = (
    "PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYENV_VERSION",
    "PYENV_ROOT",
    "UV_PYTHON_PREFERENCE",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_SEARCH_PATH",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
)

# Asked of the interpreter itself: it alone sees through shims, links and virtualenvs.
_PROBE = """
import json, os, platform, sys, sysconfig
name = "python%d.%d" % sys.version_info[:2]
base = os.path.join(sys.base_prefix, "bin", name)
if not os.path.exists(base):
    base = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
kind = sys.implementation.name + "-" + sysconfig.get_platform()
print(json.dumps({"executable": base, "version": platform.python_version(), "platform": kind}))
"""


def path_without_shims() -> str:
    """Return the search path with pyenv's interpreters themselves, the newest first, in the place of its shims."""
    root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    parts = [part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part).name != "shims"]
    homes = sorted(root.glob("versions/*/bin"), key=lambda home: _numbers(home.parent.name), reverse=True)
    return os.pathsep.join([*parts, *map(str, homes)])


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdecimal() else -1 for part in version.split(".")]


def memory_of(cache: Path | None, request: str, root: Path) -> Path | None:
    """Return the file that keeps the answer to `request`; None when nothing is kept."""
    if cache is None:
        return None
    place = [request, str(root), *(f"{name}={os.environ.get(name, '')}" for name in _FINDING)]
    return cache / "interpreters" / f"{hashlib.sha256(chr(0).join(place).encode()).hexdigest()[:24]}.json"


def probe(request: str, found: Path) -> Interpreter:
    """Return what the interpreter file `found` says about itself.

    Raises
    ------
    ConfigurationError
        It does not run.
    """
    try:
        done = subprocess.run([str(found), "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True)
        facts = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        raise ConfigurationError(
            [f"the Python found for {request}, {found}, does not run: {error}"], tip="Install it again."
        ) from error
    return Interpreter(request=request, **facts)


def _stamps(*files: Path) -> Iterator[list[int]]:
    for file in files:
        status = file.stat()
        yield [status.st_mtime_ns, status.st_size]


def remember(memory: Path, interpreter: Interpreter, found: Path) -> None:
    """Keep an answer: the file `found` stands for `interpreter`, as long as both files stay the same."""
    stamps = list(_stamps(found, Path(interpreter.executable)))
    with contextlib.suppress(OSError):
        write_json(memory, {"found": str(found), "stamps": stamps, "interpreter": asdict(interpreter)})


def recall(memory: Path | None) -> Interpreter | None:
    """Return a kept answer, or None when there is none or a file has changed since."""
    if memory is None:
        return None
    try:
        known = read_json(memory)
        interpreter = Interpreter(**known["interpreter"])
        same = list(_stamps(Path(known["found"]), Path(interpreter.executable))) == known["stamps"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return interpreter if same else None


def _may_fetch(request: str) -> bool:
    """Return whether uv's settings let it fetch a Python by itself; a path is never fetched."""
    switched_off = os.environ.get("UV_OFFLINE", "0").lower() not in {"", "0", "false"}
    automatic = os.environ.get("UV_PYTHON_DOWNLOADS", "automatic") == "automatic"
    return automatic and not switched_off and os.sep not in request
