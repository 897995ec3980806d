"""Read a notebook, and make the copy that is executed: what runs, what does not, what is replaced."""

from __future__ import annotations

import ast
import json
import keyword
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from envsolver.core.cell_rules import cells_run, is_skipped, may_raise
from envsolver.core.errors import UnusableNotebookError
from envsolver.core.files import write_atomically
from envsolver.core.jobs import Edits
from envsolver.core.parsing import MalformedError, parse_python
from envsolver.core.redaction import redact

# The library has only half its types, so what is called of it goes through these.
_nbformat: Any = nbformat
_v4: Any = nbformat.v4

PARAMETERS_TAG = "parameters"
_INJECTED_TAG = "injected-parameters"
_BEFORE_TAG = "injected-before"
_MINOR = 5  # the revision that the executed copy is written in


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedCell:
    """What becomes of one cell of the executed copy."""

    number: int
    """Number in the original file, counted from 1 over all cells; an injected cell has its neighbour's, and
    the one before the first 0."""
    run: bool
    """Whether it is executed."""
    may_raise: bool = False
    """Whether its author expects an exception."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedNotebook:
    """The executed copy, in nbformat 4, and what becomes of each of its cells."""

    notebook: NotebookNode
    cells: tuple[PreparedCell, ...]

    @property
    def runs(self) -> bool:
        """Whether any cell is executed."""
        return any(cell.run for cell in self.cells)


def read(path: Path) -> NotebookNode:
    """Read a notebook of any format that has been in use, as nbformat 4.

    Raises
    ------
    UnusableNotebookError
        When it is none.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise UnusableNotebookError(f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UnusableNotebookError(f"is not valid JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise UnusableNotebookError("is not a notebook: it has no nbformat number")
    if data["nbformat"] >= 4:  # noqa: PLR2004  # nbformat 4 is the one with cells at the top
        _check_cells(data)
    try:
        notebook: NotebookNode = _nbformat.convert(_nbformat.reader.reads(json.dumps(data)), 4)
    except Exception as error:
        # The library raises whatever the malformed content leads to.
        raise UnusableNotebookError(f"is not a valid notebook: {type(error).__name__}: {error}") from error
    _check_cells(notebook)
    return notebook


def prepare(notebook: NotebookNode, edits: Edits) -> PreparedNotebook:
    """Apply the job's edits and the cells' tags.

    A text of `replace` must stand in a code cell of the file; `skip_cells` and `stop_at` look at the file's text too.

    Raises
    ------
    UnusableNotebookError
        When a setting does not fit the notebook; all such faults at once.
    """
    faults = _replace_faults(notebook, edits.replace)
    cells = _prepare_cells(notebook, edits)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for old, new in edits.replace.items():
                cell.source = cell.source.replace(old, new)
            cell.outputs, cell.execution_count = [], None
    faults += _parameter_faults(notebook, cells, edits.parameters)
    if faults:
        raise UnusableNotebookError("; ".join(faults))
    if edits.parameters:
        _inject(notebook, cells, edits.parameters)
    if edits.before:
        notebook.cells.insert(0, _v4.new_code_cell(edits.before, metadata={"tags": [_BEFORE_TAG]}))
        cells.insert(0, PreparedCell(number=0, run=True))
    _settle_format(notebook)
    return PreparedNotebook(notebook=notebook, cells=tuple(cells))


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook, without credentials in addresses; the file is there complete, or not at all."""
    write_atomically(path, redact(_v4.writes(notebook)) + "\n")


def stream_output(name: str, text: str) -> NotebookNode:
    """Return a stream output for the executed copy."""
    output: NotebookNode = _v4.new_output("stream", name=name, text=text)
    return output


def error_output(ename: str, evalue: str, traceback: list[str]) -> NotebookNode:
    """Return an error output for the executed copy."""
    output: NotebookNode = _v4.new_output("error", ename=ename, evalue=evalue, traceback=traceback)
    return output


def _prepare_cells(notebook: NotebookNode, edits: Edits) -> list[PreparedCell]:
    code = ((cell.source, _tags(cell)) for cell in notebook.cells if cell.cell_type == "code")
    run = cells_run(code, skip_cells=edits.skip_cells, stop_at=edits.stop_at)
    return [
        PreparedCell(
            number=number,
            run=cell.cell_type == "code" and next(run),
            may_raise=may_raise(cell.source, _tags(cell)),
        )
        for number, cell in enumerate(notebook.cells, start=1)
    ]


def _inject(notebook: NotebookNode, cells: list[PreparedCell], parameters: Mapping[str, object]) -> None:
    after = _tagged(notebook)
    source = "\n".join(["# Parameters", *(f"{name} = {_literal(value)}" for name, value in parameters.items())])
    cell = _v4.new_code_cell(source, metadata={"tags": [_INJECTED_TAG]})
    place = 0 if after is None else after + 1
    # A cell that comes after `stop-at` does not run, and neither do its parameters.
    run = after is None or cells[after].run or is_skipped(notebook.cells[after].source, _tags(notebook.cells[after]))
    notebook.cells.insert(place, cell)
    cells.insert(place, PreparedCell(number=1 if after is None else after + 1, run=run))


def _literal(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _tags(cell: NotebookNode) -> list[Any]:
    tags = cell.metadata.get("tags", [])
    return tags if isinstance(tags, list) else []


def _replace_faults(notebook: NotebookNode, replace: Mapping[str, str]) -> list[str]:
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    missing = [text for text in replace if not any(text in source for source in sources)]
    return [f"the setting `replace` names a text that no code cell holds: {text!r}" for text in missing]


def _parameter_faults(
    notebook: NotebookNode, cells: Sequence[PreparedCell], parameters: Mapping[str, object]
) -> list[str]:
    wrong = [name for name in parameters if not name.isidentifier() or keyword.iskeyword(name)]
    faults = [f"the setting `parameters` names what is no Python variable: {name!r}" for name in wrong]
    after = _tagged(notebook)
    later = [(cell.number, notebook.cells[cell.number - 1].source) for cell in cells if cell.run]
    for name in parameters:
        number = _set_again([cell for cell in later if after is None or cell[0] > after + 1], name)
        if number:
            tag = f"tag that cell `{PARAMETERS_TAG}`, after which the value is set, or " if after is None else ""
            cure = f"{tag}change its line by `replace`"
            faults.append(f"the setting `parameters` has no effect on {name}, which cell {number} sets anew: {cure}")
    return faults


def _set_again(cells: Iterable[tuple[int, str]], name: str) -> int:
    """Return the number of the cell that sets a variable before any looks at it; 0 for none of which that is sure."""
    for number, source in cells:
        if name not in source:
            continue
        try:
            statements = parse_python(source).body
        except MalformedError:  # it has IPython's lines, which may look at it
            return 0
        for statement in statements:
            mentions = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            if name in mentions:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                        read = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
                        return 0 if name in read else number
                return 0
    return 0


def _tagged(notebook: NotebookNode) -> int | None:
    """Return the index of the cell that is tagged for parameters."""
    tagged = (i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and PARAMETERS_TAG in _tags(cell))
    return next(tagged, None)


def _check_cells(data: Mapping[str, Any]) -> None:
    cells = data.get("cells")
    if not isinstance(cells, list):
        raise UnusableNotebookError("is not a valid notebook: it has no list of cells")
    for number, cell in enumerate(cells, start=1):
        fault = _cell_fault(cell)
        if fault:
            raise UnusableNotebookError(f"is not a valid notebook: cell {number} {fault}")


def _cell_fault(cell: object) -> str:
    if not isinstance(cell, dict):
        return "is not an object"
    if not isinstance(cell.get("cell_type"), str):
        return "has no cell_type"
    source = cell.get("source")
    if not (isinstance(source, str) or (isinstance(source, list) and all(isinstance(line, str) for line in source))):
        return "has no source text"
    return "" if isinstance(cell.get("metadata", {}), dict) else "has metadata that is not an object"


def _settle_format(notebook: NotebookNode) -> None:
    """Fill in what the current format requires, so that every reader takes the executed copy."""
    if not isinstance(notebook.get("metadata"), dict):
        notebook.metadata = _nbformat.from_dict({})
    notebook.nbformat_minor = _MINOR
    for index, cell in enumerate(notebook.cells):
        cell.setdefault("metadata", _nbformat.from_dict({}))
        if not isinstance(cell.metadata.get("tags", []), list):
            del cell.metadata["tags"]
        if not isinstance(cell.get("id"), str) or not cell.id:
            cell["id"] = f"cell-{index}"
