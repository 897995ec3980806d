"""What a notebook that never ran will surely import, and before anything else can matter to the import."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from envsolver.models import Edits, Notebook

_HARMLESS_MAGICS = ("matplotlib", "config", "load_ext", "reload_ext", "autoreload", "precision", "pip", "conda")
_HARMLESS_CALLS = frozenset({"print", "seed", "filterwarnings", "simplefilter", "use", "display"})
_STOPPING_TAGS = frozenset({"skip-execution", "raises-exception"})


def sure_imports(root: Path, notebook: Notebook, edits: Edits) -> tuple[str, ...]:
    """Return what the notebook's leading imports load, in their order.

    The leading imports are those that stand in a cell by themselves, under no condition, with nothing before them
    that could change what they do: no call, no shell line, no edit of ours.

    Returns
    -------
    tuple
        Names of modules, such as ``scipy``, and ``scipy:stats`` for what a ``from`` takes out of one. What is local
        to the project or optional is not among them.
    """
    required = {found.module for found in notebook.imports if not found.optional}
    try:
        cells = json.loads(Path(root, *PurePosixPath(notebook.path).parts).read_text(encoding="utf-8"))["cells"]
        names = [name for cell in _running(cells, edits) for name in cell]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(dict.fromkeys(name for name in names if name.partition(":")[0] in required))


def _running(cells: list[dict[str, Any]], edits: Edits) -> Iterator[list[str]]:
    """Give each leading code cell's imports, up to the first that holds anything else."""
    marks = [*edits.replace, *edits.skip_cells, *filter(None, [edits.stop_at])]
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        tags = set((cell.get("metadata") or {}).get("tags") or ())
        if any(mark in source for mark in marks) or tags & _STOPPING_TAGS:
            return
        names, whole = _of_cell(source)
        yield names
        if not whole:
            return


def _of_cell(source: str) -> tuple[list[str], bool]:
    """Return a cell's leading imports, and whether the cell holds nothing that bars the next."""
    lines = source.splitlines()
    harmless = [_is_harmless_magic(line) for line in lines]
    text = "\n".join("" if skip else line for line, skip in zip(lines, harmless, strict=True))
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return [], False
    names: list[str] = []
    for node in body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}:{alias.name}" for alias in node.names if alias.name != "*")]
        elif not _is_harmless(node):
            return names, False
    return names, True


def _is_harmless_magic(line: str) -> bool:
    words = line.strip().split()
    return bool(words) and words[0][:1] == "%" and words[0][1:] in _HARMLESS_MAGICS


def _is_harmless(node: ast.stmt) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return not node.decorator_list
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Expr)):
        plain = all(isinstance(target, ast.Name) for target in getattr(node, "targets", ()))
        return plain and all(_is_harmless_call(part) for part in ast.walk(node) if isinstance(part, ast.Call))
    return isinstance(node, ast.Pass)


def _is_harmless_call(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in {"filterwarnings", "simplefilter"}:
        return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == "ignore"
    return name in _HARMLESS_CALLS
