"""A whole run: each stage's value handed to the next, from the configuration to the reports."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from envsolver.core.environments import Assignment
from envsolver.core.errors import BuildError, ConfigurationError, EnvsolverError, NothingToRunError, UnsolvableError
from envsolver.core.jobs import Cost, Job
from envsolver.core.progress import Progress
from envsolver.core.results import Result, ResultKey, Run
from envsolver.report.github import write_github
from envsolver.report.junit import write_junit
from envsolver.report.results_json import write_results
from envsolver.resolver.conflicts import plain_conflicts
from envsolver.resolver.groups import check_group_names, read_groups
from envsolver.run.context import Options, RunContext, available_cores, open_context, worker_count
from envsolver.run.fingerprints import input_digests
from envsolver.run.healing import HealingExecutor
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.parsl import monitoring
from envsolver.run.parsl.executor import InlineExecutor, JobExecutor, ParslJobExecutor
from envsolver.run.parsl.prestart import ParslPrestart
from envsolver.run.preparation import Crew, choose_templates, prepare_target, rebuild_damaged, record_facts
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution, resolve
from envsolver.run.scheduler.events import CoresReleased
from envsolver.run.scheduler.policy import Budget, Order, order, predicted_makespan
from envsolver.run.scheduler.scheduler import RunOutcome, Scheduler
from envsolver.run.services import Services
from envsolver.run.shards import make_shard
from envsolver.worker.core_release import ReleaseListener
from envsolver.worker.processes import RUN_MARK, kill_marked

MEMORY_SHARE = 0.9
"""The part of the memory that is free at the start which running notebooks may take together."""

SAVE_SECONDS = 2.0
"""How often the results so far are written down, so that even a killed run leaves them."""


HTML_SECONDS = 5.0
"""How long executed notebooks are put into the HTML report; `envsolver report` puts in all."""


def run(
    project: Project, options: Options, progress: Progress, *, cwd: Path, start: ParslPrestart | None = None
) -> tuple[Run, int]:
    """Run notebooks as tests.

    Parameters
    ----------
    cwd
        What `options.patterns` are relative to.
    start
        What was started ahead, with the run's mark.

    Returns
    -------
    tuple of Run and int
        What the reports show, and the exit code. `results.json` and `junit.xml` are written.

    Raises
    ------
    EnvsolverError
        Before anything runs: the configuration is wrong, or no notebook matches.
    """
    clock = time.monotonic()
    expected = project.history.expected()
    resolution = resolve(project, patterns=options.patterns, cwd=cwd, pythons=options.pythons)
    chosen = _of_groups(resolution, options.groups)
    shard = None
    if options.shard is not None:
        shard = make_shard(project.config, resolution.notebooks, options.shard, options.times)
        chosen = tuple(a for a in chosen if a.notebook in shard.notebooks)
        shard = replace(shard, notebooks=tuple(a.notebook for a in chosen))
    if options.monitor:
        if options.sequential:
            raise ConfigurationError(["--monitor needs Parsl, which --sequential leaves out"])
        monitoring.prepare()
    with open_context(project, options, progress, clock, start) as context:
        context.shard = shard
        defaults = JobDefaults(
            config=project.config, run_id=context.run_id, run_dir=context.directory, timeout=options.timeout
        )
        jobs, settled = plan_jobs(defaults, resolution, chosen)
        outcome = _execute(context, resolution, jobs, settled)
        finished = context.record([*settled, *outcome.results], outcome)
        finished = replace(
            finished, conflicts=(*resolution.conflicts, *_configured_conflicts(project, resolution, chosen))
        )
        write_results(finished)
        write_junit(finished)
        write_report(finished, expected, seconds=0 if outcome.interrupted else HTML_SECONDS)
        write_github(finished, os.environ, sys.stdout, root=project.root)
    return finished, exit_code(finished, outcome, context.errors)


def write_report(finished: Run, expected: Mapping[ResultKey, float], *, seconds: float) -> None:
    """Write the HTML report; whoever interrupts that gets the report in the terminal all the same."""
    with contextlib.suppress(KeyboardInterrupt):
        from envsolver.report.html import write_html  # its libraries take half a second to import

        write_html(finished, expected=expected, conflicts=finished.conflicts, seconds=seconds)


def _configured_conflicts(project: Project, resolution: Resolution, chosen: Sequence[Assignment]) -> tuple[str, ...]:
    """Say which of the groups that a person wrote exclude each other, for the report; derived ones are told apart."""
    used = {a.group for a in chosen if a.group}
    groups = [group for name, group in read_groups(project.config).items() if name in used]
    return plain_conflicts(groups, next(iter(resolution.interpreters.values())), project.root)


def exit_code(finished: Run, outcome: RunOutcome, errors: Sequence[EnvsolverError]) -> int:
    """Give the command's exit code: 130, 4 or 5 for what kept notebooks from running, 1, or 0."""
    if outcome.interrupted:
        return 130
    for kind in (UnsolvableError, BuildError):
        if any(isinstance(error, kind) for error in errors):
            return kind.exit_code
    return 0 if all(result.good for result in finished.results) and not finished.not_run else 1


