"""Measure runs on the three nodes of a Slurm on this machine, beside runs on the machine without it.

Run as ``PYTHONPATH=tests:tests/tools python tests/benchmark/on_slurm.py [overhead|death|array] [how many notebooks]``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from fakes import until
from nodes_project import NAME, environ, run_id
from slurm_cluster import ClusterProject, Slurm, cluster, mark_of

from envsolver.worker.processes import JOB_MARK, RUN_MARK

NOTEBOOKS = 200
RUNS = 2
"""How often each is timed; the first time, nothing is known of the notebooks."""

MIDDLE = 8
"""How many of 24 verdicts are there when a node is killed."""


def main() -> None:
    """Measure what the command line names, or all."""
    names = [text for text in sys.argv[1:] if not text.isdigit()]
    count = next((int(text) for text in sys.argv[1:] if text.isdigit()), NOTEBOOKS)
    measures: dict[str, Callable[[ClusterProject], None]] = {
        "overhead": lambda project: overhead(project, count),
        "death": death,
        "array": array,
    }
    for name, measure in measures.items():
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="slurm-") as place:
            folder = Path(place)
            for part in ("cluster", "project", "cache"):
                (folder / part).mkdir()
            with cluster(folder / "cluster") as slurm:
                measure(ClusterProject(slurm, folder / "project", folder / "cache"))


def overhead(project: ClusterProject, count: int) -> None:
    """Time trivial notebooks, and print what each took."""
    for number in range(count):
        project.notebook(f"n{number:03d}.ipynb", f"x = {number}", f"assert x == {number}")
    sync(project)
    for _ in range(RUNS):
        for profile in ("local", NAME):
            print(f"{profile}: {timed(project, profile) / count:.3f} s for each notebook")
        print(f"first result {first_result(project, project.slurm):.1f} s after its block started")


def death(project: ClusterProject) -> None:
    """Kill a node in the middle of a run; print how much later than without that it ends."""
    project.three_groups(seconds=4)
    sync(project)
    timed(project, "local", failing=True)
    expected = project.verdicts()
    undisturbed = timed(project, NAME, failing=True)
    print(f"24 notebooks on three nodes: {undisturbed:.1f} s")
    print(f"the same verdicts as on one machine: {project.verdicts() == expected}")
    begun = time.monotonic()
    started = project.start("--rerun", "--profile", NAME)
    until(lambda: seen(project.root / ".envsolver/runs/latest") >= MIDDLE)
    run, node = run_id(started), until(lambda: busy(project.slurm))[0]
    project.slurm.kill_node(node)
    try:
        printed, _ = started.communicate(timeout=240)
        seconds = time.monotonic() - begun
    finally:
        project.slurm.revive_node(node)
    again = sum(result["attempts"] - 1 for result in project.results().values())
    print(f"with {node} killed in the middle: {seconds:.1f} s, {again} notebooks of 4 s ran again")
    print(f"the same verdicts as on one machine: {project.verdicts() == expected}; left: {project.left(run)}")
    if project.verdicts() != expected:
        print(printed)


def array(project: ClusterProject) -> None:
    """Run the same in a job array of which a node dies, and merge; print whether the verdicts are the same."""
    project.three_groups(seconds=4)
    sync(project)
    timed(project, "local", failing=True)
    expected = project.verdicts()
    begun = time.monotonic()
    # A part whose node died runs again, in a folder of its own.
    part = "run --rerun --shard auto --run-dir shards/$SLURM_ARRAY_TASK_ID-${SLURM_RESTART_COUNT:-0}"
    numbers = project.batch(part, "--array=0-2", "--requeue")
    merge = project.batch("merge shards -o merged", f"--dependency=afterany:{numbers}")
    until(lambda: sum(map(seen, project.root.glob("shards/*"))) >= MIDDLE)
    node = until(lambda: busy(project.slurm))[0]
    project.slurm.kill_node(node)
    project.slurm.revive_node(node)
    until(lambda: merge in project.slurm.jobs("COMPLETED,FAILED"), 400)
    print(f"a job array of three, {node} killed in the middle: {time.monotonic() - begun:.1f} s")
    found = project.verdicts("merged")
    print(f"the same verdicts as on one machine: {found == expected}")
    print({name: (found.get(name), verdict) for name, verdict in expected.items() if found.get(name) != verdict})


def seen(directory: Path) -> int:
    """Return how many verdicts a run that goes on has written down."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((directory / "results.json").read_text())
        return len(found["results"]) if found["state"] == "running" else 0
    return 0


def busy(slurm: Slurm) -> list[str]:
    """Return the nodes on which a notebook runs now."""
    found = [environ(process) for process in psutil.process_iter()]
    marks = {each.get(RUN_MARK) for each in found if JOB_MARK in each}
    conf = slurm.environ["SLURM_CONF"]
    of_nodes = [each for each in found if each.get("SLURM_CONF") == conf and "SLURMD_NODENAME" in each]
    return sorted({each["SLURMD_NODENAME"] for each in of_nodes if mark_of(each) in marks})


def sync(project: ClusterProject) -> None:
    """Build the environments."""
    subprocess.run([sys.executable, "-m", "envsolver", "sync"], cwd=project.root, env=project.environ, check=True)


def timed(project: ClusterProject, profile: str, *, failing: bool = False) -> float:
    """Return how long a run of all notebooks takes, seconds; some of them may fail."""
    begun = time.monotonic()
    started = project.start("--rerun", "--profile", profile)
    printed, _ = started.communicate()
    seconds = time.monotonic() - begun
    if set(project.verdicts().values()) - ({"failed"} if failing else set()) != {"passed"}:
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
