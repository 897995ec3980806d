"""What to do about a module that a cell missed: add what provides it, or show where in the project it lies."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from envsolver.core.folders import stray_modules
from envsolver.core.jobs import Job
from envsolver.core.notebooks import UNDECLARED

_MISSING = re.compile(r"No module named '([\w.]+)'(?:; '([\w.]+)' is not a package)?")
_NAME = r"[`'\"]?([A-Za-z0-9][\w.-]*(?:\[[\w, -]+\])?)"
_ABSENT = re.compile(
    r"(?<![\w.-])[`'\"]?(?!(?i:an?|the|it|they|this|that|which|one|both|required|package|library|module|dependency)\b)"
    r"([A-Za-z][\w.-]*)[`'\"]? (?:package |library |module )?(?:is not|must be|needs to be|isn't) installed\b"
)
"""A library's own words for a module, or a package, that is not there."""
_ADVICE = (
    re.compile(
        r"\b(?:pip3?|conda|mamba)\s+install\s+"
        rf"(?:-(?!r\b|-requirement)\S+\s+(?:[\w./-]*forge\s+)?)*{_NAME}(?![\w+:/@-])"
    ),
    re.compile(r"\b[Mm]issing (?:optional )?dependency:? [`'\"]([A-Za-z0-9][\w-]*)(?:\.[\w.]+)?[`'\"]"),
    re.compile(rf"^(?:Please )?[Ii]nstall (?!(?:it|them|this|that|one|both) ){_NAME}[`'\"]? (?:to|for|in order to) "),
)
"""Advice such as ``conda install -c conda-forge numba``, ``Missing optional dependency 'x'`` or ``Install s3fs to``.

It has to name one package, and no file or address.
"""


def missing_module_advice(job: Job, ename: str, evalue: str, traceback: str) -> str:
    """Say what to do when a module was missing, as the end of a sentence; empty for any other error.

    Where a library tells it in its own words, the cause of its error names the module, or the command that it advises;
    both together say it whatever the error is called.
    """
    found = _MISSING.match(evalue.strip()) or _MISSING.search(traceback)
    place = job.binding.requirements_place
    advised = next(filter(None, (form.search(evalue) for form in _ADVICE)), None)
    if ename not in {"ImportError", "ModuleNotFoundError"} and not (advised and _MISSING.search(traceback)):
        return ""
    if found is None:
        absent = _ABSENT.search(evalue)
        added = _asked(advised[1], job) if advised else f"what provides {absent[1]}" if absent else ""
        return f"; if it should be there, add {added} to {place}" if added else ""
    module, hidden = found[1], found[2]
    if hidden:
        return f"; if {hidden} should be a package, rename the file {hidden.rpartition('.')[2]}.py that hides it"
    package, _, part = module.partition(".")
    if part:
        return f"; {package} is there without it: if another version of what provides it has that, bound it in {place}"
    return _path_advice(module, job) or f"; if it should be there, add {_provider(module)} to {place}"


def _provider(module: str) -> str:
    return UNDECLARED.get(module, f"what provides {module}")


def _asked(advised: str, job: Job) -> str:
    """Return the requirement that an advised install stands for: the project's own package is the one at hand."""
    name, bracket, extras = advised.rstrip(".").partition("[")
    own = job.binding.project.split(" ")[0]
    return f"-e .{bracket}{extras}" if re.sub(r"[-_.]+", "-", name).lower() == own else name + bracket + extras


def _path_advice(module: str, job: Job) -> str:
    """Name the only folder of the project in which a module lies, and how a notebook reaches it; else nothing."""
    root, folder = Path(job.root), Path(job.root, job.notebook).parent
    try:
        strays = stray_modules(root).get(module, ())
    except OSError:
        return ""
    above = [place for place in folder.parents if place.is_relative_to(root) and _holds(place, module, folder)]
    places = {*above, *(path.parent for path in strays)} - {folder}
    if len(places) != 1:
        return ""
    found = places.pop()
    shown = found.relative_to(root).as_posix()
    where = "the project's root folder" if found == root else f"the project's folder {shown}"
    line = f"import sys; sys.path.insert(0, {json.dumps(Path(os.path.relpath(found, folder)).as_posix())})"
    return (
        f"; {module} lies in {where}: if that is meant, put `{line}` ahead of its import, "
        f"else add {_provider(module)} to {job.binding.requirements_place}"
    )


def _holds(place: Path, module: str, notebook_folder: Path) -> bool:
    """Return whether a folder above a notebook has a module; in a package, only the one that holds the notebook."""
    if (place / "__init__.py").is_file() and not notebook_folder.is_relative_to(place / module):
        return False
    return (place / f"{module}.py").is_file() or (place / module / "__init__.py").is_file()