def _of_groups(resolution: Resolution, groups: Sequence[str]) -> tuple[Assignment, ...]:
    check_group_names(groups, resolution.groups)
    chosen = tuple(a for a in resolution.assignments if not groups or a.group in groups)
    if not chosen:
        raise NothingToRunError(
            f"no notebook belongs to {' or '.join(groups)}", tip="`envsolver list` shows each notebook's group and why."
        )
    return chosen


def _execute(context: RunContext, resolution: Resolution, jobs: Sequence[Job], settled: Sequence[Result]) -> RunOutcome:
    """Run the jobs, whatever happens give back what they took, and tell the progress."""
    options, progress = context.options, context.progress
    costs = context.project.history.costs(jobs)
    by: Order = options.order or ("failed" if options.failfast else "longest")
    ordered = order(
        jobs, costs, by, {path: notebook.recorded_seconds for path, notebook in resolution.notebooks.items()}
    )
    workers = worker_count(options)
    counts = Counter([*(job.group for job in jobs), *(result.group for result in settled)])
    progress.begin(counts, workers, predicted_makespan(ordered, costs, workers), tuple(resolution.interpreters))
    try:
        for version, reason in resolution.left_out:
            progress.note(f"Python {version} is left out: {reason}")
        for remark in resolution.remarks:
            progress.note(remark)
        for result in settled:
            progress.finished(result)
        if options.failfast and any(not result.good for result in settled):
            first = next(result.notebook for result in settled if not result.good)
            stopped = f"stopped at the first notebook that did not pass: {first}"
            return RunOutcome(results=(), not_run=tuple(sorted({job.notebook for job in jobs})), stopped=stopped)
        return _run_jobs(context, resolution, ordered, costs, settled) if jobs else RunOutcome(results=())
    finally:
        progress.end()


def _run_jobs(
    context: RunContext,
    resolution: Resolution,
    jobs: Sequence[Job],
    costs: Mapping[str, Cost],
    settled: Sequence[Result],
) -> RunOutcome:
    options, project = context.options, context.project
    services = Services(
        project.config.services, root=project.root, logs=context.directory / "logs", run_id=context.run_id
    )
    digests = input_digests(resolution, project.root)
    jobs, templates = choose_templates(context, resolution, jobs, digests)
    dispatcher = HealingExecutor(_dispatcher(context), partial(rebuild_damaged, context, resolution))
    done: list[Result] = list(settled)
    # One at a time means that the next does not even start while the last one ends.
    notices = ReleaseListener("" if options.sequential else context.run_id)
    scheduler = Scheduler(
        jobs=jobs,
        core_release=notices.path,
        warmth=templates,
        dispatcher=dispatcher,
        progress=context.progress,
        budget=_budget(options),
        costs=costs,
        failfast=options.failfast,
        retries=options.retries,
        on_result=lambda result: _keep(context, digests[result.notebook], done, result),
    )
    crew = Crew(services=services, templates=templates, scheduler=scheduler)
    outcome = None
    try:
        notices.listen(lambda mark: scheduler.post(CoresReleased(mark=mark)))
        for target in dict.fromkeys(job.target for job in jobs):
            arguments = (context, resolution, target, crew)
            threading.Thread(target=prepare_target, args=arguments, name=f"prepare-{target.group}", daemon=True).start()
        outcome = scheduler.run()
    finally:
        if outcome is None or outcome.stopped:
            project.uv.stop()
        hurried = outcome is None or outcome.interrupted
        if hurried:
            kill_marked(RUN_MARK, context.run_id)
        record_facts(project.history, templates)
        templates.stop()
        services.stop()
        dispatcher.close(gently=not hurried)
        notices.close()
    return outcome


def _budget(options: Options) -> Budget:
    """Give what the notebooks of a run may use together."""
    workers = worker_count(options)
    memory = int(psutil.virtual_memory().available * MEMORY_SHARE)
    return Budget(slots=workers, cores=max(workers, available_cores()), memory=memory)


def _dispatcher(context: RunContext) -> JobExecutor:
    if context.options.sequential:
        return InlineExecutor()
    return ParslJobExecutor(
        run_id=context.run_id,
        directory=context.scratch / "parsl",
        server=context.start.server if context.start is not None else "",
        monitor=context.options.monitor,
    )


def _keep(context: RunContext, digest: str, done: list[Result], result: Result) -> None:
    """Write down a verdict as soon as it is known."""
    done.append(result)
    # A history that cannot be written makes later runs slower, not wrong.
    with contextlib.suppress(sqlite3.Error, OSError):
        context.project.history.add(result, digest)
    now = time.monotonic()
    if now - context.saved > SAVE_SECONDS:
        context.saved = now
        write_results(context.record(done))
