"""What the command line asks of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from envsolver.core.profiles import Placement
from envsolver.core.results import Result
from envsolver.run.coverage_options import CoverageOptions
from envsolver.run.scheduler.policy import Order


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line asks of a run.

    Attributes
    ----------
    patterns
        Notebook paths, directories and globs; empty for all.
    groups
        Run only notebooks of these groups; empty for all.
    expression
        Run only what `selection.parse_expression` says that it names; None for all.
    last_failed
        Run only what did not pass the last time; all when nothing is known to.
    pythons
        Python versions, or ``all``; empty for the default.
    workers
        How many notebooks may run at once; None for the number of cores.
    retries, fail_on_flaky
        How many more times a notebook that does not pass is run, and whether a pass at a later attempt fails.
    timeout
        Seconds for a whole notebook, over every other setting.
    order
        None for longest first, or with `failfast` for what failed last time first.
    cold
        Start every kernel anew, none from a template.
    verify_warm
        Of how many of 100 notebooks that pass in a warm kernel the outputs are compared with a cold one's.
    monitor
        Have Parsl measure the run.
    directory
        Folder for what the run leaves; None for one named after the time.
    verify
        Which part of the notebooks that are cached runs all the same, percent.
    since
        A commit: what never passed runs only if it may depend on what git says changed since; None for all.
    rerun
        Run all notebooks, also those of which nothing changed since they passed.
    placement
        Which clusters notebooks run on.
    coverage
        What is asked of coverage; None to measure nothing.
    stop
        Asked after each verdict: what it answers is why the run stops there; empty to go on.
    shard, times
        Which part of how many, and the file whose times make the parts equal.
    """

    patterns: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    expression: str | None = None
    last_failed: bool = False
    pythons: tuple[str, ...] = ()
    workers: int | None = None
    failfast: bool = False
    sequential: bool = False
    retries: int = 0
    fail_on_flaky: bool = False
    timeout: float | None = None
    order: Order | None = None
    cold: bool = False
    verify_warm: float = 0
    monitor: bool = False
    directory: Path | None = None
    since: str | None = None
    rerun: bool = False
    verify: float = 0.0
    placement: Placement = field(default_factory=Placement)
    shard: tuple[int, int] | None = None
    times: Path | None = None
    coverage: CoverageOptions | None = None
    stop: Callable[[Result], str] | None = None

    def why_stop(self, result: Result) -> str:
        """Return why the run stops at a verdict; empty when it goes on."""
        if self.failfast and not result.good:
            return f"stopped at the first notebook that did not pass: {result.notebook}"
        return self.stop(result) if self.stop is not None else ""


def worker_count(options: Options) -> int:
    """Return how many notebooks may run at once."""
    if options.sequential:
        return 1
    if options.workers:
        return options.workers
    here = available_cores() if options.placement.here else 0
    return here + sum(profile.slots for profile in options.placement.clusters)


def available_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
