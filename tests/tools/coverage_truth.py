"""Compares what `envsolver run --cov` measures with what `coverage run` sees of the same notebooks, one by one.

Each notebook of a run is executed again by nbclient, in the environment that the run had it in, by a new kernel under
`coverage run`; child processes measure as coverage's documentation says, by a `sitecustomize` of their own. Lines and
branches must be equal, file by file, notebook by notebook:

    PYTHONPATH=tests python tests/tools/coverage_truth.py --source src COPY_OF_A_PROJECT

Notebooks are executed where they lie, so name a copy. Those whose runs differ by chance are said to differ.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

CONFIG = """[run]
branch = true
parallel = true
data_file = {data}
source =
    {source}
disable_warnings = no-data-collected, module-not-imported, module-not-measured, no-ctracer
concurrency = thread, multiprocessing
sigterm = true
patch = _exit, fork
"""
READ = """import json, sys, coverage
found = {}
for name in sys.argv[1:]:
    data = coverage.CoverageData(name)
    data.read()
    for file in data.measured_files():
        lines, arcs = found.setdefault(file, ([], []))
        lines.extend(data.lines(file))
        arcs.extend(data.arcs(file) or ())
print(json.dumps(found))
"""
CELL_SECONDS = 600
RUN_SECONDS = 3600

Lines = dict[str, tuple[set[int], set[tuple[int, int]]]]
"""The lines and the arcs of each file, by its path from the project's root."""


@dataclass(kw_only=True)
class Comparison:
    """One notebook, measured twice."""

    notebook: str
    status: str
    warm: bool
    found: Lines
    truth: Lines

    @property
    def differences(self) -> list[str]:
        """What only one of the two has seen."""
        told = []
        for name in sorted(self.found.keys() | self.truth.keys()):
            here, there = (each.get(name, (set(), set())) for each in (self.found, self.truth))
            for kind, more, less in (
                ("lines", here[0] - there[0], there[0] - here[0]),
                ("branches", here[1] - there[1], there[1] - here[1]),
            ):
                if more or less:
                    told.append(f"{name}: {kind} only with envsolver {_few(more)}, only without {_few(less)}")
        return told

    def __str__(self) -> str:
        """Say what was compared, and what differs."""
        lines, arcs = (sum(len(value[index]) for value in self.found.values()) for index in (0, 1))
        size = f"{len(self.found)} files, {lines} lines, {arcs} branches"
        verdict = "\n  ".join(["differs", *self.differences]) if self.differences else "equal"
        return f"{self.notebook} ({self.status}, {'warm' if self.warm else 'cold'}): {size}: {verdict}"


