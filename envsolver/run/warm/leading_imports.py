"""What a notebook that never ran will import in its first cells.

It is what a template is worth having ahead, no more: whether a kernel is given it, is found out in that kernel.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import Any

from envsolver.core.cell_rules import cells_run, may_raise
from envsolver.core.jobs import Edits
from envsolver.core.notebooks import Notebook
from envsolver.core.parsing import ODD_INPUT, MalformedError, parse_json, parse_python, read_text

_TRIED = "?"  # before a name that the notebook can do without


def leading_imports(root: Path, notebook: Notebook, edits: Edits) -> tuple[str, ...]:
    """Return what the notebook's leading imports load, in their order.

    They stand in the first cells, each of which holds an import under no condition but that it can be imported. Later
    ones are left out: when something stands against them, all that ran before would have to run again.

    Returns
    -------
    tuple
        Names of modules, such as ``scipy``, and ``scipy:stats`` for what a ``from`` takes out of one. What is local
        to the project is not among them; what is only tried is, and may be missing.
    """
    required = {found.module for found in notebook.imports if not found.optional}
    required |= {_TRIED + found.module for found in notebook.imports}
    try:
        cells = parse_json(read_text(Path(root, *PurePosixPath(notebook.path).parts)))["cells"]
        names = [name for cell in _leading(cells, edits) for name in cell]
    except (*ODD_INPUT, KeyError, TypeError, AttributeError):
        return ()
    sure = (name.removeprefix(_TRIED) for name in names if name.partition(":")[0] in required)
    return tuple(dict.fromkeys(sure))


def _leading(cells: list[dict[str, Any]], edits: Edits) -> Iterator[list[str]]:
    """Yield the imports of each leading code cell, up to the first that runs and imports nothing."""
    code = [(_source(cell), _tags(cell)) for cell in cells if cell["cell_type"] == "code"]
    for source, tags in compress(code, cells_run(code, skip_cells=edits.skip_cells, stop_at=edits.stop_at)):
        if any(text in source for text in edits.replace) or may_raise(source, tags):
            return
        try:
            statements = parse_python("\n".join(map(_without_escape, source.splitlines()))).body
        except MalformedError:
            return
        names = [name for statement in statements for name in _names_in(statement)]
        yield names
        if not names and not all(isinstance(statement, ast.Pass) for statement in statements):
            return


def _source(cell: dict[str, Any]) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def _tags(cell: dict[str, Any]) -> frozenset[str]:
    return frozenset((cell.get("metadata") or {}).get("tags") or ())


def _names_in(node: ast.stmt) -> list[str]:
    """Return what a statement imports from elsewhere, whatever else may be."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}:{alias.name}" for alias in node.names if alias.name != "*")]
    if isinstance(node, ast.Try):
        return [_TRIED + name for tried in node.body for name in _names_in(tried)]
    return []


def _without_escape(line: str) -> str:
    """Return a line, or a statement that does nothing in the place of a magic or a shell line."""
    code = line.lstrip()
    return line[: len(line) - len(code)] + "pass" if code[:1] in ("%", "!") else line
