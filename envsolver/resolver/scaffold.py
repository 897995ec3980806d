"""What `envsolver init` writes: the groups that were found, as files for a person to edit."""

from __future__ import annotations

import json
from collections.abc import Sequence

from envsolver.core.environments import Assignment, Group
from envsolver.core.globs import glob_escape
from envsolver.core.notebooks import Requirement
from envsolver.core.quantities import plural

_COMMENT_WIDTH = 40


def initial_files(groups: Sequence[Group], assignments: Sequence[Assignment]) -> dict[str, str]:
    """Return the requirements file of each group by its path: one requirement a line, with who asks for it.

    Bounds stand in a file of their own, which the group's names.
    """
    files = {f"requirements/{group.name}.in": _requirements(group, assignments) for group in groups}
    bounds = {f"requirements/{_bounds_file(group)}": _lines(group.constraints) for group in groups if group.constraints}
    return {**files, **{path: "\n".join([*lines, ""]) for path, lines in bounds.items()}}


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
        members = [glob_escape(a.notebook) for a in assignments if a.group == group.name]
        lines += ["", f"[{_key(table, 'groups', group.name)}]", f"notebooks = {_array(members, spread=True)}"]
    for assignment in unplaced(assignments):
        lines += ["", *_left_open(assignment, table)]
    return "\n".join(lines) + "\n"


def unplaced(assignments: Sequence[Assignment]) -> tuple[Assignment, ...]:
    """Return the notebooks that need a person's decision."""
    return tuple(a for a in assignments if a.verdict in {"environment", "failed"})


def _left_open(assignment: Assignment, table: str) -> list[str]:
    """Return why a notebook has no group, and a table that skips it once its comment marks are taken away."""
    reason = " ".join(assignment.reason.split())
    return [
        f"# {assignment.notebook}: {reason}",
        "# Add it to the `notebooks` of a group above, with what it needs in that group's file; or skip it:",
        f"# [{_key(table, 'notebook', assignment.notebook)}]",
        f"# skip = {json.dumps(_briefly(reason), ensure_ascii=False)}",
    ]


def _briefly(reason: str) -> str:
    """Return a reason without what to do about it."""
    return reason.rsplit(": ", 1)[0] if "skip the notebook with" in reason else reason


def _requirements(group: Group, assignments: Sequence[Assignment]) -> str:
    count = sum(a.group == group.name for a in assignments)
    asks = "asks" if count == 1 else "ask"
    lines = [f"# What {plural(count, 'notebook')} of group {group.name} {asks} for."]
    lines += group.options
    lines += [f"-c {_bounds_file(group)}"] if group.constraints else []
    return "\n".join([*lines, *_lines(group.requirements), ""])


def _lines(requirements: Sequence[Requirement]) -> list[str]:
    width = min(max((len(r.text) for r in requirements), default=0), _COMMENT_WIDTH)
    return [f"{r.text:<{width}}  # {r.origin}" for r in requirements]


def _bounds_file(group: Group) -> str:
    return f"{group.name}-bounds.txt"


def _array(values: Sequence[str], *, spread: bool = False) -> str:
    quoted = [json.dumps(value, ensure_ascii=False) for value in values]
    if not spread or len(quoted) == 1:
        return f"[{', '.join(quoted)}]"
    return "[\n" + "".join(f"  {value},\n" for value in quoted) + "]"


def _key(*parts: str) -> str:
    *above, last = (part for part in parts if part)
    bare = last.replace("-", "").replace("_", "").isalnum() and last.isascii()
    return ".".join([*above, last if bare else json.dumps(last)])
