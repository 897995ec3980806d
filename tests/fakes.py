"""Stand-ins and builders that several tests use: one of each kind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from envsolver.core.environments import Group, Interpreter, Package
from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import Job
from envsolver.core.notebooks import Import, Notebook, Origin, Requirement
from envsolver.core.results import Block, Result
from envsolver.core.settings import Config, GroupSettings
from envsolver.environments.uv import Uv
from envsolver.environments.uv_output import Answer
from envsolver.resolver.groups import derive_group, read_group
from envsolver.resolver.oracle import Finding
from envsolver.run.project import Project
from envsolver.worker.processes import RUN_MARK

T = TypeVar("T")
Items = frozenset[str]

PATIENCE = 60.0
"""Seconds that a busy machine may take for something that is expected soon."""

_PARTS = ("limits", "binding", "warm_start")
NEVER_SOLVED = "No solution found when resolving\nBecause "


def until(happened: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until something is true, and return it; fail when it never is."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return found


def unless_in_ci(missing: bool, *, reason: str) -> pytest.MarkDecorator:
    """Skip tests where a tool is missing; in CI, which can install it, they run and fail."""
    return pytest.mark.skipif(missing and not os.environ.get("CI"), reason=reason)


def job(name: str = "a", group: str = "core", **changes: Any) -> Job:
    """Return a job of the notebook ``<name>.ipynb``."""
    values: dict[str, Any] = {
        "id": name,
        "notebook": f"{name}.ipynb",
        "group": group,
        "python": "3.11",
        "root": "/p",
        "run_dir": "/r",
        "run_id": "x",
    }
    return Job(**{**values, **changes})


def with_options(job: Job, **options: Any) -> Job:
    """Return a job with other options, those of its parts included, each by its own name."""
    for part in _PARTS:
        held = getattr(job, part)
        own = {each.name: options.pop(each.name) for each in fields(held) if each.name in options}
        job = replace(job, **{part: replace(held, **own)})
    return replace(job, **options)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a `FakeUv` was asked to solve."""

    sources: tuple[str, ...]
    text: str | None
    options: tuple[str, ...]
    asked: str
    """The texts of the sources and of `text`."""

    def option(self, name: str) -> str:
        """Return the value that follows an option."""
        return self.options[self.options.index(name) + 1]


def solved(text: str) -> Answer:
    """Return uv's answer that a lock with this text is the solution."""
    return Answer(code=0, out=text, err="")


def refused(err: str) -> Answer:
    """Return uv's answer that something went wrong."""
    return Answer(code=1, out="", err=err)


def pin_ones(question: Question) -> Answer:
    """Pin all that is asked for to version 1; no package `lost` exists, and none named `crash` can be built."""
    names = {re.split(r"[=<>]", line)[0] for line in question.asked.splitlines()}
    if "lost" in names:
        return refused(f"{NEVER_SOLVED}there is no version of lost==99")
    if "crash" in names:
        return refused("error: Failed to build `crash`")
    return solved("".join(f"{name}==1\n" for name in sorted(names)))


def some_python(request: str) -> Interpreter:
    """Return one of the Pythons 3.10 to 3.12, which are all there is."""
    minor = {"3.10.13": "3.10"}.get(request, request)
    if minor not in {"3.10", "3.11", "3.12"}:
        raise ConfigurationError([f"no Python {request} was found"], tip="install it")
    return Interpreter(request=request, executable=f"/bin/{minor}", version=f"{minor}.1", platform="cpython-x")


class FakeUv(Uv):
    """A uv that starts no process: it answers as told, and keeps what it was asked.

    Parameters
    ----------
    answer
        The answer to every question, or what finds one.

    Attributes
    ----------
    asked
        The questions, in order.
    built, hashed
        Of each environment that was filled, the name of the folder it stands in, and whether hashes were required.
    failure
        What filling an environment raises.
    never_had
        A file that a package's record names and that is not in it.
    """

    def __init__(self, root: Path = Path(), answer: Answer | Callable[[Question], Answer] = pin_ones) -> None:
        super().__init__(root)
        self.answer = answer
        self.asked: list[Question] = []
        self.built: list[str] = []
        self.hashed: list[bool] = []
        self.failure: BaseException | None = None
        self.never_had = ""

    def compile(
        self,
        sources: Sequence[str],
        *,
        python: str,
        text: str | None = None,
        hashes: bool = True,
        options: Sequence[str] = (),
    ) -> Answer:
        """Keep the question and return the answer."""
        self.calls += 1
        read = "".join((self.root / source).read_text(encoding="utf-8") for source in sources)
        question = Question(sources=tuple(sources), text=text, options=tuple(options), asked=(text or "") + read)
        self.asked.append(question)
        return self.answer(question) if callable(self.answer) else self.answer

    def create(self, prefix: Path, python: str, *, hold: int | None = None) -> None:
        """Make a virtualenv that holds a link to a Python and nothing else."""
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin" / "python").symlink_to(python)

    def sync(
        self,
        prefix: Path,
        lock: Path,
        *,
        require_hashes: bool,
        any_index: bool = False,
        rebuild: Sequence[str] = (),
        hold: int | None = None,
        hear: Callable[[str], None] | None = None,
    ) -> None:
        """Put the lock's text into a virtualenv, or fail as told."""
        if self.failure is not None:
            raise self.failure
        (prefix / "content").write_text(lock.read_text(encoding="utf-8"), encoding="utf-8")
        packages = prefix / "lib" / "python3.11" / "site-packages"
        files = ("six.py", "deep/part.py", "six-1.dist-info/RECORD")
        for file in files:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            (packages / file).touch()
        rows = [*(f"{file},," for file in (*files, *filter(None, [self.never_had]))), "__pycache__/six.pyc,,"]
        (packages / files[-1]).write_text("\n".join(rows), encoding="utf-8")
        self.built.append(prefix.parent.name)
        self.hashed.append(require_hashes)


