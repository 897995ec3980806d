"""What `envsolver init` writes: the groups that were found, as files for a person to edit."""

from __future__ import annotations

import json
from collections.abc import Sequence

from envsolver.models import Assignment, Group

_COMMENT_WIDTH = 40


def initial_files(groups: Sequence[Group], assignments: Sequence[Assignment]) -> dict[str, str]:
    """Return the requirements file of each group by its path: one requirement a line, with who asks for it."""
    return {f"requirements/{group.name}.in": _requirements(group, assignments) for group in groups}


def initial_configuration(
    groups: Sequence[Group],
    assignments: Sequence[Assignment],
    *,
    notebooks: Sequence[str],
    python: Sequence[str],
    table: str = "tool.envsolver",
) -> str:
    """Return the configuration as TOML text.

    Parameters
    ----------
    notebooks
        Globs of the notebooks.
    python
        Versions of Python, the default first.
    table
        Where it stands: ``tool.envsolver`` in `pyproject.toml`; empty for `envsolver.toml`.
    """
    lines = [f"[{table}]"] if table else []
    lines += [f"notebooks = {_array(notebooks)}", f"python = {_array(python)}"]
    for group in groups:
        members = [a.notebook for a in assignments if a.group == group.name]
        lines += ["", f"[{_key(table, 'groups', group.name)}]", f"notebooks = {_array(members, spread=True)}"]
    for assignment in assignments:
        if assignment.verdict is not None:
            lines += ["", f"# {assignment.notebook}: {assignment.reason}".replace("\n", "\n# ")]
    return "\n".join(lines) + "\n"


def _requirements(group: Group, assignments: Sequence[Assignment]) -> str:
    count = sum(a.group == group.name for a in assignments)
    noun = "notebook" if count == 1 else "notebooks"
    lines = [f"# What {count} {noun} of group {group.name} ask for."]
    width = min(max((len(r.text) for r in group.requirements), default=0), _COMMENT_WIDTH)
    lines += [f"{r.text:<{width}}  # {r.origin}" for r in group.requirements]
    return "\n".join(lines) + "\n"


def _array(values: Sequence[str], *, spread: bool = False) -> str:
    quoted = [json.dumps(value, ensure_ascii=False) for value in values]
    if not spread or len(quoted) == 1:
        return f"[{', '.join(quoted)}]"
    return "[\n" + "".join(f"  {value},\n" for value in quoted) + "]"


def _key(*parts: str) -> str:
    *above, last = (part for part in parts if part)
    bare = last.replace("-", "").replace("_", "").isalnum() and last.isascii()
    return ".".join([*above, last if bare else json.dumps(last)])
