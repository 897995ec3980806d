"""What a notebook asks for by itself: its PEP 723 block, else its install lines and its imports."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.notebooks import NOT_INSTALLED, Notebook, Origin, Requirement
from envsolver.resolver.assignment import WITH_KERNEL, Distributions
from envsolver.resolver.declared import names_alike
from envsolver.resolver.groups import canonical
from envsolver.resolver.requirement_text import build_backend, parse, project_name


@dataclass(frozen=True, kw_only=True, slots=True)
class NotebookRequirements:
    """What one notebook asks for.

    Attributes
    ----------
    requirements
        In canonical form, each with the cell and line that it comes from, sorted.
    requires_python
        Versions of Python that its script block names; None for all.
    fault
        Why it cannot be served, as a sentence; empty when it can.
    modules
        The module whose import asks for a requirement, by the requirement's text.
    scripted
        Whether a script block says what it asks for.
    """

    notebook: str
    requirements: tuple[Requirement, ...] = ()
    requires_python: str | None = None
    fault: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)
    scripted: bool = False

    @property
    def items(self) -> frozenset[str]:
        """The requirements' texts: notebooks with the same ones share an environment."""
        return frozenset(r.text for r in self.requirements)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnProject:
    """The package that the project itself distributes; environments hold it editable where that can be.

    Attributes
    ----------
    name
        Its distribution's normalised name.
    modules
        The top-level modules that it provides.
    text
        The requirement that stands for it.
    """

    name: str
    modules: frozenset[str]
    text: str = "-e ."

    def holds(self, path: str) -> bool:
        """Return whether a file, relative to the project's root, is part of the package."""
        parts = path.removeprefix("src/").split("/")
        return len(parts) > 1 and parts[0] in self.modules


_NOT_EDITABLE = frozenset({"mesonpy"})
"""Build backends whose editable packages build themselves anew when imported, with tools that are gone by then."""


def own_project(root: Path) -> OwnProject | None:
    """Return the package that the project in `root` distributes, or None when it has none."""
    name = project_name(root)
    if name is None:
        return None
    found = {name.replace("-", "_")}
    source = root / "src"
    for place in (source, root):
        packages = {file.parent.name for file in place.glob("*/__init__.py")} - NOT_INSTALLED
        # Beside a `src` directory, packages at the root are no part of the distribution.
        if place == source or not source.is_dir():
            found.update(packages)
        found.update(file.stem for file in place.glob("*.py") if file.stem not in {"setup", "conftest", "noxfile"})
    text = "." if build_backend(root) in _NOT_EDITABLE else "-e ."
    return OwnProject(name=name, modules=frozenset(found), text=text)


def demand_of(
    notebook: Notebook,
    *,
    distributions: Distributions,
    own: OwnProject | None = None,
    declared: Mapping[str, str] | None = None,
) -> NotebookRequirements:
    """Return what a notebook asks for.

    Only what somebody named is asked for: the notebook itself, the project's files, or the table of well-known
    modules. An import that none of them knows asks for nothing: whatever provides it is there when the notebook runs,
    or the import fails.

    Parameters
    ----------
    distributions
        Gives requirements for the distributions that are known to provide a module, best first.
    own
        The project's own package.
    declared
        What the project's files name, by distribution.
    """
    fault = notebook.script_fault or " ".join(notebook.refused)
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
    return _demand(notebook, [*asked, *(requirement for requirement, _ in imported)], None, modules)


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
            kept.setdefault(text, Requirement(text=text, origin=requirement.origin))
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
        # What the package's own files import is among its dependencies, which it says itself.
        elif not wanted.optional and not (own is not None and own.holds(wanted.origin.path)):
            text = asked_for(wanted.module)
            if text is not None:
                yield Requirement(text=text, origin=wanted.origin), wanted.module


def _distribution_for(
    module: str, *, installed: Collection[str], named: Mapping[str, str], distributions: Distributions
) -> str | None:
    """Return the requirement that an import asks for; None when the install lines answer it, or nobody knows it."""
    known = {_name(text): text for text in distributions(module)}
    alike = names_alike(module)
    if not set(installed).isdisjoint([*known, *alike]):
        # A bound that the table gives counts whatever the notebook installs.
        return next((text for name, text in known.items() if name in installed and text != name), None)
    # Of several that provide it, the one that is named is meant; what only the project knows is as the project says.
    chosen = next((text for name, text in known.items() if name in named), next(iter(known.values()), None))
    return chosen or next((named[name] for name in alike if name in named), None)


def _owned(requirement: Requirement, own: OwnProject | None) -> Requirement:
    """Put the project's own package, as it is here, in the place of a release of it."""
    if own is None:
        return requirement
    if _name(requirement.text) == own.name:
        return Requirement(text=own.text, origin=requirement.origin)
    if re.match(r"-e \.(?:$|\[)", requirement.text):
        return Requirement(text=own.text + requirement.text.removeprefix("-e ."), origin=requirement.origin)
    return requirement


def _name(text: str) -> str:
    parsed = parse(text)
    return str(canonicalize_name(parsed.name)) if parsed else text


def merged(demands: list[NotebookRequirements]) -> tuple[Requirement, ...]:
    """Return what several notebooks ask for together, each once, with the first place that asks for it."""
    kept: dict[str, Origin] = {}
    for demand in sorted(demands, key=lambda d: d.notebook):
        for requirement in demand.requirements:
            kept.setdefault(requirement.text, requirement.origin)
    return tuple(Requirement(text=text, origin=kept[text]) for text in sorted(kept))
