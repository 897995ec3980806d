"""Plan and schedule 10,000 made-up notebooks on 100 made-up nodes, in simulated time, and print what came of it.

Run as ``PYTHONPATH=tests:tests/tools python tests/benchmark/simulated.py [how many notebooks] [how many nodes]``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from simulated_cluster import World, simulate

from envsolver.core.environments import Assignment, Group, Interpreter, Target
from envsolver.core.notebooks import Import, Notebook, Origin
from envsolver.core.settings import Config, GroupSettings
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.resolution import Resolution
from envsolver.run.scheduler.policy import sort_jobs
from envsolver.run.warm.plan import plan_templates


def main() -> None:
    """Print as JSON how long planning took, and how the simulated run compares with what the waits allow."""
    given = [int(text) for text in sys.argv[1:]]
    world = World(**dict(zip(("jobs", "nodes"), given, strict=False)))
    planned = plan(world)
    begun = time.process_time()
    found = simulate(world)
    print(
        json.dumps(
            {
                "planned_seconds": round(planned, 2),
                "scheduled_seconds": round(time.process_time() - begun, 2),
                "simulated_seconds": round(found.seconds, 1),
                "over_bound": round(found.seconds / found.bound, 3),
                "handed_back": found.handed_back,
                "lost_attempts": found.lost,
                "verdicts": Counter(result.status for result in found.outcome.results),
                "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
    )


def plan(world: World) -> float:
    """Plan as many notebooks: jobs, their order, and templates of warm kernels; return the processor's seconds."""
    python = Interpreter(request="3.11", executable="/p/python3.11", version="3.11.7", platform="cpython-linux-x86_64")
    names = [f"g{number}" for number in range(world.environments)]
    notebooks = {path: _notebook(path, number) for number in range(world.jobs) for path in [f"demos/n{number}.ipynb"]}
    resolution = Resolution(
        notebooks=notebooks,
        groups={name: Group(name=name, file=f"requirements/{name}.in") for name in names},
        interpreters={"3.11": python},
        locks={},
        faults={},
        assignments=tuple(
            Assignment(notebook=path, group=names[number % len(names)], why="") for number, path in enumerate(notebooks)
        ),
    )
    config = Config(root=Path("/project"), groups={name: GroupSettings() for name in names})
    begun = time.process_time()
    jobs, _ = plan_jobs(
        JobDefaults(config=config, run_id="a" * 32, run_dir=Path("/r")), resolution, resolution.assignments
    )
    ordered = sort_jobs(jobs, {}, "longest")
    keys = {Target(name, "3.11"): f"key-{name}" for name in names}
    plan_templates(ordered, notebooks, keys=keys, known={}, workers=world.nodes * world.workers)
    return time.process_time() - begun


def _notebook(path: str, number: int) -> Notebook:
    """Return a notebook that imports one to four packages."""
    modules = ("numpy", "scipy", "torch", "pandas")[: 1 + number % 4]
    return Notebook(
        path=path, imports=tuple(Import(module=module, origin=Origin(path=path, cell=1, line=1)) for module in modules)
    )


if __name__ == "__main__":
    main()
