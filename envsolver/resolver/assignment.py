"""Which notebook belongs to which group, decided before any environment must be built.

In this order: what the configuration says; what the notebook's metadata says; the smallest group that provides
all that the notebook imports.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envsolver.core.environments import Assignment, Group, Lock
from envsolver.core.globs import glob_matches
from envsolver.core.notebooks import Import, Notebook
from envsolver.core.settings import Config, NotebookSettings
from envsolver.core.verdicts import Verdict
from envsolver.resolver.declared import names_alike
from envsolver.resolver.locks import KERNEL
from envsolver.resolver.own_project import own_project
from envsolver.resolver.requirement_text import local_path, requirement_name

_Lacking = Mapping[str, tuple[Import, ...]]
Distributions = Callable[[str], tuple[str, ...]]
"""Returns requirements for the distributions that are known to provide a module, best first; none if it is unknown."""

WITH_KERNEL = frozenset(
    {"comm", "ipykernel", "ipython", "jupyter-client", "jupyter-core", "matplotlib-inline", "traitlets"}
)
"""What the kernel brings with it, for groups that have no lock yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Supply:
    """What a group provides."""

    group: str
    file: str
    """Where a person would add a requirement; empty for a derived group."""
    names: frozenset[str]
    """Normalised names of the distributions: all of the lock, or the direct requirements before there is one."""
    direct: int
    """How many requirements were written down."""
    locked: bool
    """Whether `names` comes from a lock."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Top-level modules of the local projects that it asks for, whatever their distributions are called, each with the
    requirement."""

    def provides(self, module: str, distributions: Distributions) -> bool:
        """Return whether a module comes from one of the group's distributions, or from a local project."""
        names = (requirement_name(Path(), text) for text in distributions(module))
        top = module.partition(".")[0]
        return top in self.modules or not self.names.isdisjoint([*names, *names_alike(module)])


def supplies(root: Path, groups: Mapping[str, Group], locks: Mapping[str, Lock]) -> tuple[Supply, ...]:
    """Return what each group provides, sorted by name; `locks` holds those of the groups that were solved."""
    return tuple(_supply(root, groups[name], locks.get(name)) for name in sorted(groups))


def assign(
    notebook: Notebook,
    *,
    config: Config,
    settings: NotebookSettings,
    supplied: Iterable[Supply],
    distributions: Distributions,
) -> Assignment:
    """Return a notebook's group and why, or the verdict that keeps it from running.

    Parameters
    ----------
    settings
        The notebook's own settings, all that match it merged.
    supplied
        The groups, as `supplies` returns them.
    distributions
        Returns the distributions that may provide a module.
    """
    supplied = sorted(supplied, key=lambda supply: supply.group)
    known = {supply.group for supply in supplied}
    barred = _barred(notebook, settings)
    if barred is not None:
        return barred
    named = _named(notebook, config, settings)
    if named is not None:
        group, why = named
        return _placed(notebook, group, why, known, configured=bool(config.source))
    if notebook.script_fault:
        return _rejected(notebook, notebook.script_fault, "its script block cannot be read")
    # A group that names its notebooks takes no others.
    open_to_all = [s for s in supplied if s.group not in config.groups or not config.groups[s.group].notebooks]
    if supplied and not open_to_all:
        names = " or ".join(s.group for s in supplied)
        reason = f"every group names its notebooks, and none names this one: add it to the `notebooks` of {names}"
        return _rejected(notebook, reason, "no group names it")
    return _by_imports(notebook, open_to_all, distributions)


def is_named(config: Config, notebook: Notebook, settings: NotebookSettings) -> bool:
    """Return whether the configuration or the notebook's metadata names its group."""
    return _named(notebook, config, settings) is not None


def missing_modules(
    notebook: Notebook, supply: Supply, distributions: Distributions, *, offered: Collection[Supply] = ()
) -> tuple[Import, ...]:
    """Return the imports of a notebook that a group does not provide, optional ones left out, one a package.

    A module that is not known, and that no group of `offered` provides either, is left to the run.
    """
    missing: dict[str, Import] = {}
    for wanted in notebook.imports:
        if wanted.optional or supply.provides(wanted.module, distributions):
            continue
        known = distributions(wanted.module)
        if known or any(other.provides(wanted.module, distributions) for other in offered):
            missing.setdefault(known[0] if known else wanted.module, wanted)
    return tuple(missing.values())


def _supply(root: Path, group: Group, lock: Lock | None) -> Supply:
    written = {name for r in group.requirements if (name := requirement_name(root, r.text))}
    names = {package.name for package in lock.packages} if lock else written | WITH_KERNEL | {KERNEL}
    return Supply(
        group=group.name,
        file=group.place,
        names=frozenset(names),
        direct=len(group.requirements),
        locked=lock is not None,
        modules=_local_modules(root, group),
    )


def _local_modules(root: Path, group: Group) -> dict[str, str]:
    """Return the modules of the local projects that a group asks for, each with the requirement."""
    found: dict[str, str] = {}
    for requirement in group.requirements:
        path = local_path(requirement.text)
        project = None if path is None else own_project(root / path)
        found.update(dict.fromkeys(() if project is None else project.modules, requirement.text))
    return found


