"""What a notebook read, put together from what its kernel reported and from what was seen of the project's files.

Inside the project everybody's reading is seen where the kernel has its own view of it (`in_environment.namespaces`).
Elsewhere, and where that did not see all, every file that the notebook could see counts: C libraries and child
processes read without telling anybody. Outside of the project the kernel's audit hook tells, of the kernel alone: any
program that it starts makes a pass count for nothing.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envsolver.core.fingerprints import Look, LookKind, Reading
from envsolver.core.jobs import Job
from envsolver.core.paths import STATE
from envsolver.worker.isolation import OPENED, READ
from envsolver.worker.scratch import Scratch
from envsolver.worker.side_files import read_side_file

MOST_LOOKS = 20_000
"""Beyond so many places every file of the project counts."""

CLOCK_SECONDS = 1.0
"""By how much the clock may go wrong during a notebook before its times say nothing."""

_WHOLE = Look("tree", ".")
_KINDS: dict[str, LookKind] = {
    "file": "file", "ask": "ask", "list": "list", "metadata": "metadata", "link": "link",
}  # fmt: skip
_PIECES = re.compile(r"[\s;|&<>()\"'=,]+")
"""What stands between the paths in the words of a command, a shell's or other code in it included."""
_LOOPBACK = re.compile(r"127\.|::1$|localhost$|0\.0\.0\.0$|::$")


@dataclass(kw_only=True)
class _Reported:
    """What the lines of a kernel say."""

    root: Path
    home: Path
    base: Path
    ports: frozenset[str]
    looks: dict[Look, None] = field(default_factory=dict)
    modules: dict[str, set[str]] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    hindrance: str = ""
    complete: bool = False
    listed: Counter[str] = field(default_factory=Counter)
    by_programs: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)

    def hear(self, line: Sequence[Any]) -> None:
        """Take in one line."""
        word, *rest = line
        if word == "finish":
            self.complete = True
        elif word in {"popen", "forked", "spawn", "spawned"}:
            self.starts[word] += 1
        elif word in _KINDS:
            self._place(word, self.name_of(rest[0]))
        elif word == "write":
            self.written.add(self.name_of(rest[0]))
        elif word == "own":
            self.listed[self.name_of(rest[0])] += 1
        elif word in {"listing", "excused"}:
            self.by_programs[self.name_of(rest[0])] += 1 if word == "listing" else -1
        elif word == "modules":
            self.modules.setdefault(self.name_of(rest[0]), set()).update(str(rest[1]).split("/"))
        else:
            self._hinder(word, list(map(str, rest)))

    def _place(self, word: str, name: str) -> None:
        if word == "metadata":
            self.listed[name] += 1
        self.look(_KINDS[word], name)

    def _hinder(self, word: str, rest: Sequence[str]) -> None:
        """Take note of what makes a pass count for nothing."""
        if word == "blind":
            self.hindrance = self.hindrance or f"could not be watched: {' '.join(rest)}"
        elif word == "service":
            self.hindrance = self.hindrance or f"started a program that spoke to {rest[0]}"
        elif word == "program":
            self._program(*rest)
        elif word == "connection":
            self._connection(*rest)

    def look(self, kind: LookKind, name: str) -> None:
        """Take note of a place, unless the notebook wrote it before."""
        if name and name not in self.written:
            self.looks[Look(kind, _source_of(name) if kind in {"file", "ask"} else name)] = None

    def name_of(self, path: str) -> str:
        """Return a path as a look has it, empty for one that does not count."""
        for home in (self.home, self.root):
            if path == str(home):
                return "."
            if path.startswith(f"{home}/"):
                name = path[len(str(home)) + 1 :]
                return "" if name.split("/")[0] == STATE else name
        return "" if f"{path}/".startswith(f"{self.base}/") else path

    def _program(self, path: str, words: str, folder: str) -> None:
        """Take note of a program that is not followed: what it reads outside of the project is not seen."""
        self.hindrance = self.hindrance or f"started {path}, and what that reads could not be followed"
        for place in set(_PIECES.split(words.partition("\0")[2].replace("\0", " "))) - {""}:
            self._word(os.path.normpath(os.path.join(folder, os.path.expanduser(place))))  # noqa: PTH111, PTH118

    def _word(self, path: str) -> None:
        """Take a word of a command for a path: a file is read, and a folder with all that is in it."""
        name = self.name_of(path)
        real = self.root / name
        try:
            is_folder = real.is_dir()
        except OSError:  # too long for a path: it is none
            return
        if not is_folder:
            self.look("file", name)
        elif name and not Path(name).is_absolute() and name != ".":
            self.look("tree", name)

    def _connection(self, host: str, port: str) -> None:
        if not (_LOOPBACK.match(host) and port in self.ports) and not self.hindrance:
            self.hindrance = f"opened a connection to {host}, port {port}"


