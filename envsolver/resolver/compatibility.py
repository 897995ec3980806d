"""What `envsolver solve` reports: each group on each Python, each pair of groups, and what it took."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from envsolver.core.environments import Group, Interpreter, Lock, Target
from envsolver.core.quantities import plural, size
from envsolver.environments.uv import Uv
from envsolver.resolver.conflicts import Conflict, Pair, Sizes, compare, explain, items_of
from envsolver.resolver.locks import SolveOutcome, lock_of, solve
from envsolver.resolver.oracle import UvOracle
from envsolver.resolver.pythons import why_unsupported
from envsolver.resolver.solve_options import SolveOptions

WORKERS = 8
"""How many questions wait for the registry side by side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solved:
    """Whether one group can be solved for one Python."""

    group: str
    python: str
    lock: Lock | None = None
    """What it is solved to; None when it is not."""
    conflict: Conflict | None = None
    """Why there is no solution."""
    message: str = ""
    """Why it was not solved otherwise: the group does not support this Python, or a package cannot be built."""

    @property
    def skipped(self) -> bool:
        """Whether the group does not support this Python, so that it was not asked."""
        return self.lock is None and self.conflict is None and self.message.startswith("group ")


@dataclass(frozen=True, kw_only=True, slots=True)
class SolveReport:
    """Everything that `envsolver solve` reports."""

    groups: tuple[Solved, ...]
    pairs: tuple[Pair, ...]
    """Each pair of groups on the first Python that both are solved for."""
    calls: int
    """How many uv commands it took."""
    seconds: float
    """Wall time."""

    @property
    def good(self) -> bool:
        """Whether every group that was asked about can be solved."""
        return all(solved.lock is not None or solved.skipped for solved in self.groups)


@dataclass(frozen=True, kw_only=True)
class GroupExamination:
    """Solves groups and compares them."""

    root: Path
    uv: Uv
    cache: Path | None
    """Directory of the remembered answers."""
    terms: SolveOptions
    sizes: Sizes
    upgrade: bool = False
    """Ask uv even what an earlier run has asked."""
    workers: int = WORKERS

    def examine(self, groups: Sequence[Group], interpreters: Sequence[Interpreter]) -> SolveReport:
        """Return whether each group can be solved for each Python, and whether each two can share an environment.

        Raises
        ------
        BuildError
            The network is out of reach.
        """
        start, calls = time.perf_counter(), self.uv.calls
        with ThreadPoolExecutor(max_workers=self.workers) as pool:
            asked = [pool.submit(self._solve, group, python) for group in groups for python in interpreters]
            solved = [future.result() for future in asked]
            locks = {Target(s.group, s.python): s.lock for s in solved if s.lock is not None}
            compared = [
                pool.submit(self._compare, a, b, python, locks)
                for a, b in combinations(groups, 2)
                if (python := _common(a, b, interpreters, locks)) is not None
            ]
            pairs = [future.result() for future in compared]
        return SolveReport(
            groups=tuple(solved),
            pairs=tuple(pairs),
            calls=self.uv.calls - calls,
            seconds=time.perf_counter() - start,
        )

    def _solve(self, group: Group, python: Interpreter) -> Solved:
        unsupported = why_unsupported(f"group {group.name}", group.requires_python, python)
        if unsupported:
            return Solved(group=group.name, python=python.request, message=unsupported)
        outcome = solve(
            group,
            python,
            uv=self.uv,
            cache=self.cache,
            terms=self.terms,
            upgrade=self.upgrade,
            recall_refusals=True,
        )
        return self._told(group, python, outcome)

    def _told(self, group: Group, python: Interpreter, outcome: SolveOutcome) -> Solved:
        if outcome.text is not None:
            lock = lock_of(group, python, outcome.text, self.root)
            return Solved(group=group.name, python=python.request, lock=lock)
        oracle = self._oracle(python, group)
        finding = oracle.solve(frozenset(items_of(group)))
        if not outcome.proved or finding.solved:
            # Not proved: a package cannot be built. Solved after all: an option of its file is to blame.
            return Solved(group=group.name, python=python.request, message=outcome.explanation)
        conflict = explain([group], oracle, finding, self.root)
        return Solved(group=group.name, python=python.request, conflict=conflict)

    def _compare(self, a: Group, b: Group, python: Interpreter, locks: Mapping[Target, Lock]) -> Pair:
        locked = [(group, locks[Target(group.name, python.request)]) for group in (a, b)]
        return compare(locked[0], locked[1], self._oracle(python, a, b), self.root, self.sizes)

    def _oracle(self, python: Interpreter, *groups: Group) -> UvOracle:
        options = dict.fromkeys(option for group in groups for option in group.options)
        return UvOracle(self.uv, python, cache=self.cache, terms=self.terms, options=options, upgrade=self.upgrade)


def _common(
    a: Group, b: Group, interpreters: Sequence[Interpreter], locks: Mapping[Target, Lock]
) -> Interpreter | None:
    """Return the first Python that both groups are solved for."""
    return next((p for p in interpreters if (a.name, p.request) in locks and (b.name, p.request) in locks), None)


def to_json(report: SolveReport) -> dict[str, object]:
    """Return the report as plain data for ``--json``."""
    return {
        "schema": 1,
        "uv_calls": report.calls,
        "seconds": round(report.seconds, 3),
        "groups": [_group_json(solved) for solved in report.groups],
        "pairs": [_pair_json(pair) for pair in report.pairs],
    }


def group_rows(report: SolveReport) -> tuple[tuple[str, str, str], ...]:
    """Return a table for people: group, Python, and what came of it."""
    return tuple((solved.group, solved.python, _outcome(solved)) for solved in report.groups)


def pair_rows(report: SolveReport) -> tuple[tuple[str, str], ...]:
    """Return a table for people: two groups, and whether they can share an environment."""
    return tuple((" + ".join(pair.groups), _verdict(pair)) for pair in report.pairs)


def _outcome(solved: Solved) -> str:
    if solved.lock is not None:
        return f"{len(solved.lock.packages)} packages"
    if solved.conflict is not None:
        return f"no solution: {solved.conflict.sentence}"
    return f"skipped: {solved.message}" if solved.skipped else f"not solved: {solved.message}"


def _verdict(pair: Pair) -> str:
    if pair.conflict is not None:
        return f"apart: {pair.conflict.sentence}"
    saved = plural(pair.packages_saved, "package")
    if pair.bytes_saved is not None:
        saved += f", {size(pair.bytes_saved)}"
    return f"could share one environment, which saves {saved}"


def _group_json(solved: Solved) -> dict[str, object]:
    return {
        "group": solved.group,
        "python": solved.python,
        "solved": solved.lock is not None,
        "skipped": solved.skipped,
        "packages": None if solved.lock is None else len(solved.lock.packages),
        "message": solved.message,
        "conflict": _conflict_json(solved.conflict),
    }


def _pair_json(pair: Pair) -> dict[str, object]:
    return {
        "groups": list(pair.groups),
        "python": pair.python,
        "shareable": pair.shareable,
        "packages_saved": pair.packages_saved if pair.shareable else None,
        "bytes_saved": pair.bytes_saved,
        "conflict": _conflict_json(pair.conflict),
    }


def _conflict_json(conflict: Conflict | None) -> dict[str, object] | None:
    if conflict is None:
        return None
    return {
        "sentence": conflict.sentence,
        "requirements": [
            {"text": r.text, "path": r.origin.path, "cell": r.origin.cell, "line": r.origin.line}
            for r in conflict.requirements
        ],
        "explanation": conflict.explanation,
    }
