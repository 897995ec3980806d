"""A project whose notebooks run on the nodes of a cluster, for tests of all kinds of clusters."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
from fakes import PATIENCE, until
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.worker.processes import JOB_MARK, RUN_MARK

NAME = "nodes"
"""What its profile is called."""

VERSIONS = {"old": "24.0", "middle": "24.2", "new": "25.0"}
"""Groups that exclude each other, by which version of packaging they want."""


def environ(process: psutil.Process) -> dict[str, str]:
    """Return the variables of a process; none when it is gone."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def run_id(started: subprocess.Popen[str]) -> str:
    """Return the mark of a run that goes on, which its own processes carry."""
    children = psutil.Process(started.pid).children(recursive=True)
    return next(mark for each in children if (mark := environ(each).get(RUN_MARK, "")))


SHORT_MARGIN = (
    "import envsolver.run.parsl.executor as e; e.MARGIN_SECONDS, e.TEMPLATE_SECONDS = 3.0, 0.0; "
    "from envsolver.cli import main; main()"
)


def stop_worker(mark: str) -> None:
    """Stop the worker of a notebook's kernel that was started cold, as a file system does that hangs."""
    found = [each for each in psutil.process_iter() if environ(each).get(JOB_MARK, "").startswith(f"{mark}/")]
    first = [each for each in found if each.ppid() not in {other.pid for other in found}]
    for worker in {each.ppid() for each in first}:
        psutil.Process(worker).send_signal(signal.SIGSTOP)


def waits_at_first(flag: Path) -> tuple[str, ...]:
    """Return the cells of a notebook that says that it runs, and ends only when it is run again."""
    begin = f"import os, time, pathlib; flag = pathlib.Path('{flag}'); again = flag.exists()"
    return begin, f"again or flag.write_text(os.environ['{RUN_MARK}'])", "again or time.sleep(600)"


class NodesProject:
    """A project on a cluster.

    Parameters
    ----------
    environ
        The variables of its runs.
    profile
        The table of its profile, one line a key.
    """

    def __init__(self, root: Path, environ: dict[str, str], profile: str) -> None:
        self.root = root
        self.started: list[subprocess.Popen[str]] = []
        self.command = [sys.executable, "-m", "envsolver"]
        self.environ = environ
        self._profile = profile
        self.group("base", "# only the kernel\n")
        self.configure()

    def idle(self) -> bool:
        """Return whether no block is left."""
        raise NotImplementedError

    def configure(self, extra: str = "", **changes: str) -> None:
        """Write the profile, with other values for some of its keys, and further text before it."""
        lines = [line for line in self._profile.splitlines() if line.partition(" =")[0] not in changes]
        lines += [f"{key} = {value}" for key, value in changes.items()]
        (self.root / "envsolver.toml").write_text("\n".join([extra, *lines, ""]))

    def group(self, name: str, requirements: str) -> None:
        path = self.root / "requirements" / f"{name}.in"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(requirements)

    def notebook(self, name: str, *cells: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), path)

    def three_groups(self, seconds: int = 1) -> None:
        """Write 24 notebooks of three groups that exclude each other; one of each group fails."""
        for name, version in VERSIONS.items():
            self.group(name, f"packaging=={version}\n")
            for number in range(7):
                cell = f"import packaging, time; time.sleep({seconds}); assert packaging.__version__ == '{version}'"
                self.notebook(f"{name}/{number}.ipynb", cell)
            self.notebook(f"{name}/bad.ipynb", "1 / 0")
        self.configure("".join(f'[groups.{name}]\nnotebooks = ["{name}/**"]\n' for name in VERSIONS))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [*self.command, "run", "--profile", NAME, *arguments],
            cwd=self.root,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(started)
        return started

    def end(self) -> None:
        """End the runs that a test that failed has left."""
        for each in self.started:
            if each.poll() is None:
                each.terminate()
                with suppress(subprocess.TimeoutExpired):
                    each.communicate(timeout=PATIENCE)
                each.kill()

    def run(self, *arguments: str) -> str:
        """Run notebooks and return what is printed; no block is left in the queue then."""
        return self.finish(self.start(*arguments))

    def finish(self, started: subprocess.Popen[str]) -> str:
        printed, _ = started.communicate(timeout=600)
        until(self.idle)
        return printed

    def left(self, run: str) -> list[psutil.Process]:
        """Return the processes that a run's blocks started and that are still there."""
        return [each for each in psutil.process_iter() if environ(each).get(RUN_MARK, "").startswith(f"{run}-")]

    def results(self, run: str = ".envsolver/runs/latest") -> dict[str, dict[str, Any]]:
        found = json.loads((self.root / run / "results.json").read_text())
        return {result["notebook"]: result for result in found["results"]}

    def verdicts(self, run: str = ".envsolver/runs/latest") -> dict[str, str]:
        return {name: result["status"] for name, result in self.results(run).items()}
