"""The repository's own demos as pages: the executed copies of its newest run, put beside the others by `conf.py`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reference_pages import table

NO_RUN = "This site was built without a run; `nox -s docs` makes one first.\n"


def executed(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the results of the newest run whose notebooks ran to their end and have an executed copy."""
    run = root / ".envsolver/runs/latest"
    if not (run / "results.json").is_file():
        return
    for result in json.loads((run / "results.json").read_text(encoding="utf-8"))["results"]:
        if result["status"] in {"passed", "cached"} and result["executed"] and (run / result["executed"]).is_file():
            yield {**result, "copy": run / result["executed"]}


def title(notebook: Path) -> str:
    """Return a notebook's first heading, or its name."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    lines = (line for cell in cells if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines())
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), notebook.stem)


def overview(results: list[dict[str, Any]]) -> str:
    """Return the table of the demos, and the list by which the site finds their pages."""
    if not results:
        return NO_RUN
    rows = [
        (
            f"[{title(each['copy'])}](generated/{each['page']}.ipynb)",
            each["group"],
            each["python"],
            f"{each['seconds']:.1f} s",
        )
        for each in results
    ]
    pages = "\n".join(f"generated/{each['page']}" for each in results)
    shown = table(("demo", "group", "Python", "time"), rows)
    return f"{shown}\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def write_demos(root: Path, directory: Path) -> None:
    """Write the executed copies and their overview into an emptied directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    found = sorted(executed(root), key=lambda result: result["notebook"])
    for each in found:
        each["page"] = Path(each["notebook"]).with_suffix("").as_posix().replace("/", "-")
        shutil.copyfile(each["copy"], directory / f"{each['page']}.ipynb")
    (directory / "overview.md").write_text(overview(found), encoding="utf-8")
