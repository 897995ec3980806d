"""Solve a group for one interpreter, and remember the answer by the content of everything that it depends on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from envsolver.errors import BuildError, UnsolvableError
from envsolver.models import Group, Interpreter, Lock, Package, Requirement
from envsolver.requirements import local_path, project_digest, project_name, requirement_name
from envsolver.uv import Answer, Uv, network_error
from envsolver.uv_settings import digest

KERNEL = "ipykernel"
"""What every environment holds beside what its group asks for: the kernel that runs its notebooks."""

_FORMAT = "1"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==\s*([^\s;\\]+)|@\s*(\S+))")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def solve_group(
    group: Group,
    interpreter: Interpreter,
    *,
    uv: Uv,
    cache: Path | None,
    exclude_newer: str | None = None,
    resolution: str | None = None,
    upgrade: bool = False,
) -> Lock:
    """Solve a group, with the kernel added, for one interpreter.

    The same question gets the remembered answer and asks uv nothing, so versions stay until the question
    changes or `upgrade` is set.

    Parameters
    ----------
    cache
        Directory of the remembered answers; None remembers nothing.
    exclude_newer
        Leave out packages published after this date (RFC 3339).
    resolution
        uv's strategy, such as ``lowest-direct``; None for the newest versions.
    upgrade
        Ask uv even if the answer is known.

    Raises
    ------
    UnsolvableError
        There is no solution; uv's explanation, and the places of the requirements that meet in it.
    BuildError
        The network is out of reach, or a package's own build failed.
    """
    options = _options(exclude_newer, resolution)
    memory = _memory(cache, _question(group, interpreter, uv, options))
    text = None if upgrade else _recall(memory)
    if text is None:
        text = _ask(group, interpreter, uv, [*options, *(["--upgrade", "--refresh"] if upgrade else [])])
        _remember(memory, text, group, interpreter)
    return make_lock(group.name, interpreter, text)


def make_lock(group: str, interpreter: Interpreter, text: str) -> Lock:
    """Return the lock that holds `text`, its packages read from it."""
    return Lock(group=group, interpreter=interpreter, text=text, packages=read_packages(text))


def read_packages(text: str) -> tuple[Package, ...]:
    """Return what a lock's text pins, sorted by name; a local project's version is the path that it comes from."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith((" ", "\t", "#", "--")):
            continue
        package = _package(line)
        if package is not None:
            found[package.name] = package
    return tuple(found[name] for name in sorted(found))


def places(explanation: str, requirements: Iterable[Requirement], root: Path) -> tuple[Requirement, ...]:
    """Return those of `requirements` that an explanation of uv speaks of, in the order of their places."""
    words = {str(canonicalize_name(word)) for word in _NAME.findall(explanation)}
    return tuple(r for r in requirements if requirement_name(root, r.text) in words)


def unsolvable(group: Group, interpreter: Interpreter, answer: Answer, root: Path) -> UnsolvableError:
    """Return the error for a group that has no solution: uv's words, then the lines that meet."""
    lines = [f"group {group.name} cannot be solved for Python {interpreter.version}:", answer.explanation]
    met = places(answer.explanation, (*group.requirements, *group.constraints), root)
    if met:
        lines += ["These lines meet in it:", *(f"  {r.origin}: {r.text}" for r in met)]
    return UnsolvableError("\n".join(lines), tip="Change one of these lines, or put the notebooks in two groups.")


def _ask(group: Group, interpreter: Interpreter, uv: Uv, options: Sequence[str]) -> str:
    derived = "".join(f"{r.text}\n" for r in group.requirements)
    answer = uv.compile(
        [group.file] if group.file else [],
        python=interpreter.executable,
        text=KERNEL + "\n" if group.file else derived + KERNEL + "\n",
        options=options,
    )
    if answer.code == 0:
        return _absolute(answer.out, uv.root)
    if answer.no_network:
        raise network_error(answer)
    if answer.unsolvable:
        raise unsolvable(group, interpreter, answer, uv.root)
    raise BuildError(
        f"group {group.name} could not be solved for Python {interpreter.version}:\n{answer.explanation}",
        tip=f"See {group.file}." if group.file else "",
    )


def _options(exclude_newer: str | None, resolution: str | None) -> list[str]:
    options = []
    if exclude_newer:
        options += ["--exclude-newer", exclude_newer]
    if resolution:
        options += ["--resolution", resolution]
    return options


def _question(group: Group, interpreter: Interpreter, uv: Uv, options: Sequence[str]) -> str:
    asked = [r.text for r in (*group.requirements, *group.constraints)]
    python = [interpreter.version, interpreter.platform]
    settings = [f"{name}={value}" for name, value in uv.settings().items()]
    return digest([_FORMAT, group.digest, *asked, "", *python, *options, "", *settings])


def _absolute(text: str, root: Path) -> str:
    """Make the local projects in a lock's text absolute, each with a digest of what it is built from.

    The text alone then says what an environment holds, wherever it is used from.
    """
    lines = []
    for line in text.splitlines():
        path = None if line.startswith((" ", "#", "--")) or _is_plain(line) else local_path(line)
        if path is None:
            lines.append(line)
            continue
        place = Path(os.path.normpath(root / Path(path).expanduser()))
        mark = "-e " if line.startswith("-e") else ""
        lines += [f"{mark}{place.as_uri()}", f"    # {project_digest(place, editable=bool(mark))}"]
    return "\n".join(lines) + "\n"


def _is_plain(line: str) -> bool:
    found = _PIN.match(line)
    return bool(found and found[2])


def _package(line: str) -> Package | None:
    found = _PIN.match(line)
    if found:
        return Package(name=str(canonicalize_name(found[1])), version=found[2] or found[3])
    path = local_path(line)
    name = None if path is None else project_name(Path(path))
    return None if name is None else Package(name=name, version=str(path))


def _memory(cache: Path | None, question: str) -> Path | None:
    return None if cache is None else cache / "solves" / f"{question[:32]}.json"


def _recall(memory: Path | None) -> str | None:
    if memory is None:
        return None
    try:
        known: Mapping[str, Any] = json.loads(memory.read_text(encoding="utf-8"))
        text = known["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _remember(memory: Path | None, text: str, group: Group, interpreter: Interpreter) -> None:
    if memory is None:
        return
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        fresh = memory.with_name(f"{memory.name}.{os.getpid()}.{threading.get_ident()}")
        fresh.write_text(json.dumps({"group": group.name, "python": interpreter.version, "text": text}), "utf-8")
        fresh.replace(memory)