@dataclass(kw_only=True)
class MeasuredTwice:
    """A project whose notebooks are measured by a run, and by `coverage run`.

    Parameters
    ----------
    root
        Its directory.
    source
        The packages, and the directories from its root, that are measured; empty for its whole.
    cache
        Where envsolver keeps environments.
    work
        A directory for what is needed in between.
    """

    root: Path
    source: Sequence[str]
    cache: Path
    work: Path
    results: list[dict[str, Any]] = field(default_factory=list)
    """Of the notebooks that ran, as in `results.json`."""
    prefixes: dict[str, Path] = field(default_factory=dict)
    """Where the run's environments are, by their keys."""

    @property
    def config(self) -> Path:
        """The configuration of coverage that both use."""
        return self.work / "coverage.ini"

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Have envsolver run notebooks with coverage, and remember what came of them."""
        self._configure(self.work / "data")
        environ = {**os.environ, "ENVSOLVER_CACHE_DIR": str(self.cache), **changes}
        command = [sys.executable, "-m", "envsolver", "run", *arguments, "--cov", "--cov-config", str(self.config)]
        done = subprocess.run(
            command, cwd=self.root, env=environ, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
        )
        run = json.loads((self.root / ".envsolver/runs/latest/results.json").read_text())
        self.results = [each for each in run["results"] if each["started"]]
        self.prefixes = {each["key"]: Path(each["prefix"]) for each in run["environments"]}
        return done

    def compare(self) -> Iterable[Comparison]:
        """Execute the run's notebooks one by one, and yield what both have seen of each."""
        for result in self.results:
            measured = self.root / ".envsolver/runs/latest/coverage" / Path(result["log"]).stem
            prefix = self.prefixes[result["environment"]]
            truth = self._execute(prefix / "bin" / "python", result["notebook"])
            yield Comparison(
                notebook=result["notebook"],
                status=result["status"],
                warm=result["warm"],
                found=self._lines(prefix, measured),
                truth=self._lines(prefix, truth),
            )

    def _configure(self, data: Path) -> None:
        sources = [str(self.root / name) if (self.root / name).is_dir() else name for name in self.source]
        text = CONFIG.format(data=data, source="\n    ".join(sources or [str(self.root)]))
        self.config.write_text(text, encoding="utf-8")

    def _execute(self, python: Path, notebook: str) -> Path:
        """Execute a notebook where it lies, its kernel under `coverage run`; return the folder with the data."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        self._configure(folder / "data.x")
        (folder / "sitecustomize.py").write_text("import coverage\ncoverage.process_startup()\n")
        under = ["coverage", "run", f"--rcfile={self.config}", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = folder / "kernels" / "truth"
        spec.mkdir(parents=True)
        library = [str(folder), str(self._overlay(python))]
        known = {
            "argv": [str(python), "-m", *under],
            "display_name": "truth",
            "language": "python",
            # The kernel itself is under `coverage run`; what it starts is told by the variable of coverage.
            "env": {"PYTHONPATH": os.pathsep.join(library), "COVERAGE_PROCESS_START": str(self.config)},
        }
        (spec / "kernel.json").write_text(json.dumps(known))
        specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")])
        manager = AsyncKernelManager(kernel_name="truth", kernel_spec_manager=specs)
        place = self.root / notebook
        client = nbclient.NotebookClient(
            _read(place),
            km=manager,
            timeout=CELL_SECONDS,
            resources={"metadata": {"path": str(place.parent)}},
            shutdown_kernel="graceful",
        )
        client.owns_km = True  # so that it ends the kernel, which saves what it measured
        with contextlib.suppress(nbclient.exceptions.CellExecutionError, nbclient.exceptions.DeadKernelError):
            client.execute()
        return folder

    def _overlay(self, python: Path) -> Path:
        """Return where coverage is installed for a Python: the smallest environment that has it."""
        places = (self.cache / "environments").glob(f"*/env/lib/{_library(python)}/site-packages")
        return min((each for each in places if (each / "coverage").is_dir()), key=lambda each: len([*each.iterdir()]))

    def _lines(self, prefix: Path, folder: Path) -> Lines:
        files = sorted(map(str, folder.glob("data.*")))
        environ = {**os.environ, "PYTHONPATH": str(self._overlay(prefix / "bin" / "python"))}
        command = [str(prefix / "bin" / "python"), "-c", READ, *files]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=300)
        return {
            os.path.relpath(name, self.root): ({line for line in lines if line > 0}, set(map(tuple, arcs)))
            for name, (lines, arcs) in json.loads(done.stdout).items()
            if lines
        }


def _read(notebook: Path) -> nbformat.NotebookNode:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its format, which is not what is looked at
        return nbformat.read(notebook, as_version=4)  # type: ignore[no-any-return]


def _few(found: set[Any]) -> str:
    return f"{len(found)} {sorted(found)[:8]}" if found else "none"


def _library(python: Path) -> str:
    return next((python.parents[1] / "lib").glob("python3.*")).name


def main() -> int:
    """Compare, and return how many notebooks differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a copy of a project")
    parser.add_argument("--source", action="append", default=[], help="what is measured; default: the whole project")
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("ENVSOLVER_CACHE_DIR", "cache")))
    parser.add_argument("arguments", nargs="*", help="notebooks and options of `envsolver run`, last, after `--`")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    twice = MeasuredTwice(root=options.root.resolve(), source=options.source, cache=options.cache.resolve(), work=work)
    try:
        sys.stdout.write(twice.run(*options.arguments).stdout)
        different = 0
        for each in twice.compare():
            sys.stdout.write(f"{each}\n")
            sys.stdout.flush()
            different += bool(each.differences)
    finally:
        shutil.rmtree(work)
    sys.stdout.write(f"{different} of {len(twice.results)} differ\n")
    return different


if __name__ == "__main__":
    sys.exit(min(main(), 1))
