"""What a notebook asks for by itself: its PEP 723 block, else its install lines and its imports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from envsolver.core.notebooks import UNDECLARED, Notebook, Origin, Requirement
from envsolver.resolver.assignment import WITH_KERNEL, Distributions
from envsolver.resolver.declared import names_alike
from envsolver.resolver.groups import canonical
from envsolver.resolver.own_project import OwnProject
from envsolver.resolver.requirement_text import BOUND, local_path, requirement_name


@dataclass(frozen=True, kw_only=True, slots=True)
class NotebookRequirements:
    """What one notebook asks for."""

    notebook: str
    requirements: tuple[Requirement, ...] = ()
    """In canonical form, each with the cell and line that it comes from, sorted."""
    requires_python: str | None = None
    """Versions of Python that its script block names; None for all."""
    fault: str = ""
    """Why it cannot be served, as a sentence; empty when it can."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """The module whose import asks for a requirement, by the requirement's text."""
    scripted: bool = False
    """Whether a script block says what it asks for."""

    @property
    def items(self) -> frozenset[str]:
        """The requirements' texts: notebooks with the same ones share an environment."""
        return frozenset(r.text for r in self.requirements)


def demand_of(
    notebook: Notebook,
    *,
    distributions: Distributions,
    own: OwnProject | None = None,
    declared: Mapping[str, str] | None = None,
) -> NotebookRequirements:
    """Return what a notebook asks for.

    Only what is named somewhere is asked for: the notebook itself, the project's files, or the table of well-known
    modules. An import that none of them knows asks for nothing: whatever provides it is there when the notebook runs,
    or the import fails.

    Parameters
    ----------
    distributions
        Returns requirements for the distributions that are known to provide a module, best first.
    own
        The project's own package.
    declared
        What the project's files name, by distribution.
    """
    # What a script block lists is all that is needed.
    fault = notebook.script_fault or ("" if notebook.script is not None else " ".join(notebook.refused))
    if fault:
        return NotebookRequirements(notebook=notebook.path, fault=fault, scripted=bool(notebook.script_fault))
    if notebook.script is not None:
        asked = [_owned(r, own) for r in notebook.script.dependencies]
        return _demand(notebook, asked, notebook.script.requires_python)
    asked = [_owned(r, own) for r in notebook.installs]
    installed = {_name(r.text) for r in notebook.installs}
    meant = {**(declared or {}), **{_name(r.text): _name(r.text) for r in notebook.guarded_installs}}
    wanted = partial(_distribution_for, installed=installed, named=meant, distributions=distributions)
    imported = [(_owned(r, own), module) for r, module in _imported(notebook, wanted, own)]
    modules = {canonical(requirement.text): module for requirement, module in reversed(imported)}
    extras = [] if own is None else own.extras_for(notebook.own_imports, partial(_providers, distributions))
    undeclared = [*_undeclared(notebook, distributions), *_unsaid(notebook, declared or {}, distributions, own)]
    return _demand(notebook, [*asked, *(r for r, _ in imported), *extras, *undeclared], None, modules)


def _undeclared(notebook: Notebook, distributions: Distributions) -> Iterator[Requirement]:
    """Yield what the project's own package needs and mostly does not say."""
    for wanted in notebook.own_imports:
        if wanted.module in UNDECLARED and not wanted.optional:
            yield from (Requirement(text=text, origin=wanted.origin) for text in distributions(wanted.module)[:1])


def _unsaid(
    notebook: Notebook, named: Mapping[str, str], distributions: Distributions, own: OwnProject | None
) -> Iterator[Requirement]:
    """Yield what the own package imports and the project's files name, where it has no list of dependencies itself.

    So it is with projects that are installed with conda alone, whose `environment.yml` is that list.
    """
    if own is None or own.metadata is None or own.metadata.dependencies:
        return
    for wanted in notebook.own_imports:
        provider = next((name for name in _providers(distributions, wanted.module) if name in named), None)
        if provider is not None and not wanted.optional:
            yield Requirement(text=named[provider], origin=wanted.origin)


def _demand(
    notebook: Notebook,
    asked: list[Requirement],
    requires_python: str | None,
    modules: Mapping[str, str] | None = None,
) -> NotebookRequirements:
    kept: dict[str, Requirement] = {}
    for requirement in asked:
        text = canonical(requirement.text)
        if text not in WITH_KERNEL:
            kept.setdefault(text, replace(requirement, text=text))
    return NotebookRequirements(
        notebook=notebook.path,
        requirements=tuple(kept[text] for text in sorted(kept)),
        requires_python=requires_python,
        modules=modules or {},
        scripted=notebook.script is not None,
    )


def _imported(
    notebook: Notebook, asked_for: Callable[[str], str | None], own: OwnProject | None
) -> Iterator[tuple[Requirement, str]]:
    """Yield a requirement for each import that asks for one, with the module."""
    for wanted in notebook.imports:
        if own is not None and wanted.module.split(".")[0] in own.modules:
            yield Requirement(text=own.text, origin=wanted.origin), wanted.module
        elif not wanted.optional and not _of_own_file(wanted.origin, notebook, own):
            text = asked_for(wanted.module)
            if text is not None:
                yield Requirement(text=text, origin=wanted.origin), wanted.module


def _of_own_file(origin: Origin, notebook: Notebook, own: OwnProject | None) -> bool:
    """Return whether a module of the own package holds an import: it says in its dependencies what it needs.

    A notebook that lies in the package's folder is no part of it, and neither is a module beside it that it imports.
    """
    if own is None or origin.cell is not None or not own.holds(origin.path):
        return False
    beside = origin.path.startswith(f"{PurePosixPath(notebook.path).parent}/")
    return not (beside and own.holds(notebook.path))


def _distribution_for(
    module: str, *, installed: Collection[str], named: Mapping[str, str], distributions: Distributions
) -> str | None:
    """Return the requirement that an import asks for; None when the install lines answer it, or it is unknown."""
    known = {_name(text): text for text in distributions(module)}
    alike = names_alike(module)
    if not set(installed).isdisjoint([*known, *alike]):
        # A bound of the table counts whatever the notebook installs.
        return next((text for name, text in known.items() if name in installed and text != name), None)
    # Of several that provide it, the one that is named is meant; what only the project knows is as the project says.
    chosen = next((text for name, text in known.items() if name in named), next(iter(known.values()), None))
    return chosen or next((named[name] for name in alike if name in named), None)


def _providers(distributions: Distributions, module: str) -> tuple[str, ...]:
    """Return the names of the distributions that may provide a module."""
    return (*map(_name, distributions(module)), *names_alike(module))


def _owned(requirement: Requirement, own: OwnProject | None) -> Requirement:
    """Put the project's own package, as it is here, in the place of a release of it, or of its repository."""
    text = None if own is None else own.spelt(requirement.text)
    return requirement if text is None else Requirement(text=text, origin=requirement.origin)


def _name(text: str) -> str:
    # Where a local project is, and so what it is called, is unknown here.
    return text if text.startswith(BOUND) or local_path(text) else requirement_name(Path(), text) or text


def merged(demands: list[NotebookRequirements]) -> tuple[Requirement, ...]:
    """Return what several notebooks ask for together, each once, with the first place that asks for it."""
    kept: dict[str, Requirement] = {}
    for demand in sorted(demands, key=lambda d: d.notebook):
        for requirement in demand.requirements:
            first = kept.setdefault(requirement.text, requirement)
            if not first.hashes:
                kept[requirement.text] = replace(first, hashes=requirement.hashes)
    return tuple(kept[text] for text in sorted(kept))
