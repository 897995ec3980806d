"""Read PEP 723 ``# /// script`` blocks out of a notebook's cells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from envsolver.core.notebooks import Origin, Requirement, Script
from envsolver.core.parsing import MalformedError, parse_requirement, parse_specifiers, parse_toml

# The expression of PEP 723's reference, for blocks of the type that we read.
_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s?)+?)^# ///$")


def read_script(cells: Iterable[tuple[Origin, str]]) -> tuple[Script | None, str | None]:
    """Read the block of a notebook whose cells come with their places.

    Returns
    -------
    tuple
        The block or None, and why it could not be read or None.
    """
    blocks: list[tuple[Origin, str]] = []
    for origin, source in cells:
        if "# /// script" not in source:
            continue
        for found in _BLOCK.finditer(source.replace("\r\n", "\n")):
            line = source.count("\n", 0, found.start()) + 1
            place = Origin(path=origin.path, cell=origin.cell, line=line)
            blocks.append((place, found["content"]))
    if not blocks:
        return None, None
    if len(blocks) > 1:
        places = " and ".join(str(place) for place, _ in blocks)
        return None, f"more than one script block: {places}"
    return _parsed(*blocks[0])


def _parsed(place: Origin, content: str) -> tuple[Script | None, str | None]:
    """Parse one block; `place` is its first line."""
    text = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in content.splitlines())
    try:
        data = parse_toml(text)
    except MalformedError as error:
        # Its lines are counted from the cell's first line rather than the block's.
        line = error.line and error.line + (place.line or 0)
        said = MalformedError(error.phrase, line=line, column=error.column)
        return None, f"{place}: the script block is not valid TOML: {said}"
    faults = [*_faults(data)]
    if faults:
        return None, f"{place}: the script block {'; '.join(faults)}"
    dependencies = tuple(
        Requirement(text=item, origin=_item_origin(place, text, item)) for item in data.get("dependencies", [])
    )
    return Script(dependencies=dependencies, requires_python=data.get("requires-python")), None


def _faults(data: dict[str, Any]) -> Iterable[str]:
    """Say what is wrong with a block's values."""
    dependencies = data.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(item, str) for item in dependencies):
        yield "must have a list of texts as `dependencies`"
        dependencies = []
    for item in dependencies:
        try:
            parse_requirement(item)
        except MalformedError:
            yield f'holds "{item}", which is not a requirement such as numpy>=1.26 (PEP 508)'
    requires = data.get("requires-python", "")
    try:
        parse_specifiers(str(requires))  # no value of another type reads as one
    except MalformedError:
        yield f'holds requires-python = "{requires}", which is not a set of specifiers such as ">=3.10" (PEP 440)'


def _item_origin(place: Origin, text: str, item: str) -> Origin:
    """Return where a dependency stands, or the block's place when it is written with escapes."""
    for offset, line in enumerate(text.split("\n"), start=1):
        if f'"{item}"' in line or f"'{item}'" in line:
            return Origin(path=place.path, cell=place.cell, line=(place.line or 0) + offset)
    return place
