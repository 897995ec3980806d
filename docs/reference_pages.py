"""The parts of the reference that are generated from the code, as Markdown; `conf.py` writes them at each build."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from envsolver.config.schema import reference_rows
from envsolver.core import errors
from envsolver.report.results_json import results_schema
from envsolver.run.job_arrays import ARRAYS
from envsolver.worker.kernel_env import SAFE, THREADS


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, ended by a newline."""
    lines = [titles, ["---" for _ in titles], *rows]
    # A bar ends a cell, even within code.
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def configuration() -> str:
    """Return the table of the configuration's keys."""
    return table(
        ("key", "type", "default", "what it says"),
        (
            (
                f"`{row.key}`",
                row.type,
                f"`{row.default}`" if row.default not in {"", "required"} else row.default,
                row.description,
            )
            for row in reference_rows()
        ),
    )


def results() -> str:
    """Return a table for each object in `results.json`."""
    schema = results_schema()
    objects = {"The file": schema, **{f"`{name}`": table for name, table in schema["$defs"].items()}}
    return "\n".join(f"## {title}\n\n{_object(node)}" for title, node in objects.items() if "properties" in node)


def _object(node: Mapping[str, Any]) -> str:
    required = node.get("required", ())
    rows = (
        (
            f"`{name}`",
            _type(field),
            "always" if name in required else "",
            " ".join(field.get("description", "").replace("``", "`").split()),
        )
        for name, field in node["properties"].items()
    )
    return table(("key", "type", "there", "what it says"), rows)


def _type(field: Mapping[str, Any]) -> str:
    """Name a field's type in JSON's words."""
    if "$ref" in field:
        return f"`{field['$ref'].rsplit('/', 1)[-1]}`"
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f'`"{value}"`' for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"array of {_type(field['items'])}"
    return str(field.get("type", "any"))


def exit_codes() -> str:
    """Return the table of exit codes, from the errors that end a command."""
    found = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.EnvsolverError)]
    texts = {0: "All is well.", 1: "A notebook did not pass, or a check found something; any other error as well."}
    for cls in found:
        texts.setdefault(cls.exit_code, (inspect.getdoc(cls) or "").partition("\n")[0])
    rows = ((f"{code}", text, _names(found, code)) for code, text in sorted(texts.items()))
    return table(("exit code", "meaning", "error"), rows)


def _names(found: Iterable[type[errors.EnvsolverError]], code: int) -> str:
    return ", ".join(f"`{cls.__name__}`" for cls in found if cls.exit_code == code)


def variables() -> str:
    """Return the lists of variables that pass to notebooks, or that tell a job its place in an array."""
    arrays = table(
        ("system", "number of the job", "how many"),
        ((a.system, f"`{a.index}`", f"`{a.count}`" if a.count else "") for a in ARRAYS),
    )
    return (
        f"## Passed to every notebook\n\n{_list(SAFE)}\n\n## Set to a notebook's cores\n\n{_list(THREADS)}\n\n"
        f"## Read by `--shard auto`\n\n{arrays}"
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each generated part."""
    for part in (configuration, results, exit_codes, variables):
        yield part.__name__.replace("_", "-"), part()


def write_pages(directory: Path) -> None:
    """Write each generated part as a file, touching only those that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        path = directory / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
