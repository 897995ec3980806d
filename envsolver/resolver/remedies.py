"""What a person can do about a notebook that no environment serves, with the exact keys and lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from envsolver.core.notebooks import Requirement
from envsolver.resolver.demands import NotebookRequirements
from envsolver.resolver.requirement_text import local_path, requirement_name


def remedy(demand: NotebookRequirements, met: Sequence[Requirement], explanation: str, root: Path) -> str:
    """Return what to do about requirements of one notebook that cannot be installed.

    Parameters
    ----------
    met
        The few requirements that have no solution.
    explanation
        uv's words.
    """
    skipped = skipping(demand.notebook, root)
    if not met:
        return ""
    text = met[0].text
    module = demand.modules.get(text, "").split(".")[0]
    if len(met) > 1:
        other = "" if demand.scripted else "list versions that fit in a `# /// script` block of the notebook, "
        return f"change one of these lines, {other}or {skipped}"
    if local_path(text) is not None or " @ " in text:
        asked = f'"{text}"' if " @ " in text else text
        return f"see why `uv pip install {asked}` fails here, or {skipped}"
    if module and _unknown(text, explanation, root):
        line = f'`{_key(module)} = "<distribution>"`'
        return f"if another distribution provides it, add {line} to {_table('modules', root)}; otherwise {skipped}"
    if module:
        return f"choose a version with `%pip install` in the notebook, or a Python with `--python`, or {skipped}"
    return f"change that line, choose another Python with `--python`, or {skipped}"


def remedy_of_fault(demand: NotebookRequirements, root: Path) -> str:
    """Return what to do about a notebook whose wishes cannot even be read."""
    skipped = skipping(demand.notebook, root)
    if demand.scripted:
        return f"correct the block, or {skipped}"
    block = 'a `# /// script` block of the notebook, where an address may stand as "name @ git+https://…"'
    return f"list all that it needs in {block}, or {skipped}"


def skipping(notebook: str, root: Path) -> str:
    """Return how to leave a notebook out, as the end of a sentence."""
    return f'skip the notebook with `skip = "<reason>"` in {_table(f"notebook.{json.dumps(notebook)}", root)}'


def _unknown(text: str, explanation: str, root: Path) -> bool:
    """Return whether the registry knows nothing of what a requirement names."""
    said = " ".join(explanation.split())
    return f"{requirement_name(root, text)} was not found in the package registry" in said


def _table(name: str, root: Path) -> str:
    """Return a table of the configuration, and the file where it belongs."""
    if (root / "pyproject.toml").is_file() and not (root / "envsolver.toml").is_file():
        return f"[tool.envsolver.{name}] of pyproject.toml"
    return f"[{name}] of envsolver.toml"


def _key(module: str) -> str:
    return module if module.isascii() else json.dumps(module, ensure_ascii=False)
