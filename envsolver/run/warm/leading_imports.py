"""What a notebook that never ran will surely import, and before anything else can matter to the import."""

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

_HARMLESS_MAGICS = ("matplotlib", "config", "load_ext", "reload_ext", "autoreload", "precision", "pip", "conda")
_HARMLESS_CALLS = frozenset(
    {
        *("print", "seed", "manual_seed", "filterwarnings", "simplefilter", "use", "display"),
        # How things are drawn and shown, which no import asks for.
        *("rc", "set_theme", "set_context", "set_style", "set_palette", "set_printoptions", "set_option"),
        "register_matplotlib_converters",
    }
)
_MISSING = frozenset({"ImportError", "ModuleNotFoundError"})
_TRIED = "?"  # before a name that the notebook can do without


def sure_imports(root: Path, notebook: Notebook, edits: Edits) -> tuple[str, ...]:
    """Return what the notebook's leading imports load, in their order.

    The leading imports are those that stand in a cell by themselves, under no condition but that they can be
    imported, with nothing before them that could change what they do: no call, no shell line, no edit of ours.

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
    """Yield each leading code cell's imports, up to the first cell that runs and holds anything else."""
    code = [(_source(cell), _tags(cell)) for cell in cells if cell["cell_type"] == "code"]
    for source, tags in compress(code, cells_run(code, skip_cells=edits.skip_cells, stop_at=edits.stop_at)):
        if any(text in source for text in edits.replace) or may_raise(source, tags):
            return
        names, whole = _of_cell(source)
        yield names
        if not whole:
            return


def _source(cell: dict[str, Any]) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def _tags(cell: dict[str, Any]) -> frozenset[str]:
    return frozenset((cell.get("metadata") or {}).get("tags") or ())


def _of_cell(source: str) -> tuple[list[str], bool]:
    """Return a cell's leading imports, and whether the cell holds nothing that bars the next."""
    text = "\n".join(_without_magic(line) for line in source.splitlines())
    try:
        body = parse_python(text).body
    except MalformedError:
        return [], False
    names: list[str] = []
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names += _names_in(node)
        elif isinstance(node, ast.Try) and _is_attempt(node):
            names += [_TRIED + name for tried in node.body for name in _names_in(tried)]
        elif not _is_harmless(node):
            return names, False
    return names, True


def _names_in(node: ast.stmt) -> list[str]:
    """Return what an import loads from elsewhere; nothing for another statement."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}:{alias.name}" for alias in node.names if alias.name != "*")]
    return []


def _is_attempt(node: ast.Try) -> bool:
    """Return whether a statement only tries imports, and does nothing that matters to others when one is missing."""
    caught = [getattr(handler.type, "id", "") for handler in node.handlers]
    # What is imported in its stead is another matter, and so is not taken.
    rest = [*(line for handler in node.handlers for line in handler.body), *node.orelse, *node.finalbody]
    harmless = all(isinstance(line, (ast.Import, ast.ImportFrom)) or _is_harmless(line) for line in rest)
    tried = all(_names_in(line) or _is_harmless(line) for line in node.body)
    return bool(caught) and set(caught) <= _MISSING and harmless and tried


def _without_magic(line: str) -> str:
    """Return a line, or for a harmless magic or install a statement that does nothing in its place."""
    words = line.strip().split()
    if not words:
        return line
    install = words[0] in {"!pip", "!pip3"} and words[1:2] == ["install"] and not set(line) & set("&|;<>$`")
    magic = words[0][:1] == "%" and words[0][1:] in _HARMLESS_MAGICS
    return line[: len(line) - len(line.lstrip())] + "pass" if install or magic else line


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
