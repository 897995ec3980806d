"""Which templates a run needs, what each may hold, and which job each serves. Pure, and tested alone.

A template may hold a module only if every notebook that it serves loads that module by itself: for one that passed
before with the same code in the same environment, what its kernel then held; for any other, its leading imports.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

from envsolver.core.environments import Target
from envsolver.core.jobs import Edits, Job, KernelHistory
from envsolver.core.notebooks import Notebook
from envsolver.core.results import AFTER_VOID, LEADING, NOTHING
from envsolver.run.warm.leading_imports import leading_imports

BASE = "base"
"""The node that holds what every kernel loads, and nothing more."""

MOST_NODES = 24
"""How many nodes a template has at most, so that its memory stays bounded."""

_LEAST_JOBS = 2  # below which a template does not pay
_LEAST_SAVING = 30  # modules not imported again, below which another process does not pay
_UNKNOWN_WEIGHT = 100  # modules that an import brings, on average, when nothing is known of it
_CANDIDATES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSpec:
    """One process of a template."""

    id: str
    parent: str | None = None
    """The node whose modules it has too; None for the base."""
    modules: tuple[str, ...] = ()
    """What it adds, in the order of import: ``a.b``, ``a.b=path``, or ``a:b`` for ``from a import b``."""
    allowed: tuple[str, ...] | None = None
    """All that it may have added in the end; None for whatever `modules` bring."""
    eager: bool = False
    """Whether it is needed at once, so that it need not wait for its first job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateSpec:
    """The template of an environment, for jobs whose kernels see the same variables."""

    key: str
    """Unique in the run."""
    group: str
    python: str
    environment: str
    """Where it belongs; `environment` is the environment's key."""
    job: Job
    """One of its jobs, whose variables are those of all."""
    nodes: tuple[NodeSpec, ...]


class Served(NamedTuple):
    """Which template forks a job's kernel, and from which of its nodes."""

    template: str
    node: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmPlan:
    """The templates of a run, and the node that serves each job: ``(template's key, node's id)`` by job id."""

    templates: tuple[TemplateSpec, ...] = ()
    serves: Mapping[str, Served] = field(default_factory=dict)


def plan_templates(
    jobs: Sequence[Job],
    notebooks: Mapping[str, Notebook],
    *,
    keys: Mapping[Target, str],
    known: Mapping[str, KernelHistory],
    workers: int,
    least: int = _LEAST_JOBS,
    platform: str = sys.platform,
) -> WarmPlan:
    """Choose the templates.

    Parameters
    ----------
    jobs
        In the order in which they will start.
    notebooks
        By path.
    keys
        The environment's key of each group and Python version; what has none runs cold.
    known
        What history knows, by job id.
    workers
        How many jobs run at once.
    least
        How many jobs a template must serve: a single kernel gains nothing from being forked, unless it stays.
    """
    if not platform.startswith("linux"):
        return WarmPlan()
    templates: list[TemplateSpec] = []
    serves: dict[str, Served] = {}
    for family in _families(jobs, keys, known):
        if len(family) < least:
            continue
        name = f"t{len(templates)}"
        tree = _Tree([_wishes(job, notebooks[job.notebook], known.get(job.id, KernelHistory())) for job in family])
        templates.append(_template(name, family[0], keys[family[0].target], tree.specs(workers)))
        serves.update({job.id: Served(name, tree.serving[index]) for index, job in enumerate(family)})
    return WarmPlan(templates=tuple(templates), serves=serves)


def without_spoilt(
    spec: TemplateSpec, serves: Mapping[str, Served], job: str, kept: Collection[str]
) -> tuple[TemplateSpec | None, dict[str, Served]]:
    """Plan a template without what made an attempt of one job void, for the others that would have it ahead too.

    Parameters
    ----------
    spec
        The template that served the job.
    serves
        Which node serves the job itself, and each of those that have not started.
    job
        The job's id.
    kept
        The modules that its kernel may have ahead, each ``name`` or ``name=origin``.

    Returns
    -------
    tuple
        The template, None where what is left is up already, and what serves the others from now on; empty when they
        can stay where they are.
    """
    parents = {node.id: node.parent for node in spec.nodes}
    by_name = {node.id: node for node in spec.nodes}
    names = {name.partition("=")[0] for name in kept}
    line = [by_name[name] for name in _line(parents, serves[job].node)]
    held = [_holding(node, names) for node in line]
    spoilt = next((index for index, node in enumerate(line) if node.modules != held[index].modules), None)
    if spoilt is None:
        return None, {}
    lines = {other: _line(parents, node) for other, (template, node) in serves.items() if template == spec.key}
    others = {other: above for other, above in lines.items() if line[spoilt].id in above and other != job}
    if len(others) < _LEAST_JOBS or not any(node.modules for node in held[spoilt:]):
        return None, dict.fromkeys(others, Served(spec.key, line[spoilt - 1].id))
    left = [node for node in held if node.id == BASE or node.modules]
    chain = [left[0], *(replace(node, parent=above.id) for above, node in pairwise(left))]
    revised = replace(spec, key=f"{spec.key}-{line[spoilt].id}", nodes=tuple(chain))
    deepest = {other: [node.id for node in chain if node.id in above][-1] for other, above in others.items()}
    return revised, {other: Served(revised.key, node) for other, node in deepest.items()}


def _line(parents: Mapping[str, str | None], node: str) -> list[str]:
    """Return a node and those above it, the base first."""
    line = [node]
    while (parent := parents[line[0]]) is not None:
        line.insert(0, parent)
    return line


