"""A whole run: each stage's value handed to the next, from the configuration to the reports."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.core.environments import Assignment, Environment, Target
from envsolver.core.errors import BuildError, ConfigurationError, EnvsolverError, NothingToRunError, UnsolvableError
from envsolver.core.jobs import Cost, Job
from envsolver.core.progress import Progress
from envsolver.core.results import Result, Run, Shard
from envsolver.resolver.conflicts import plain_conflicts
from envsolver.resolver.groups import check_group_names, read_groups
from envsolver.run.context import RunContext, RunRecord, make_context
from envsolver.run.directories import output_files
from envsolver.run.fingerprints import input_digests
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.machine import budgets, check_address_space, check_process_limit, check_semaphores
from envsolver.run.options import Options, available_cores, worker_count
from envsolver.run.parsl import monitoring
from envsolver.run.parsl.prestart import ParslPrestart
from envsolver.run.preparation import Preparation, choose_templates, rebuild_damaged
from envsolver.run.project import Project
from envsolver.run.reports import write_reports
from envsolver.run.resolution import Resolution, resolve
from envsolver.run.resources import acquire
from envsolver.run.scheduler.outcome import RunOutcome, Verdicts
from envsolver.run.scheduler.policy import Order, predicted_makespan, sort_jobs
from envsolver.run.scheduler.scheduler import Scheduler
from envsolver.run.selection import failed_last, parse_expression
from envsolver.run.shards import make_shard
from envsolver.run.shipment import bring_home
from envsolver.run.since import changed_since
from envsolver.run.unchanged import VERIFIED, Recorder, Unchanged

if TYPE_CHECKING:
    from envsolver.run.watch import WatchSession

_TIP = "`envsolver list` shows each notebook's group and why."


def run(
    project: Project,
    options: Options,
    progress: Progress,
    *,
    cwd: Path,
    start: ParslPrestart | None = None,
    session: WatchSession | None = None,
) -> tuple[Run, int]:
    """Run notebooks as tests; `cwd` is what `options.patterns` are relative to.

    Parameters
    ----------
    start
        What is begun as soon as it is known that there is something to run.
    session
        What stays for the next run, while files are watched.

    Returns
    -------
    tuple of Run and int
        What the reports show, and the exit code.

    Raises
    ------
    EnvsolverError
        Before anything runs: the configuration is wrong, no notebook matches, or a folder cannot be used.
    """
    clock = time.monotonic()
    _check(project, options)
    expected = project.history.expected()
    resolution = resolve(project, patterns=options.patterns, cwd=cwd, pythons=options.pythons)
    chosen, shard = _choose(project, options, resolution)
    context = make_context(project, options, progress, start, session)
    jobs, known = _sift(context, resolution, chosen)
    context = _where_needed(context, jobs)
    if jobs and start is not None:
        start.begin()
    record = RunRecord(context, clock=clock, shard=shard, settled=known, planned=[job.key for job in jobs])
    record.environments.extend(_unprepared(project, resolution, known, jobs))
    outcome = _execute(context, resolution, jobs, known, record)
    conflicts = (*resolution.conflicts, *configured_conflicts(project, resolution, chosen))
    finished = record.run(outcome, conflicts=conflicts)
    finished = write_reports(finished, expected, progress, hurried=outcome.interrupted or session is not None)
    return finished, exit_code(finished, outcome, record.errors)


def _where_needed(context: RunContext, jobs: Sequence[Job]) -> RunContext:
    """Return a run without the profiles under which nothing is left to run."""
    options = context.options
    return replace(context, options=replace(options, placement=options.placement.only(job.group for job in jobs)))


def _unprepared(
    project: Project, resolution: Resolution, known: Sequence[Result], jobs: Sequence[Job]
) -> Iterator[Environment]:
    """Yield the environments of cached notebooks in which nothing runs, so that a run tells all its packages."""
    targets = dict.fromkeys(Target(result.group, result.python) for result in known if result.environment)
    for target in (t for t in targets if t in resolution.locks and t not in {job.target for job in jobs}):
        lock = resolution.locks[target]
        yield Environment(
            key=project.store.key_for(lock),
            group=target.group,
            python=lock.interpreter.version,
            prefix=project.store.prefix_for(lock),
            packages=lock.packages,
        )


def _sift(
    context: RunContext, resolution: Resolution, chosen: Sequence[Assignment]
) -> tuple[tuple[Job, ...], tuple[Result, ...]]:
    """Return the jobs that must run, and the results of what need not or cannot."""
    project, options, session = context.project, context.options, context.session
    defaults = _defaults(project, options, run_id=context.run_id, directory=context.directory)
    planned, settled = plan_jobs(defaults, resolution, chosen)
    unchanged = Unchanged(project, resolution, directory=context.directory, session=session)
    rerun = options.rerun or context.coverage is not None  # what is cached ran unmeasured
    jobs, cached = unchanged.split(planned, rerun=rerun, verify=options.verify, since=options.since)
    unchanged.keep()
    if session is not None:
        session.planned = planned
    return jobs, (*settled, *cached)


def _check(project: Project, options: Options) -> None:
    """Raise where what is asked for could not be done here; nothing has been started or written yet."""
    if options.since is not None:
        changed_since(project.root, options.since)
    if options.monitor and options.sequential:
        raise ConfigurationError(["--monitor needs Parsl, which --sequential leaves out"])
    check_address_space()
    if not options.sequential:
        check_semaphores()
        check_process_limit(min(worker_count(options), available_cores()) if options.placement.here else 1)
    for profile in options.placement.clusters:
        if options.coverage is not None and profile.settings.node_environments:
            raise ConfigurationError(
                [f"--cov needs environments that all nodes see; those of {profile.name} build their own"]
            )
        if options.sequential:
            raise ConfigurationError(
                [f"profile {profile.name} needs Parsl, which --sequential leaves out"],
                tip="With `--profile local` all notebooks run on this machine.",
            )
    if options.monitor:
        monitoring.prepare()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run would do.

    Attributes
    ----------
    jobs
        In the order in which they would start.
    costs
        What history knows of them, by job id.
    settled
        Results that are known without running.
    seconds
        What the run would take by that; None when too little is known.
    missing
        Targets whose environments would have to be built.
    faults
        Why a target has no environment.
    resolution
        What the project holds.
    """

    jobs: tuple[Job, ...]
    costs: Mapping[str, Cost]
    settled: tuple[Result, ...]
    seconds: float | None
    missing: frozenset[Target]
    faults: Mapping[Target, EnvsolverError]
    resolution: Resolution


