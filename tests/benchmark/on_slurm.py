"""Time trivial notebooks on the three nodes of a Slurm on this machine, and on the machine without it.

Run as ``PYTHONPATH=tests:tests/tools python tests/benchmark/on_slurm.py [how many notebooks]``.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nodes_project import NAME
from slurm_cluster import ClusterProject, Slurm, cluster

NOTEBOOKS = 200
RUNS = 2
"""How often each is timed; the first time, nothing is known of the notebooks."""


def main() -> None:
    """Time both and print what each took."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOKS
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        for part in ("cluster", "project", "cache"):
            (folder / part).mkdir()
        with cluster(folder / "cluster") as slurm:
            project = ClusterProject(slurm, folder / "project", folder / "cache")
            for number in range(count):
                project.notebook(f"n{number:03d}.ipynb", f"x = {number}", f"assert x == {number}")
            subprocess.run(
                [sys.executable, "-m", "envsolver", "sync"], cwd=project.root, env=project.environ, check=True
            )
            for _ in range(RUNS):
                for profile in ("local", NAME):
                    print(f"{profile}: {timed(project, profile) / count:.3f} s for each notebook")
            print(f"first result {first_result(project, slurm):.0f} s after its block started")


def timed(project: ClusterProject, profile: str) -> float:
    """Return how long a run of all notebooks takes, seconds."""
    begun = time.monotonic()
    started = project.start("--rerun", "--profile", profile)
    printed, _ = started.communicate()
    seconds = time.monotonic() - begun
    if set(project.verdicts().values()) != {"passed"}:
        raise SystemExit(printed)
    return seconds


def first_result(project: ClusterProject, slurm: Slurm) -> float:
    """Return how long after the last run's first block had started its first notebook had its verdict, seconds."""
    blocks = slurm.ask("squeue", "--states=all", "--noheader", "--format=%i %S").splitlines()
    count = len({result["worker"].split("/")[1] for result in project.results().values()})
    starts = [dt.datetime.fromisoformat(line.split()[1]) for line in sorted(blocks, key=_job_id)[-count:]]
    ends = [
        dt.datetime.fromisoformat(result["started"]) + dt.timedelta(seconds=result["seconds"])
        for result in project.results().values()
    ]
    return min(ends).timestamp() - min(starts).timestamp()


def _job_id(line: str) -> int:
    return int(line.split(maxsplit=1)[0])


if __name__ == "__main__":
    main()
