"""What a project holds: its notebooks, the groups that serve them, and which notebook belongs where.

`resolve` is the first half of every command: it reads the notebooks, solves the groups side by side, and derives
groups for notebooks that no configuration places. Nothing is built and nothing runs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from envsolver.config.load import settings_for
from envsolver.core.environments import Assignment, Group, Interpreter, Lock, Target
from envsolver.core.errors import ConfigurationError, EnvsolverError
from envsolver.core.notebooks import Notebook, Origin, Requirement
from envsolver.core.settings import Config
from envsolver.notebooks.distributions import distributions_for
from envsolver.notebooks.read import read_notebooks
from envsolver.notebooks.select import find_notebooks, left_out_links, select_notebooks
from envsolver.resolver.assignment import assign, is_named, supplies
from envsolver.resolver.declared import declared
from envsolver.resolver.demands import NotebookRequirements, demand_of
from envsolver.resolver.dependency_sets import EVERYTHING, declared_group, offered_sets
from envsolver.resolver.derive import Derived, derive, serves
from envsolver.resolver.groups import derive_group, read_groups
from envsolver.resolver.nearest_set import nearest_set
from envsolver.resolver.oracle import UvOracle
from envsolver.resolver.own_project import own_project, with_extras
from envsolver.resolver.requirement_text import requirement_name
from envsolver.resolver.specifiers import python_allowed
from envsolver.resolver.uv_lock import check_fresh
from envsolver.run.project import Project

WITH_JUPYTER = ("ipywidgets", "nbformat")
"""What `pip install jupyter` brings beside the kernel, and notebooks use without saying: for progress bars; for `%run`
of a notebook and Plotly's figures."""


SOLVERS = 4
"""How many solves wait for the registry side by side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """What a project holds."""

    notebooks: Mapping[str, Notebook]
    """Those selected, by path."""
    groups: Mapping[str, Group]
    """All groups by name."""
    interpreters: Mapping[str, Interpreter]
    """By the Python version asked for."""
    locks: Mapping[Target, Lock]
    """By group and Python version; a group that could not be solved has none."""
    faults: Mapping[Target, EnvsolverError]
    """Why a group could not be solved, by group and Python version."""
    assignments: tuple[Assignment, ...]
    """One a notebook, in the notebooks' order."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Versions of ``all`` that this machine lacks, each with the reason."""
    conflicts: tuple[str, ...] = ()
    """Why derived groups are kept apart, a sentence each."""
    holds: tuple[str, ...] = ()
    """Which notebook's requirement holds others back at older versions, a sentence each."""
    asked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What each notebook of a derived group asks for, as texts, by its path."""
    links: tuple[str, ...] = ()
    """Links that lead out of the project, where notebooks were looked for, a line each."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of the derived groups, and of what was left out, a line each."""
        return (
            *(f"kept apart: {text}" for text in self.conflicts),
            *(f"held back: {text}" for text in self.holds),
            *self.links,
        )