def plan(project: Project, options: Options, *, cwd: Path, session: WatchSession | None = None) -> Plan:
    """Return what `run` would do; nothing is built, run or written.

    Raises
    ------
    EnvsolverError
        As `run` does before anything runs.
    """
    resolution = resolve(project, patterns=options.patterns, cwd=cwd, pythons=options.pythons)
    chosen, _ = _choose(project, options, resolution)
    defaults = _defaults(project, options, run_id="" if session is None else session.run_id)
    planned, settled = plan_jobs(defaults, resolution, chosen)
    unchanged = Unchanged(project, resolution, directory=project.state, session=session)
    jobs, cached = unchanged.split(planned, rerun=options.rerun, since=options.since)
    if session is not None:
        session.planned = planned
    ordered, costs = _in_order(project, options, resolution, jobs)
    targets = {job.target for job in jobs}
    return Plan(
        jobs=ordered,
        costs=costs,
        settled=(*settled, *cached),
        seconds=predicted_makespan(ordered, costs, worker_count(options)),
        missing=frozenset(t for t in targets & resolution.locks.keys() if not project.store.has(resolution.locks[t])),
        faults={target: fault for target, fault in resolution.faults.items() if target in targets},
        resolution=resolution,
    )


def _defaults(project: Project, options: Options, *, run_id: str = "", directory: Path = Path()) -> JobDefaults:
    return JobDefaults(
        config=project.config,
        run_id=run_id,
        run_dir=directory,
        timeout=options.timeout,
        output_files=output_files(project.root),
        placement=options.placement,
    )


def _in_order(
    project: Project, options: Options, resolution: Resolution, jobs: Sequence[Job]
) -> tuple[tuple[Job, ...], Mapping[str, Cost]]:
    """Return jobs in the order in which they start, and what history knows of them."""
    costs = project.history.costs(jobs)
    by: Order = options.order or ("failed" if options.failfast else "longest")
    recorded = {path: notebook.recorded_seconds for path, notebook in resolution.notebooks.items()}
    return sort_jobs(jobs, costs, by, recorded), costs


def _choose(project: Project, options: Options, resolution: Resolution) -> tuple[tuple[Assignment, ...], Shard | None]:
    """Choose the assignments to run: of what was asked for, and of this shard."""
    chosen = _of_groups(resolution, options.groups)
    if options.last_failed:
        chosen = failed_last(chosen, project.history.records())
    if options.expression is not None:
        chosen = tuple(filter(parse_expression(options.expression), chosen))
        if not chosen:
            raise NothingToRunError(f"-k {options.expression!r} names no notebook", tip=_TIP)
    if options.shard is None:
        return chosen, None
    shard = make_shard(project.config, resolution.notebooks, options.shard, options.times)
    chosen = tuple(a for a in chosen if a.notebook in shard.notebooks)
    return chosen, replace(shard, notebooks=tuple(a.notebook for a in chosen))


