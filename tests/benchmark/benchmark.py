"""Time envsolver against what people use today: same notebooks, same environment, interleaved, in one run.

Ratios are taken within each repetition, since a machine's speed drifts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from chart import chart
from contenders import CONTENDERS, NotPassedError, Setting, envsolver
from suites import SUITES, TOOLS


def main() -> None:
    """Read what to time, time it, and write a table and `benchmark.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", action="append", choices=[*SUITES], help="repeatable; default: all")
    parser.add_argument("--contender", action="append", choices=[*CONTENDERS], help="repeatable; default: all")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path, default=Path(".envsolver/benchmark.json"))
    chosen = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "workers": chosen.workers, "suites": {}}
    for suite in chosen.suite or SUITES:
        with tempfile.TemporaryDirectory(prefix="envsolver-benchmark-") as directory:
            setting = prepare(suite, Path(directory), chosen.workers)
            report["suites"][suite] = measure(setting, chosen.contender or [*CONTENDERS], chosen.repeat)
        print(table(suite, report["suites"][suite]), flush=True)
        # Written after each suite, so that one that is interrupted leaves what it has.
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps(report, indent=2))
        chosen.output.with_suffix(".svg").write_text(chart(report))
    print(f"written to {chosen.output} and {chosen.output.with_suffix('.svg')}")


def machine() -> dict[str, Any]:
    """Say what the times were taken on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def prepare(suite: str, project: Path, workers: int) -> Setting:
    """Write a suite's project, build its one environment, and run everything once so that caches are warm."""
    packages = SUITES[suite](project)
    (project / "requirements").mkdir()
    (project / "requirements" / "bench.in").write_text("\n".join([*TOOLS, *packages]) + "\n")
    (project / "envsolver.toml").write_text('notebooks = ["notebooks/**/*.ipynb"]\n')
    subprocess.run([sys.executable, "-m", "envsolver", "sync"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    probe = Setting(project=project, prefix=Path(), workers=workers)
    for _ in range(2):  # then history knows what the notebooks take, and what their kernels can have ahead
        envsolver(probe)
    results = json.loads((project / ".envsolver/runs/latest/results.json").read_text())
    (prefix,) = {environment["prefix"] for environment in results["environments"]}
    return Setting(project=project, prefix=Path(prefix), workers=workers)


def measure(setting: Setting, names: list[str], repeat: int) -> dict[str, Any]:
    """Time the contenders in turn, `repeat` times over; the time of one that failed is None."""
    seconds: dict[str, list[float | None]] = {name: [] for name in names}
    for repetition in range(repeat):
        for name in names if repetition % 2 == 0 else names[::-1]:
            began = time.perf_counter()
            try:
                CONTENDERS[name](setting)
            except NotPassedError as error:
                seconds[name].append(None)
                print(f"  {name}: failed\n{error}", file=sys.stderr, flush=True)
                continue
            took = time.perf_counter() - began
            seconds[name].append(took)
            print(f"  {name}: {took:.1f} s", file=sys.stderr, flush=True)
    envsolver(setting)
    work = kernel_work(setting.project)
    bound = max(*work, sum(work) / setting.workers)
    return {"notebooks": len(work), "lower_bound": bound, "seconds": seconds}


def kernel_work(project: Path) -> list[float]:
    """Return the seconds that each notebook's warm kernel takes, from its start to its last cell, by the last run.

    Of the starts it is the usual one, since the first that a template serves waits for the template's imports.
    """
    results = json.loads((project / ".envsolver/runs/latest/results.json").read_text())["results"]
    start = median(result["start_seconds"] for result in results)
    return [start + sum(cell["seconds"] for cell in result["cells"]) for result in results]


def bound_of(measured: dict[str, Any]) -> float:
    """Return the shortest time that a suite can take, seconds."""
    return float(measured["lower_bound"])


def table(suite: str, measured: dict[str, Any]) -> str:
    """Lay out one suite's times: minimum, median, maximum, and the ratio of envsolver's to each."""
    bound = f"no schedule of their warm kernels is shorter than {measured['lower_bound']:.1f} s"
    lines = [
        f"\n{suite}: {measured['notebooks']} notebooks, {bound}",
        f"{'':20} {'min':>8} {'median':>8} {'max':>8}   envsolver takes",
    ]
    ours = measured["seconds"].get("envsolver")
    for name, all_times in measured["seconds"].items():
        times = [each for each in all_times if each is not None]
        failed = f"failed {len(all_times) - len(times)} of {len(all_times)}" if len(times) < len(all_times) else ""
        if not times:
            lines.append(f"{name:20} {failed}")
            continue
        pairs = [(a, b) for a, b in zip(ours or (), all_times, strict=False) if a is not None and b is not None]
        against = f"{median(a / b for a, b in pairs):.2f} of it" if pairs else ""
        if name == "envsolver":
            against = f"{median(times) / bound_of(measured):.2f} of that bound"
        told = "; ".join(filter(None, (against, failed)))
        lines.append(f"{name:20} {min(times):8.1f} {median(times):8.1f} {max(times):8.1f}   {told}")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except NotPassedError as error:  # before anything was timed, or at the last run that gives the bound
        raise SystemExit(f"envsolver cannot run the suite: {error}") from None