def resolve(project: Project, *, patterns: Sequence[str] = (), cwd: Path, pythons: Sequence[str] = ()) -> Resolution:
    """Read the selected notebooks, solve all groups, and assign each notebook to one.

    Parameters
    ----------
    patterns
        Notebook paths, directories and globs, relative to `cwd`; empty for all that the configuration names.
    pythons
        Versions asked for; the first that is there decides the assignments.

    Raises
    ------
    NothingToRunError
        No notebook matches.
    ConfigurationError
        A requirement file, a lock file or an interpreter is not usable.
    """
    paths = select_notebooks(project.config, patterns, cwd)
    notebooks = read_notebooks(project.root, {path: settings_for(project.config, path) for path in paths})
    groups = read_groups(project.config)
    offered = {} if groups else _offered(project.root)
    interpreters, left_out = project.pythons(pythons)
    locks, faults = solve_all(project, {**groups, **offered}, interpreters)
    first, decisive = next(iter(interpreters.items()))
    solved = {target.group: lock for target, lock in locks.items() if target.python == first}
    known = GroupsFound(configured=groups, offered=offered, locks=solved, brought=_brought(project, groups, decisive))
    assignments = {a.notebook: a for a in _assignments(project, notebooks.values(), known)}
    derived = _derived(project, _loose(project.config, notebooks, assignments), paths, decisive, known)
    made = {group.name: group for group in derived.groups}
    more_locks, more_faults = solve_all(project, made, interpreters)
    assignments.update((a.notebook, _with_holds(a, derived)) for a in derived.assignments)
    groups = groups | made | {a.group: offered[a.group] for a in derived.assignments if a.group in offered}
    return Resolution(
        notebooks=notebooks,
        groups=groups,
        interpreters=interpreters,
        left_out=left_out,
        locks={target: lock for target, lock in (locks | more_locks).items() if target.group in groups},
        faults={target: fault for target, fault in (faults | more_faults).items() if target.group in groups},
        assignments=tuple(assignments[path] for path in paths),
        conflicts=tuple(conflict.sentence for conflict in derived.conflicts),
        holds=tuple(hold.sentence for held in derived.holds.values() for hold in held),
        asked=derived.asked,
        links=left_out_links(project.config, patterns, cwd),
    )


def solve_all(
    project: Project, groups: Mapping[str, Group], interpreters: Mapping[str, Interpreter]
) -> tuple[dict[Target, Lock], dict[Target, EnvsolverError]]:
    """Solve every group for every interpreter, side by side.

    Returns
    -------
    tuple
        The locks, and the errors of those that could not be solved, by group and Python version.

    Raises
    ------
    ConfigurationError
        Lock files are stale.
    """
    locks: dict[Target, Lock] = {}
    faults: dict[Target, EnvsolverError] = {}
    if interpreters and any(project.takes_uv_lock(group) for group in groups.values()):
        check_fresh(project.uv, next(iter(interpreters.values())).executable)
    with ThreadPoolExecutor(max_workers=max(SOLVERS, os.cpu_count() or 1)) as pool:
        asked = {
            Target(name, version): pool.submit(project.lock, group, interpreter)
            for name, group in groups.items()
            for version, interpreter in interpreters.items()
            # Nothing of a group runs on a Python that it does not support, so nothing is asked for it.
            if python_allowed(group.requires_python, interpreter)
        }
        stale: list[ConfigurationError] = []
        for target, answer in asked.items():
            try:
                locks[target] = answer.result()
            except ConfigurationError as error:
                stale.append(error)
            except EnvsolverError as error:
                faults[target] = error
    if stale:
        texts = dict.fromkeys(fault for error in stale for fault in error.faults)
        raise ConfigurationError(
            tuple(texts), tip=stale[0].tip if len(texts) == 1 else "Refresh them: `envsolver lock`."
        )
    return locks, faults


def _assignments(project: Project, notebooks: Iterable[Notebook], known: GroupsFound) -> Iterator[Assignment]:
    supplied = supplies(project.root, known.configured, {**known.brought, **known.locks_of(known.configured)})
    for notebook in notebooks:
        yield assign(
            notebook,
            config=project.config,
            settings=settings_for(project.config, notebook.path),
            supplied=supplied,
            distributions=partial(_distributions, project.config),
        )


def _with_holds(assignment: Assignment, derived: Derived) -> Assignment:
    held = derived.holds.get(assignment.group or "", ())
    return replace(assignment, held_back=tuple(h.sentence for h in held if assignment.notebook in h.notebooks))