def _barred(notebook: Notebook, settings: NotebookSettings) -> Assignment | None:
    """Return the assignment of a notebook that will not run in any group."""
    if notebook.fault:
        return _rejected(notebook, notebook.fault, "not a usable notebook", "failed")
    if settings.skip:
        return _rejected(notebook, settings.skip, "skipped by the configuration", "skipped")
    if notebook.language not in {"python", "ipython"}:
        reason = f"it is written in {notebook.language}; only Python notebooks are run"
        return _rejected(notebook, reason, f"written in {notebook.language}", "skipped")
    return None


def _named(notebook: Notebook, config: Config, settings: NotebookSettings) -> tuple[str, str] | None:
    """Return the group that the configuration or the metadata names, and which of them does."""
    source = config.source or "the configuration"
    if settings.group:
        return settings.group, f"set in {source}"
    for name in sorted(config.groups):
        for pattern in config.groups[name].notebooks:
            if glob_matches(notebook.path, pattern):
                return name, f"matches {pattern} in {source}"
    if notebook.group:
        return notebook.group, "set in its metadata"
    return None


def _placed(notebook: Notebook, group: str, why: str, known: set[str], *, configured: bool) -> Assignment:
    if group in known:
        return Assignment(notebook=notebook.path, group=group, why=why)
    have = f"the groups are {', '.join(sorted(known))}" if known else "there are no groups"
    # Without any configuration, files of that name may be anything.
    advice = f"name another, or add requirements/{group}.in" + ("" if configured else " and an empty envsolver.toml")
    return _rejected(notebook, f"its group {group} ({why}) does not exist; {have}: {advice}", why)


def _rejected(notebook: Notebook, reason: str, why: str, verdict: Verdict = "environment") -> Assignment:
    return Assignment(notebook=notebook.path, group=None, why=why, verdict=verdict, reason=reason)


def _by_imports(notebook: Notebook, supplied: Sequence[Supply], distributions: Distributions) -> Assignment:
    lacking = {s.group: missing_modules(notebook, s, distributions, offered=supplied) for s in supplied}
    serving = [supply for supply in supplied if not lacking[supply.group]]
    if not serving:
        return _unserved(notebook, supplied, lacking, distributions)
    best = _smallest(serving)
    return Assignment(notebook=notebook.path, group=best.group, why=_why(notebook, best, lacking, distributions))


def _smallest(serving: list[Supply]) -> Supply:
    """Return the smallest group; sizes of locks, unless one of the two groups has none."""
    locked = sorted((s for s in serving if s.locked), key=lambda s: (len(s.names), s.group))
    unlocked = sorted((s for s in serving if not s.locked), key=lambda s: (s.direct, s.group))
    if not locked or (unlocked and unlocked[0].direct < locked[0].direct):
        return unlocked[0]
    return locked[0]


def _why(notebook: Notebook, best: Supply, lacking: _Lacking, distributions: Distributions) -> str:
    """Return what decided for a group: the imports that the smaller groups lack."""
    found = [i.module for i in notebook.imports if not i.optional and best.provides(i.module, distributions)]
    needed = [module.split(".")[0] for module in found]
    if not needed:
        return "imports nothing that must be installed; the smallest group"
    decisive = {i.module.split(".")[0] for missing in lacking.values() for i in missing}
    # An import that only this group provides says most; else those that some other group lacks.
    alone = [m for m in dict.fromkeys(needed) if m in decisive]
    shown = alone or list(dict.fromkeys(needed))
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""  # noqa: PLR2004 three names fit in a column
    phrase = f"imports {', '.join(shown[:3])}{more}"
    return phrase if alone else f"{phrase}; the smallest group that has it"


def _unserved(
    notebook: Notebook, supplied: Sequence[Supply], lacking: _Lacking, distributions: Distributions
) -> Assignment:
    if not supplied:
        return _rejected(notebook, "there are no groups; add a requirements/<group>.in file", "no group")
    closest = min(supplied, key=lambda supply: (len(lacking[supply.group]), len(supply.names), supply.group))
    modules = [i.module for i in lacking[closest.group]]
    local = {top: text for supply in supplied for top, text in supply.modules.items()}
    tops = [module.split(".")[0] for module in modules]
    lines = [local.get(top) or next(iter(distributions(m)), top) for top, m in zip(tops, modules, strict=True)]
    reason = (
        f"no group provides all that it imports; the closest is {closest.group}, which lacks "
        f"{', '.join(_described(module, distributions) for module in modules)}: "
        f"add {' and '.join(f'`{line}`' for line in lines)} to {closest.file or f'the group {closest.group}'}"
    )
    return _rejected(notebook, reason, "no group fits")


def _described(module: str, distributions: Distributions) -> str:
    """Return a module's name, with the distribution that provides it where that differs."""
    top = module.split(".", maxsplit=1)[0]
    candidates = distributions(module)
    if not candidates or candidates[0] == top.lower().replace("_", "-"):
        return top
    return f"{top} ({candidates[0]})"
