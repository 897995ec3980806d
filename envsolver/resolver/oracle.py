"""Whether requirements can be installed together: one question, asked of uv at most once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from envsolver.core.environments import Interpreter, Package
from envsolver.core.notebooks import Origin, Requirement
from envsolver.environments.uv import Uv
from envsolver.resolver.groups import derive_group
from envsolver.resolver.locks import absolute, places, read_packages, solve
from envsolver.resolver.requirement_text import BOUND
from envsolver.resolver.solve_options import SolveOptions
from envsolver.resolver.specifiers import contradiction


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The answer to whether some requirements can be installed together."""

    solved: bool
    """Whether they can."""
    packages: tuple[Package, ...] = ()
    """What would be installed."""
    explanation: str = ""
    """Why they cannot, in uv's words; empty when their texts alone show it."""
    suspects: frozenset[str] = frozenset()
    """Those requirements that the explanation speaks of; a hint, which proves nothing."""
    added: tuple[Requirement, ...] = ()
    """What the command line adds to every environment and the explanation speaks of."""


class Oracle(Protocol):
    """Knows which requirements can be installed together. More requirements never make a solution of none."""

    def solve(self, items: frozenset[str]) -> Finding:
        """Return whether requirements, as texts, can be installed together. Called from several threads."""


class _Once:
    """Answers by question; of threads that ask the same, one finds the answer and the others wait for it."""

    def __init__(self) -> None:
        self._answers: dict[frozenset[str], Future[Finding]] = {}
        self._guard = threading.Lock()

    def get(self, items: frozenset[str], find: Callable[[frozenset[str]], Finding]) -> Finding:
        """Return the answer to a question, found at its first asking."""
        with self._guard:
            answer = self._answers.get(items)
            first = answer is None
            if answer is None:
                answer = self._answers[items] = Future()
        if first:
            try:
                answer.set_result(find(items))
            except BaseException as error:
                answer.set_exception(error)
                raise
        return answer.result()


class UvOracle:
    """The oracle that asks uv, for one interpreter; it remembers every answer, also for the next run.

    Parameters
    ----------
    options
        Lines for uv that stand in requirements files, such as ``--pre``.
    cache
        Directory of the remembered answers; None remembers them for this oracle only.
    upgrade
        Ask uv even what an earlier run has asked.

    Raises
    ------
    BuildError
        From `solve`: the network is out of reach.
    """

    def __init__(
        self,
        uv: Uv,
        interpreter: Interpreter,
        *,
        cache: Path | None,
        terms: SolveOptions | None = None,
        options: Iterable[str] = (),
        upgrade: bool = False,
    ) -> None:
        self.uv = uv
        self.interpreter = interpreter
        self.cache = cache
        self.terms = terms or SolveOptions()
        self.options = tuple(options)
        self.upgrade = upgrade
        self._once = _Once()

    def solve(self, items: frozenset[str]) -> Finding:
        """Return whether requirements, as texts, can be installed together."""
        return self._once.get(items, self._find)

    def _find(self, items: frozenset[str]) -> Finding:
        plain = contradiction((item.removeprefix(BOUND) for item in items), self.interpreter)
        if plain and any(item in items for item in plain):
            return Finding(solved=False, suspects=frozenset(i for i in items if i.removeprefix(BOUND) in plain))
        group = derive_group("", map(_placeless, sorted(items)), root=self.uv.root, options=self.options)
        outcome = solve(
            group,
            self.interpreter,
            uv=self.uv,
            cache=self.cache,
            terms=self.terms,
            upgrade=self.upgrade,
            recall_refusals=True,
        )
        if outcome.text is not None:
            return Finding(solved=True, packages=read_packages(absolute(outcome.text, self.uv.root)))
        lines = (*group.requirements, *group.constraints)
        spoken = {r.text for r in places(outcome.explanation, lines, self.uv.root)}
        suspects = frozenset(item for item in items if item.removeprefix(BOUND) in spoken)
        added = places(outcome.explanation, self.terms.added, self.uv.root)
        return Finding(solved=False, explanation=outcome.explanation, suspects=suspects, added=added)


class CachingOracle:
    """An oracle that asks another one only what does not follow from its earlier answers.

    What is part of a solvable set is solvable, and what holds an unsolvable set is unsolvable.
    A deduced answer says only whether, not which packages.
    """

    def __init__(self, oracle: Oracle, solvable: Iterable[frozenset[str]] = ()) -> None:
        self.oracle = oracle
        self._solvable = set(solvable)
        self._unsolvable: set[frozenset[str]] = set()
        self._once = _Once()
        self._guard = threading.Lock()

    def solve(self, items: frozenset[str]) -> Finding:
        """Return the oracle's answer, asked once."""
        return self._once.get(items, self._ask)

    def solvable(self, items: frozenset[str]) -> bool:
        """Return whether requirements can be installed together, deduced where that is possible."""
        with self._guard:
            if not items or any(items <= known for known in self._solvable):
                return True
            if any(known <= items for known in self._unsolvable):
                return False
        return self.solve(items).solved

    def _ask(self, items: frozenset[str]) -> Finding:
        finding = self.oracle.solve(items)
        with self._guard:
            if finding.solved:
                self._solvable.add(items)
            else:
                self._unsolvable.add(items)
        return finding


def minimise(
    items: frozenset[str], asking: CachingOracle, finding: Finding, *, chunks: Sequence[frozenset[str]] = ()
) -> tuple[frozenset[str], Finding]:
    """Return the fewest of `items` that still have no solution, and the oracle's answer to them.

    The suspects of `finding`, the answer to all the items, are tried first: mostly they are the conflict.
    The rest is QuickXplain (Junker, AAAI 2004), about 2 k log2(n / k) questions for k of n items; with
    `chunks`, sets that make up the items, first over these.
    """
    if not items:
        # Not even the kernel can be had.
        return items, finding
    if finding.suspects and not finding.explanation:
        # The texts alone show it, and what they show is the least already.
        return finding.suspects, finding
    if finding.suspects and finding.suspects < items:
        narrowed = asking.solve(finding.suspects)
        if not narrowed.solved:
            return minimise(finding.suspects, asking, narrowed)
    if len(chunks) > 1:
        few = _quick_explain(frozenset(), list(chunks), asking, grown=False)
        return minimise(frozenset().union(*few), asking, finding if len(few) == len(chunks) else Finding(solved=False))
    least = frozenset().union(
        *_quick_explain(frozenset(), [frozenset({i}) for i in sorted(items)], asking, grown=False)
    )
    return least, finding if least == items and finding.explanation else asking.solve(least)


def _quick_explain(
    background: frozenset[str], chunks: list[frozenset[str]], asking: CachingOracle, *, grown: bool
) -> list[frozenset[str]]:
    """Return the fewest chunks that have no solution together with `background`.

    Parameters
    ----------
    grown
        Whether the background has grown since it was last known to be solvable.
    """
    if grown and not asking.solvable(background):
        return []
    if len(chunks) == 1:
        return chunks
    half = len(chunks) // 2
    first, second = chunks[:half], chunks[half:]
    late = _quick_explain(background.union(*first), second, asking, grown=True)
    early = _quick_explain(background.union(*late), first, asking, grown=bool(late))
    return [*early, *late]


def _placeless(text: str) -> Requirement:
    return Requirement(text=text, origin=Origin(path=""))