def _loose(config: Config, notebooks: Mapping[str, Notebook], assignments: Mapping[str, Assignment]) -> list[Notebook]:
    """Return the notebooks whose environment follows from themselves: nothing was configured, or they say so."""
    configured = bool(config.groups and config.source)
    return [
        notebook
        for path, notebook in notebooks.items()
        if assignments[path].verdict not in {"failed", "skipped"}
        and not is_named(config, notebook, settings_for(config, path))
        and (notebook.script is not None or not configured)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupsFound:
    """The groups that are there before any is derived."""

    configured: Mapping[str, Group]
    offered: Mapping[str, Group]
    """Those that the project's own dependency sets make, where nothing is configured."""
    locks: Mapping[str, Lock]
    """Of all that were solved for the Python that decides, by name."""
    brought: Mapping[str, Lock] = field(default_factory=dict)
    """What environments that somebody else builds hold, on whatever Python: notebooks find them by it all the same."""

    def locks_of(self, groups: Iterable[str]) -> dict[str, Lock]:
        """Return the locks of those of some groups that were solved."""
        return {name: self.locks[name] for name in groups if name in self.locks}


def _brought(project: Project, groups: Mapping[str, Group], interpreter: Interpreter) -> dict[str, Lock]:
    """Return what is installed in the environments that somebody else builds; none of those that cannot be used."""
    found: dict[str, Lock] = {}
    for name, group in groups.items():
        if group.prefix:
            with contextlib.suppress(EnvsolverError):  # said where it is asked for
                found[name] = project.lock(group, interpreter)
    return found


def _offered(root: Path) -> dict[str, Group]:
    """Return the groups that a project's dependency sets make; sets that cannot be read make none."""
    found: dict[str, Group] = {}
    for name, sets in offered_sets(root).items():
        with contextlib.suppress(ConfigurationError):
            found[name] = declared_group(root, name, sets)
    return found


def _place(
    project: Project, notebook: Notebook, demand: NotebookRequirements, known: GroupsFound, interpreter: Interpreter
) -> Assignment | None:
    """Return the smallest offered group that has all that a notebook imports and asks for; None without one."""
    if demand.fault or demand.scripted or not python_allowed(demand.requires_python, interpreter):
        return None
    asked = replace(demand, requirements=with_extras(demand.requirements, project.root))
    locks = known.locks_of(known.offered)
    fitting = {name: lock for name, lock in locks.items() if serves(lock, asked, interpreter, project.root)}
    found = assign(
        notebook,
        config=project.config,
        settings=settings_for(project.config, notebook.path),
        supplied=supplies(project.root, {name: known.offered[name] for name in fitting}, fitting),
        distributions=partial(_distributions, project.config),
    )
    if found.group is None:
        return None
    place = "all that pyproject.toml has" if found.group == EVERYTHING else known.offered[found.group].place
    return replace(found, why=f"{found.why}; {place}")


def _derived(
    project: Project, loose: Sequence[Notebook], chosen: Sequence[str], interpreter: Interpreter, known: GroupsFound
) -> Derived:
    """Return where the notebooks belong that no configuration places."""
    if not loose:
        return Derived(groups=(), assignments=())
    return _derive_as_before(project, chosen, interpreter, known) or _derive(project, loose, interpreter, known)


def _derive(
    project: Project,
    notebooks: Sequence[Notebook],
    interpreter: Interpreter,
    known: GroupsFound,
) -> Derived:
    """Put notebooks into the groups that serve them, and the others into the fewest new ones that solve."""
    own = own_project(project.root)
    distributions = partial(_distributions, project.config)
    folders = [(project.root / notebook.path).parent for notebook in notebooks]
    named = {folder: declared(project.root, folder) for folder in set(folders)}
    demands = [
        demand_of(notebook, distributions=distributions, own=own, declared=named[folder])
        for notebook, folder in zip(notebooks, folders, strict=True)
    ]
    each = list(zip(notebooks, demands, strict=True))
    placed = [a for n, d in each if (a := _place(project, n, d, known, interpreter)) is not None]
    names = {a.notebook for a in placed}
    rest = [_as_in_jupyter(demand, notebook) for notebook, demand in each if notebook.path not in names]
    derived = derive(
        rest,
        interpreter=interpreter,
        oracle=UvOracle(project.uv, interpreter, cache=project.solutions, terms=project.terms),
        root=project.root,
        locks=known.locks_of(known.configured),
        taken={*known.configured, *known.offered},
    )
    derived = _on_own_sets(project, derived, {d.notebook for d in rest if d.scripted}, interpreter, known)
    return replace(derived, assignments=(*placed, *derived.assignments))


def _on_own_sets(
    project: Project, derived: Derived, scripted: Collection[str], interpreter: Interpreter, known: GroupsFound
) -> Derived:
    """Give derived groups all that the nearest of the project's own sets has, where that solves.

    What a script block lists is all that its notebook needs.
    """
    locks = known.locks_of(name for name in known.offered if name != EVERYTHING)
    given = {*WITH_JUPYTER, *_given(project.root)}
    sets = {name: (lock, _named(known.offered[name], project.root) - given) for name, lock in locks.items()}
    complete = {a.group for a in derived.assignments if a.notebook in scripted}
    wider: dict[str, Group] = {}
    places: dict[str | None, str] = {}
    for group in derived.groups:
        name = nearest_set(group, sets, interpreter=interpreter, root=project.root)
        if name is None or group.name in complete:
            continue
        asked = {r.text: r for r in (*known.offered[name].requirements, *group.requirements)}
        both = derive_group(
            group.name, asked.values(), root=project.root, constraints=group.constraints, options=group.options
        )
        with contextlib.suppress(EnvsolverError):  # what the notebooks ask for counts more
            project.lock(both, interpreter)
            wider[group.name], places[group.name] = both, f"; with {known.offered[name].place}"
    return replace(
        derived,
        groups=tuple(wider.get(group.name, group) for group in derived.groups),
        assignments=tuple(replace(a, why=a.why + places.get(a.group, "")) for a in derived.assignments),
    )


def _given(root: Path) -> Iterator[str]:
    """Yield the names of the project's own package and of what it depends on."""
    own = own_project(root)
    if own is not None:
        yield own.name
        yield from _names(own.metadata.dependencies if own.metadata is not None else (), root)


def _named(group: Group, root: Path) -> frozenset[str]:
    """Return the names of the distributions that a set of the project names itself."""
    return frozenset(_names((r.text for r in with_extras(group.requirements, root)), root))


def _names(texts: Iterable[str], root: Path) -> Iterator[str]:
    yield from (name for text in texts if (name := requirement_name(root, text)) is not None)


def _derive_as_before(
    project: Project,
    chosen: Sequence[str],
    interpreter: Interpreter,
    known: GroupsFound,
) -> Derived | None:
    """Derive the groups of all notebooks, if an earlier run built what the chosen ones need; else return None.

    One notebook asks for less than all of them together, but an environment that is there is worth more than a
    smaller one that must be built.
    """
    if not project.state.is_dir():
        return None
    config = project.config
    paths = find_notebooks(config)
    if set(paths) <= set(chosen) or not set(chosen) <= set(paths):
        return None
    everything = read_notebooks(config.root, {path: settings_for(config, path) for path in paths})
    assignments = {a.notebook: a for a in _assignments(project, everything.values(), known)}
    derived = _derive(project, _loose(config, everything, assignments), interpreter, known)
    placed = [a for a in derived.assignments if a.notebook in chosen]
    needed = {a.group for a in placed if a.group}
    made = {group.name: group for group in derived.groups if group.name in needed}
    try:
        built = all(project.store.has(project.lock(group, interpreter)) for group in made.values())
    except EnvsolverError:
        return None
    holds = {name: held for name, held in derived.holds.items() if name in needed}
    return replace(derived, groups=tuple(made.values()), assignments=tuple(placed), holds=holds) if built else None


def _as_in_jupyter(demand: NotebookRequirements, notebook: Notebook) -> NotebookRequirements:
    """Add what every Jupyter installation brings, unless the notebook states all that it needs."""
    if demand.fault or notebook.script is not None:
        return demand
    brought = [Requirement(text=name, origin=Origin(path="Jupyter itself")) for name in WITH_JUPYTER]
    wanted = {requirement.text: requirement for requirement in (*brought, *demand.requirements)}
    return replace(demand, requirements=tuple(wanted[text] for text in sorted(wanted)))


def _distributions(config: Config, module: str) -> tuple[str, ...]:
    return distributions_for(module, config.modules)