class FakeProgress:
    """Keeps what a run tells."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.verdicts: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None = None, pythons: Sequence[str] = ()
    ) -> None:
        pass

    def started(self, job: Job, expected: float | None = None) -> None:
        pass

    def returned(self, job: Job) -> None:
        pass

    def block(self, block: Block) -> None:
        pass

    def finished(self, result: Result) -> None:
        self.verdicts.append(f"{result.notebook} {result.status}")

    def end(self) -> None:
        pass


class FakeOracle:
    """An oracle that finds its answers by a function, and keeps what it was asked."""

    def __init__(self, find: Callable[[Items], Finding]) -> None:
        self.find = find
        self.asked: list[Items] = []

    def solve(self, items: Items) -> Finding:
        """Keep the question and return the answer."""
        self.asked.append(items)
        return self.find(items)


def excluding(conflicts: Sequence[Items], *, hints: bool = True) -> FakeOracle:
    """Return the oracle of a made-up universe, where some items exclude each other and all else goes together.

    Parameters
    ----------
    hints
        Whether an answer names the items that it is about.
    """

    def find(items: Items) -> Finding:
        met = [conflict for conflict in conflicts if conflict <= items]
        if not met:
            return Finding(solved=True, packages=tuple(Package(name=item, version="1") for item in sorted(items)))
        return Finding(solved=False, explanation="no words", suspects=met[0] if hints else frozenset())

    return FakeOracle(find)


def required(*texts: str, path: str = "a.ipynb") -> tuple[Requirement, ...]:
    """Return what the lines of a notebook's first cell ask for."""
    return tuple(Requirement(text=text, origin=Origin(path=path, cell=1, line=n)) for n, text in enumerate(texts, 1))


def notebook(
    path: str = "a.ipynb", *, imports: Iterable[str] = (), optional: Iterable[str] = (), **more: Any
) -> Notebook:
    """Return a notebook whose second cell imports modules, some of them only if they are there."""
    origin = Origin(path=path, cell=2, line=1)
    found = [Import(module=module, origin=origin) for module in imports]
    found += [Import(module=module, origin=origin, optional=True) for module in optional]
    return Notebook(path=path, imports=tuple(found), **more)


def line_of(text: str, line: int = 1, file: str = "a") -> Requirement:
    """Return what a line of a group's file asks for."""
    return Requirement(text=text, origin=Origin(path=f"requirements/{file}.in", line=line))


def group(name: str, *texts: str, constraints: tuple[str, ...] = ()) -> Group:
    """Return a group whose file holds these lines, and a second one these constraints."""
    lines = [line_of(text, number, name) for number, text in enumerate(texts, start=1)]
    bounds = [line_of(text, number, f"{name}-limits") for number, text in enumerate(constraints, start=1)]
    return derive_group(name, lines, root=Path(), constraints=bounds)


def written_group(root: Path, text: str, name: str = "a") -> Group:
    """Write a group's file into a project, and return the group."""
    (root / "requirements").mkdir(exist_ok=True)
    (root / "requirements" / f"{name}.in").write_text(text, encoding="utf-8")
    return read_group(Config(root=root), name)


def write_notebook(root: Path, path: str, *sources: str, **metadata: object) -> Path:
    """Write a notebook of code cells."""
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources]
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}))
    return place


def a_project(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    source: str = "envsolver.toml",
    pythons: tuple[str, ...] = ("3.11", "3.10"),
    **groups: str,
) -> Project:
    """Return a project with a `FakeUv`, the Pythons of `some_python`, and these lines in its groups' files."""
    uv = FakeUv(root)

    def find(_: Uv, request: str) -> Interpreter:
        found = some_python(request)
        base = root / f"python{found.version}"
        base.touch()
        return replace(found, executable=str(base))

    monkeypatch.setattr("envsolver.run.project.Uv", lambda *_, **__: uv)
    monkeypatch.setattr("envsolver.run.project.find_interpreter", find)
    for name, text in groups.items():
        written_group(root, text, name)
    settings = {name: GroupSettings() for name in groups}
    config = Config(root=root, source=source, python=pythons, groups=settings)
    return Project(config=config, cache=root / "cache")


def start_marked(run_id: str, *command: str, **options: bool) -> subprocess.Popen[bytes]:
    """Start a program that carries a run's mark."""
    environment = {**os.environ, RUN_MARK: run_id}
    return subprocess.Popen(command, env=environment, **options)  # type: ignore[call-overload, no-any-return]


def envsolver(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of envsolver's in a project that has a cache of its own."""
    return subprocess.run(
        [sys.executable, "-m", "envsolver", *arguments],
        cwd=root,
        env={**os.environ, "ENVSOLVER_CACHE_DIR": str(root / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