def _holding(node: NodeSpec, names: Collection[str]) -> NodeSpec:
    """Return a node that holds no module but some."""
    if node.id == BASE:
        return node
    modules = tuple(entry for entry in node.modules if entry.partition("=")[0].partition(":")[0] in names)
    allowed = node.allowed and tuple(entry for entry in node.allowed if entry.partition("=")[0] in names)
    return replace(node, modules=modules, allowed=allowed, eager=True)


def _template(name: str, job: Job, environment: str, nodes: Iterable[NodeSpec]) -> TemplateSpec:
    group, python = job.target
    return TemplateSpec(key=name, group=group, python=python, environment=environment, job=job, nodes=tuple(nodes))


def _families(
    jobs: Sequence[Job],
    keys: Mapping[Target, str],
    known: Mapping[str, KernelHistory],
) -> list[list[Job]]:
    """Return the jobs that may start warm, together those whose kernels find the same before their first cell."""
    families: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        key, binding = keys.get(job.target), job.binding
        cold = job.warm_start.cold or known.get(job.id, KernelHistory()).cold
        if key and not cold:
            env = tuple(sorted(binding.env.items()))
            same = (job.group, job.python, key, job.limits.cores, binding.pass_env, env)
            families.setdefault(same, []).append(job)
    return list(families.values())


def _wishes(job: Job, notebook: Notebook, known: KernelHistory) -> tuple[tuple[str, ...], bool]:
    """Return what a job's notebook surely loads, and whether that is all that it loads."""
    if known.modules == (NOTHING,):
        return (), True
    # What is remembered is of the code as it stands in the notebook.
    if known.modules and known.modules != (LEADING,) and job.edits == Edits():
        return known.modules[known.modules[0] == AFTER_VOID :], True
    return leading_imports(Path(job.root), notebook, job.edits), False


class _Tree:
    """The nodes of one template. Sets of jobs are bit masks."""

    def __init__(self, wishes: Sequence[tuple[tuple[str, ...], bool]]) -> None:
        self.wishes = wishes
        self.mixed = not all(whole for _, whole in wishes)
        self.serving: dict[int, str] = dict.fromkeys(range(len(wishes)), BASE)
        self.nodes: list[tuple[str, str, frozenset[str], int]] = []
        self.holders: dict[str, int] = {}
        # What a notebook never seen asks for brings more along than is known.
        self.heavy = {name for names, whole in wishes if not whole for name in names if ":" not in name}
        for index, (names, whole) in enumerate(wishes):
            for name in self._elements(names, whole=whole):
                self.holders[name] = self.holders.get(name, 0) | 1 << index
        self._grow(BASE, frozenset(), (1 << len(wishes)) - 1)

    def _elements(self, names: Sequence[str], *, whole: bool) -> list[str]:
        taken = []
        if whole and self.mixed:  # so that it can be compared with `from a import b`
            taken = [f"{package}:{name}" for package, dot, name in (n.rpartition(".") for n in names) if dot]
        return [*names, *taken]

    def _grow(self, parent: str, held: frozenset[str], members: int) -> None:
        """Add children below a node: each time the one that saves most, until none saves enough."""
        left = members
        while left.bit_count() > 1 and len(self.nodes) < MOST_NODES:
            common, jobs = self._best(held, left)
            if not jobs:
                return
            name = f"n{len(self.nodes) + 1}"
            self.nodes.append((name, parent, common, jobs))
            self.serving.update(dict.fromkeys(_bits(jobs), name))
            self._grow(name, held | common, jobs)
            left &= ~jobs

    def _best(self, held: frozenset[str], left: int) -> tuple[frozenset[str], int]:
        """Return the modules that it pays most to hold for some of the jobs, and these jobs."""
        weights: dict[int, int] = {}
        for name, mask in self.holders.items():
            if name not in held and (mask & left).bit_count() > 1:
                weight = _UNKNOWN_WEIGHT if name in self.heavy else 1
                weights[mask & left] = weights.get(mask & left, 0) + weight
        likely = sorted(weights, key=lambda mask: (mask.bit_count() - 1) * weights[mask], reverse=True)[:_CANDIDATES]
        savings = {jobs: (jobs.bit_count() - 1) * _total(weights, jobs) for jobs in likely}
        paying = [jobs for jobs in likely if savings[jobs] >= _LEAST_SAVING]
        best = max(paying, key=savings.__getitem__, default=0)
        # A larger group around it takes nothing from it, since it can have a node of its own below.
        best = max((jobs for jobs in paying if jobs & best == best), key=int.bit_count, default=0)
        if not best:
            return frozenset(), 0
        return frozenset(n for n, mask in self.holders.items() if n not in held and mask & best == best), best

    def specs(self, workers: int) -> list[NodeSpec]:
        """Return the nodes, parents first."""
        # The scheduling has each of the first jobs wait for another node.
        eager = set(islice(dict.fromkeys(self.serving.values()), workers))
        specs = [NodeSpec(id=BASE, eager=True)]
        for name, parent, common, jobs in self.nodes:
            names, complete = self.wishes[next(_bits(jobs))]
            mixed = not all(self.wishes[index][1] for index in _bits(jobs))
            taken = self._elements(names, whole=complete) if mixed else names
            whole = [frozenset(self.wishes[index][0]) for index in _bits(jobs) if self.wishes[index][1]]
            specs.append(
                NodeSpec(
                    id=name,
                    parent=parent,
                    modules=tuple(n for n in taken if n in common),
                    allowed=tuple(sorted(frozenset.intersection(*whole))) if whole else None,
                    eager=name in eager,
                )
            )
        return specs


def _total(weights: Mapping[int, int], jobs: int) -> int:
    """Return the weight of all that each of some jobs loads."""
    return sum(weight for mask, weight in weights.items() if mask & jobs == jobs)


def _bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the jobs in a mask."""
    return (index for index in range(mask.bit_length()) if mask >> index & 1)
