"""Tables of plain text, which serve a terminal and a pipe alike."""

from __future__ import annotations

from collections.abc import Sequence

import click

from envsolver.report.formatting import columns


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their content, the last one as long as it is.

    Parameters
    ----------
    header
        A word for each column; empty for one that needs none.
    rows
        Cells as text, as many in each row as the header has.
    """
    widths = [max(columns(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        cells = [cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