def configured_conflicts(project: Project, resolution: Resolution, chosen: Sequence[Assignment]) -> tuple[str, ...]:
    """Return which of the groups that a person wrote exclude each other, for the report."""
    used = {a.group for a in chosen if a.group}
    groups = [group for name, group in read_groups(project.config).items() if name in used]
    return plain_conflicts(groups, next(iter(resolution.interpreters.values())), project.root)


def exit_code(finished: Run, outcome: RunOutcome, errors: Sequence[EnvsolverError]) -> int:
    """Return the command's exit code: 130, 4 or 5 for what kept notebooks from running, 1, or 0."""
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
        raise NothingToRunError(f"no notebook belongs to {' or '.join(groups)}", tip=_TIP)
    return chosen


def _execute(
    context: RunContext,
    resolution: Resolution,
    jobs: Sequence[Job],
    settled: Sequence[Result],
    record: RunRecord,
) -> RunOutcome:
    """Run the jobs, and report all that is known before as progress."""
    options, progress = context.options, context.progress
    ordered, costs = _in_order(context.project, options, resolution, jobs)
    workers = worker_count(options)
    if context.session is not None:  # which shows the newest verdict of each in the end
        settled = ()
    counts = Counter([*(job.group for job in jobs), *(result.group for result in settled)])
    for profile in options.placement.clusters:
        from envsolver.run.profiles import fitting_no_block

        for text in fitting_no_block(profile, ordered, costs):
            progress.note(text)
    progress.begin(counts, workers, predicted_makespan(ordered, costs, workers), tuple(resolution.interpreters))
    try:
        for version, reason in resolution.left_out:
            progress.note(f"Python {version} is left out: {reason}")
        for remark in resolution.remarks:
            progress.note(remark)
        stopped = ""
        for result in settled:
            progress.finished(result)
            stopped = stopped or options.why_stop(result)
        if stopped:
            return RunOutcome(results=(), not_run=tuple(sorted({job.notebook for job in jobs})), stopped=stopped)
        return _run_jobs(context, resolution, ordered, costs, record) if jobs else RunOutcome(results=())
    finally:
        progress.end()


def _run_jobs(
    context: RunContext, resolution: Resolution, jobs: Sequence[Job], costs: Mapping[str, Cost], record: RunRecord
) -> RunOutcome:
    """Acquire what the jobs need, prepare their targets, and run them."""
    options, session = context.options, context.session
    digests = input_digests(resolution, context.project.root, jobs)
    jobs, plan = choose_templates(context, resolution, jobs, digests)
    rebuild = partial(rebuild_damaged, context, resolution)
    with (
        contextlib.closing(Recorder(context.project, resolution, jobs, context.directory, session)) as recorder,
        acquire(context, plan, rebuild=rebuild, on_block=record.add_block) as resources,
    ):

        def keep(result: Result) -> None:
            bring_home(resources.parsl, context.directory, result)
            record.add(result, digests[result.notebook])
            if session is not None:
                session.keep(result, context.directory)
            if context.coverage is None or not result.good:  # a pass is one of a kernel that nobody measures
                recorder.add(result)
            if result.why == VERIFIED and not result.good:
                context.progress.note(f"WRONG: {result.notebook} was cached, and does not pass: {result.reason}")

        verdicts = Verdicts(context.progress, why_stop=options.why_stop, on_result=keep)
        scheduler = Scheduler(
            jobs=jobs,
            executor=resources.executor,
            progress=context.progress,
            slots=worker_count(options),
            budgets=budgets(options),
            verdicts=verdicts,
            costs=costs,
            retries=options.retries,
            fail_on_flaky=options.fail_on_flaky,
            templates=resources.templates,
        )
        if session is not None:
            session.attend(scheduler.post)
        preparation = Preparation(context, resolution, resources, record, scheduler.post)
        preparation.start(dict.fromkeys(job.target for job in jobs))
        resources.ending.outcome = outcome = scheduler.run()
    _combine_coverage(context)
    return outcome


def _combine_coverage(context: RunContext) -> None:
    """Combine what was measured; that this failed must cost no verdict, and the data stay in the run's folder."""
    if context.coverage is None:
        return
    try:
        context.progress.note(context.coverage.combine())
    except (EnvsolverError, OSError, subprocess.SubprocessError) as error:
        context.progress.note(f"WRONG: {error}")
