"""Build all environments and run nothing. It imports no more than that takes, since it mostly finds them built."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from envsolver.core.environments import Environment, Lock, Target
from envsolver.core.errors import BuildError, EnvsolverError, UnsolvableError
from envsolver.resolver.groups import check_group_names, read_groups
from envsolver.run.project import Project
from envsolver.run.resolution import resolve, solve_all


def sync(project: Project, *, groups: Sequence[str] = (), pythons: Sequence[str] = ()) -> tuple[Environment, ...]:
    """Solve groups and build their environments, side by side.

    Where nothing is configured, the groups are those that a run of all notebooks would choose.

    Parameters
    ----------
    groups
        Names; empty for all.
    pythons
        Versions; empty for the default.

    Raises
    ------
    ConfigurationError
        A group or an interpreter is not there.
    NothingToRunError
        Nothing is configured, and there is no notebook.
    UnsolvableError, BuildError
        With the faults of all groups together.
    """
    locks, faults = _solved(project, groups, pythons)
    built: list[Environment] = []
    errors = list(faults.values())
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
        for (group, _), building in {
            target: pool.submit(project.store.ensure, lock) for target, lock in locks.items()
        }.items():
            try:
                built.append(replace(building.result(), group=group))
            except BuildError as error:
                errors.append(error)
    project.store.release()
    if errors:
        worst = next((e for e in errors if isinstance(e, UnsolvableError)), errors[0])
        raise type(worst)("\n\n".join(error.message for error in errors), tip=worst.tip)
    return tuple(built)


def _solved(
    project: Project, groups: Sequence[str], pythons: Sequence[str]
) -> tuple[Mapping[Target, Lock], Mapping[Target, EnvsolverError]]:
    """Return the locks of the groups asked for, and why some have none."""
    known = read_groups(project.config)
    if known:
        check_group_names(groups, known)
        interpreters, _ = project.pythons(pythons)
        return solve_all(project, {name: known[name] for name in groups or known}, interpreters)
    found = resolve(project, cwd=project.root, pythons=pythons)
    check_group_names(groups, found.groups)
    chosen = set(groups or found.groups)
    return (
        {target: lock for target, lock in found.locks.items() if target.group in chosen},
        {target: fault for target, fault in found.faults.items() if target.group in chosen},
    )
