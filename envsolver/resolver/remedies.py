"""What a person can do about a notebook that no environment serves, with the exact keys and lines."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from envsolver.core.advice import leaving_cell_out, skipping, table_place, trial_install
from envsolver.core.notebooks import UNDECLARED, Requirement
from envsolver.resolver.demands import NotebookRequirements
from envsolver.resolver.explanations import build_failure
from envsolver.resolver.locks import OUT_OF_REACH
from envsolver.resolver.requirement_text import address_of, local_path, requirement_name
from envsolver.resolver.solve_options import WITH

_LACKING = re.compile(r"No module named '([\w.]+)'")
_OF_ANOTHER_USER = re.compile(r"dubious ownership in repository at '([^']+)'")
_OTHER_PYTHON = re.compile(r"(?:depends? on|requires|satisfy) Python\s?([<>=!~][^\s]*)")


def remedy(demand: NotebookRequirements, met: Sequence[Requirement], explanation: str, root: Path, python: str) -> str:
    """Return what to do about requirements of one notebook that cannot be installed.

    Parameters
    ----------
    met
        The few requirements that have no solution.
    explanation
        uv's words.
    python
        The version of Python, as it was asked for.
    """
    if not met:
        return ""
    if any(requirement.origin.path == WITH for requirement in met):
        return f"change what `{WITH}` asks for"
    return f"{_cure(demand, met, explanation, root, python)}, or {skipping(demand.notebook, root)}"


def _cure(demand: NotebookRequirements, met: Sequence[Requirement], explanation: str, root: Path, python: str) -> str:
    """Return what to do beside skipping the notebook."""
    text = met[0].text
    module = demand.modules.get(text, "").split(".")[0]
    wanted = _OTHER_PYTHON.findall(" ".join(explanation.split()))
    if OUT_OF_REACH in explanation:
        cure = "connect to the network"
    elif wanted and "Python version (" in explanation:
        cure = f"run it on a Python {wanted[-1].rstrip('.,')} with `--python`"
    elif len(met) > 1:
        other = "" if demand.scripted else ", list versions that fit in a `# /// script` block of the notebook"
        cure = f"change one of these lines{other}"
    elif (place := local_path(text)) is not None and (lacking := _lacking(explanation)):
        file = Path(place, "pyproject.toml").as_posix()
        cure = f"name what provides {lacking}, beside what else builds it, in `requires` of [build-system] in {file}"
    elif place is not None or address_of(text) is not None:
        cure = remedy_of_build(text, explanation, python)
    elif module and _unknown(text, explanation, root):
        line = f'`{_key(module)} = "<distribution>"`'
        cure = f"add {line} to {table_place('modules', root)} if another distribution provides it"
    elif module:
        cure = "choose a version with `%pip install` in the notebook, or a Python with `--python`"
    else:
        cure = "change that line, choose another Python with `--python`"
    return cure


def remedy_of_build(text: str, explanation: str, python: str) -> str:
    """Return what to do about a requirement for which a build failed."""
    foreign = _OF_ANOTHER_USER.search(explanation)
    if foreign is not None:
        trusting = f"git config --global --add safe.directory {shlex.quote(foreign[1])}"
        return f"its files belong to another user, so git, which its build asks, needs `{trusting}`"
    return f"see why `{trial_install(text, python)}` fails here"


def _lacking(explanation: str) -> str:
    """Return the module that a build lacked; not one that was put in its place already, which did not help."""
    found = _LACKING.search(build_failure(explanation))
    return found[1] if found and found[1] not in UNDECLARED else ""


def remedy_of_fault(demand: NotebookRequirements, root: Path) -> str:
    """Return what to do about a notebook whose wishes cannot even be read."""
    skipped = skipping(demand.notebook, root)
    if demand.scripted:
        return f"correct the block, or {skipped}"
    return f"change that line, {leaving_cell_out(demand.notebook, root)}, or {skipped}"


def _unknown(text: str, explanation: str, root: Path) -> bool:
    """Return whether the registry knows nothing of what a requirement names."""
    said = " ".join(explanation.split())
    return f"{requirement_name(root, text)} was not found in the package registry" in said


def _key(module: str) -> str:
    return module if module.isascii() else json.dumps(module, ensure_ascii=False)