def collect(job: Job, place: Scratch, *, clock: tuple[float, float], began: int) -> Reading:
    """Return what a notebook read.

    Parameters
    ----------
    clock
        Readings of `time.time` and `time.monotonic` at its start.
    began
        As in `Reading`.
    """
    root = Path(job.root)
    ports = frozenset(re.findall(r"\d+", " ".join(job.binding.env.values())))
    reported = _Reported(root=root, home=place.home, base=place.base, ports=ports)
    for line in _lines(place.base / READ):
        reported.hear(line)
    starts = reported.starts
    if starts["popen"] > starts["forked"] + starts["spawned"] or starts["spawn"] > starts["spawned"]:
        reported.hindrance = reported.hindrance or "started a program in a way that could not be followed"
    if Path(f"{place.base / READ}.lost").is_dir():
        reported.hindrance = reported.hindrance or "could not be watched to its end: no file or no room was left"
    if not reported.complete:
        reported.hindrance = reported.hindrance or "ended before all that it read was known"
    if abs((time.time() - clock[0]) - (time.monotonic() - clock[1])) > CLOCK_SECONDS:
        reported.hindrance = reported.hindrance or "ran while the clock was set"
    for name, count in reported.by_programs.items():
        if count > 0:
            reported.look("list", name)
    looks = _seen(reported, place.base / OPENED)
    return Reading(looks=looks, hindrance=reported.hindrance and f"it {reported.hindrance}", began=began)


def _seen(reported: _Reported, opened: Path) -> tuple[Look, ...]:
    """Return the places, with the whole project where not all reading in it was seen."""
    whole = reported.complete
    try:
        found = json.loads(read_side_file(opened))
    except (OSError, ValueError):
        whole = False
    else:
        whole = whole and not found["blind"]
        _add_opened(reported, found)
    modules = [Look("modules", name, "/".join(sorted(names))) for name, names in reported.modules.items() if name]
    looks = (*reported.looks, *modules)
    if not whole or len(looks) > MOST_LOOKS:
        outside = [look for look in looks if Path(look.path).is_absolute()]
        return (_WHOLE, *outside)
    return looks


def _add_opened(reported: _Reported, found: Mapping[str, Any]) -> None:
    """Add what was opened, by the kernel or another process, to what the kernel reported."""
    opened = [path for path in found["files"] if os.path.lexists(reported.root / reported.name_of(path))]
    for path in opened:
        reported.look("file", reported.name_of(path))
    for path, count in found["folders"].items():
        name = reported.name_of(path)
        if count > reported.listed[name] and (reported.root / name).is_dir():
            reported.look("list", name)
            opened.append(path)
    for link in found["links"]:
        target = os.path.realpath(link)
        if any(f"{path}/".startswith(f"{target}/") for path in opened):
            reported.look("link", reported.name_of(link))


def _lines(log: Path) -> Iterator[list[Any]]:
    try:
        data = read_side_file(log)
    except OSError:
        return
    for line in data.split(b"\n"):
        if line:
            try:
                yield json.loads(line)
            except ValueError:  # a process was killed while it wrote
                yield ["blind", "a line that is cut"]


def _source_of(name: str) -> str:
    """Return the source of compiled code, which stands for it; anything else itself."""
    folder, _, file = name.rpartition("/")
    if folder.endswith("__pycache__") and file.endswith(".pyc"):
        return f"{folder[: -len('__pycache__')]}{file.partition('.')[0]}.py"
    return name
