"""The README's table of the configuration, made from the settings' types. As a program, it writes the table anew."""

from __future__ import annotations

from pathlib import Path

from envsolver.config.schema import ReferenceRow, reference_rows

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- configuration -->", "<!-- /configuration -->"
TITLES = ("key", "type", "default", "what it says")


def table(rows: tuple[ReferenceRow, ...]) -> str:
    """Return the rows as a Markdown table, ended by a newline."""
    lines = [" | ".join(TITLES), " | ".join("---" for _ in TITLES)]
    for row in rows:
        default = f"`{row.default}`" if row.default and row.default != "required" else row.default
        cells = (f"`{row.key}`", row.type, default, row.description)
        # A bar ends a cell, even within code.
        lines.append(" | ".join(cell.replace("|", "\\|") for cell in cells))
    return "".join(f"| {line} |\n" for line in lines)


def with_table(readme: str) -> str:
    """Return the README with the table of today between its marks.

    Raises
    ------
    ValueError
        The marks are not there, once each, in their order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise ValueError(f"{README.name} must hold {BEGIN} and then {END}, once each")
    return f"{before}{BEGIN}\n\n{table(reference_rows())}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
