"""Find interpreters through uv, ask them what they are, and remember their answers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from envsolver.core.digests import digest
from envsolver.core.environments import Interpreter
from envsolver.core.errors import ConfigurationError
from envsolver.core.files import read_json, write_json
from envsolver.environments.uv import COLOURLESS, QUIET, Uv

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

_NOWHERE = Path(os.sep)
"""Where interpreters are looked for: uv would run a project's `.venv`, and heed where it says to fetch them from."""

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


def find_interpreter(uv: Uv, request: str) -> Interpreter:
    """Return the Python that `request` stands for: a version such as ``3.11`` or ``3.11.7``, or a path.

    Shims and virtualenvs are seen through. One that the machine lacks is fetched where uv's settings allow that.
    The answer is remembered until the interpreter's file, or a variable that decides the search, changes.

    Raises
    ------
    ConfigurationError
        There is no such interpreter, or it does not run.
    """
    memory = _memory_of(uv, request)
    known = _recall(memory)
    if known is not None:
        return known
    found = _search(uv, request)
    interpreter = _probe(request, found)
    if memory is not None:
        _remember(memory, interpreter, found)
    return interpreter


def _search(uv: Uv, request: str) -> Path:
    named = os.path.normpath(uv.root / request) if os.sep in request else request
    arguments = ["python", "find", *COLOURLESS, "--no-project", "--", named]
    answer = uv.run(arguments, cwd=_NOWHERE)
    if answer.code != 0:
        # A shim that stands for no Python keeps uv from looking any further.
        answer = uv.run(arguments, environ={"PATH": _path_without_shims()}, cwd=_NOWHERE)
    fetching = answer.code != 0 and _may_fetch(request)
    if fetching and _fetch(uv, request):
        answer = uv.run(arguments, cwd=_NOWHERE)
    if answer.code != 0 or not answer.out.strip():
        raise ConfigurationError(
            [f"no Python {request} was found" + (", and uv could not fetch it" if fetching else "")],
            tip=f"Install it, for example with `uv python install {request}`, or name another Python.",
        )
    return Path(os.path.abspath(uv.root / answer.out.strip().splitlines()[-1]))  # noqa: PTH100 links stay


def _fetch(uv: Uv, request: str) -> bool:
    patience = {"UV_HTTP_RETRIES": os.environ.get("UV_HTTP_RETRIES", "1")}
    answer = uv.run(["python", "install", *QUIET, "--no-bin", "--", request], environ=patience, cwd=_NOWHERE)
    return answer.code == 0


def _may_fetch(request: str) -> bool:
    """Return whether uv's settings let it fetch a Python by itself; a path is never fetched."""
    switched_off = os.environ.get("UV_OFFLINE", "0").lower() not in {"", "0", "false"}
    automatic = os.environ.get("UV_PYTHON_DOWNLOADS", "automatic") == "automatic"
    return automatic and not switched_off and os.sep not in request


def _path_without_shims() -> str:
    """Return the search path with pyenv's interpreters themselves, the newest first, in the place of its shims."""
    root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    parts = [part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part).name != "shims"]
    homes = sorted(root.glob("versions/*/bin"), key=lambda home: _numbers(home.parent.name), reverse=True)
    return os.pathsep.join([*parts, *map(str, homes)])


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdecimal() else -1 for part in version.split(".")]


def _memory_of(uv: Uv, request: str) -> Path | None:
    """Return the file that keeps the answer to `request`; None when nothing is kept."""
    if uv.cache is None:
        return None
    key = digest([request, str(uv.root), *(f"{name}={os.environ.get(name, '')}" for name in _FINDING)])
    return uv.cache / "interpreters" / f"{key[:24]}.json"


def _probe(request: str, found: Path) -> Interpreter:
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


def _remember(memory: Path, interpreter: Interpreter, found: Path) -> None:
    """Keep an answer: the file `found` stands for `interpreter`, as long as both files stay the same."""
    stamps = list(_stamps(found, Path(interpreter.executable)))
    with contextlib.suppress(OSError):
        write_json(memory, {"found": str(found), "stamps": stamps, "interpreter": asdict(interpreter)})


def _recall(memory: Path | None) -> Interpreter | None:
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
