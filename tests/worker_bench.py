"""A project in which notebooks are written and run by a worker."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes import with_options

from envsolver.core.jobs import Binding, Job, Limits
from envsolver.core.results import Result
from envsolver.worker.run_job import run_job

Cell = str | tuple[str, list[str]]


def document(*cells: Cell, **metadata: Any) -> dict[str, Any]:
    made = []
    for cell in cells:
        source, tags = cell if isinstance(cell, tuple) else (cell, [])
        made.append(
            {
                "cell_type": "code",
                "source": source,
                "metadata": {"tags": tags},
                "outputs": [{"output_type": "stream", "name": "stdout", "text": "stale"}],
                "execution_count": 7,
            }
        )
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}


@dataclass
class Bench:
    """A project and a run's folder, in which a notebook is written and run."""

    root: Path
    run_dir: Path
    prefix: Path
    run_id: str
    count: list[int] = field(default_factory=list)

    def run(self, *cells: Cell, notebook: str = "nb/one.ipynb", **options: Any) -> Result:
        return self.run_text(json.dumps(document(*cells)), notebook=notebook, **options)

    def run_text(self, text: str, *, notebook: str = "nb/one.ipynb", **options: Any) -> Result:
        path = self.root / notebook
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.count.append(1)
        job = Job(
            id=f"job{len(self.count)}",
            notebook=notebook,
            group="core",
            python="3.11",
            root=str(self.root),
            run_dir=str(self.run_dir),
            run_id=self.run_id,
            limits=Limits(timeout=120.0, cell_timeout=100.0),
            binding=Binding(prefix=str(self.prefix), requirements_place="requirements/core.in"),
        )
        return run_job(with_options(job, **options))

    def executed(self, result: Result) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.run_dir / result.executed).read_text(encoding="utf-8"))
        return read

    def text_of(self, result: Result, cell: int = 0) -> str:
        outputs = self.executed(result)["cells"][cell]["outputs"]
        return "".join("".join(out.get("text", out.get("data", {}).get("text/plain", ""))) for out in outputs)
