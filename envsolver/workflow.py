"""A whole run: each stage's value handed to the next, from the configuration to the reports."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from envsolver import parsl_monitoring
from envsolver.errors import BuildError, ConfigurationError, EnvsolverError, NothingToRunError, UnsolvableError
from envsolver.executors import Dispatcher, InlineDispatcher, ParslDispatcher, warmed_up
from envsolver.gpus import gpu_sets
from envsolver.history import History
from envsolver.jobs import Frame, plan_jobs
from envsolver.models import Assignment, Cost, Environment, Job, Known, Lock, Notebook, Progress, Result, Run, Shard
from envsolver.plan import Budget, Order, expected_wall, order
from envsolver.processes import RUN_MARK, kill_marked, start_guardian
from envsolver.project import Project, Survey, new_run_directory, prepare_state, read_groups, solve_all, survey
from envsolver.report.data import write_results
from envsolver.report.github import write_github
from envsolver.report.junit import write_junit
from envsolver.runner import Located, Note, Outcome, Ready, Runner, Site, Unavailable
from envsolver.scratch import remove, run_directory
from envsolver.services import Services
from envsolver.settings import GroupSettings
from envsolver.shards import make_shard

if TYPE_CHECKING:
    from envsolver.warm import Templates

MEMORY_SHARE = 0.9
"""The part of the memory that is free at the start which running notebooks may take together."""

SAVE_SECONDS = 2.0
"""How often the results so far are written down, so that even a killed run leaves them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line asks of a run.

    Attributes
    ----------
    patterns
        Notebook paths, directories and globs; empty for all.
    groups
        Run only notebooks of these groups; empty for all.
    pythons
        Python versions, or ``all``; empty for the default.
    workers
        How many notebooks may run at once; None for the number of cores.
    timeout
        Seconds for a whole notebook, over every other setting.
    order
        None for longest first, or with `failfast` for what failed last time first.
    cold
        Start every kernel anew, none from a template.
    monitor
        Have Parsl measure the run.
    shard, times
        Which part of how many, and the file whose times make the parts equal.
    """

    patterns: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    workers: int | None = None
    failfast: bool = False
    sequential: bool = False
    retries: int = 0
    timeout: float | None = None
    order: Order | None = None
    cold: bool = False
    monitor: bool = False
    shard: tuple[int, int] | None = None
    times: Path | None = None


@dataclass(kw_only=True)
class _Context:
    """What one run holds on to while it goes on, and must give back."""

    project: Project
    options: Options
    progress: Progress
    directory: Path
    run_id: str
    scratch: Path
    started: str
    clock: float
    environments: dict[Site, Environment] = field(default_factory=dict)
    errors: list[EnvsolverError] = field(default_factory=list)
    saved: float = 0.0
    shard: Shard | None = None

    def record(self, results: Sequence[Result], outcome: Outcome | None = None) -> Run:
        """Put together what the reports see."""
        return Run(
            directory=self.directory,
            started=self.started,
            wall_seconds=time.monotonic() - self.clock,
            workers=worker_count(self.options),
            results=tuple(results),
            environments=tuple(self.environments.values()),
            not_run=outcome.not_run if outcome else (),
            stopped=outcome.stopped if outcome else "",
            shard=self.shard,
        )


def run(project: Project, options: Options, progress: Progress, *, cwd: Path) -> tuple[Run, int]:
    """Run notebooks as tests.

    Parameters
    ----------
    cwd
        What `options.patterns` are relative to.

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
    seen = survey(project, patterns=options.patterns, cwd=cwd, pythons=options.pythons)
    chosen = _of_groups(seen, options.groups)
    shard = None
    if options.shard is not None:
        shard = make_shard(project.config, seen.notebooks, options.shard, options.times)
        chosen = tuple(a for a in chosen if a.notebook in shard.notebooks)
        shard = replace(shard, notebooks=tuple(a.notebook for a in chosen))
    if options.monitor:
        if options.sequential:
            raise ConfigurationError(["--monitor needs Parsl, which --sequential leaves out"])
        parsl_monitoring.prepare()
    with _context(project, options, progress, clock) as context:
        context.shard = shard
        frame = Frame(config=project.config, run_id=context.run_id, run_dir=context.directory, timeout=options.timeout)
        jobs, settled = plan_jobs(frame, seen, chosen)
        outcome = _execute(context, seen, jobs, settled)
        finished = context.record([*settled, *outcome.results], outcome)
        finished = replace(finished, conflicts=seen.conflicts)
        write_results(finished)
        write_junit(finished)
        _write_html(finished, expected)
        write_github(finished, os.environ, sys.stdout, root=project.root)
    return finished, exit_code(finished, outcome, context.errors)


def _write_html(finished: Run, expected: Mapping[tuple[str, str, str], float]) -> None:
    from envsolver.report.html import write_html  # its libraries take half a second to import

    conflicts = tuple((f"Kept apart ({number})", text) for number, text in enumerate(finished.conflicts, 1))
    write_html(finished, expected=expected, conflicts=conflicts)


def exit_code(finished: Run, outcome: Outcome, errors: Sequence[EnvsolverError]) -> int:
    """Give the command's exit code: 130, 4 or 5 for what kept notebooks from running, 1, or 0."""
    if outcome.interrupted:
        return 130
    for kind in (UnsolvableError, BuildError):
        if any(isinstance(error, kind) for error in errors):
            return kind.exit_code
    return 0 if all(result.good for result in finished.results) and not finished.not_run else 1


def worker_count(options: Options) -> int:
    """Give how many notebooks may run at once."""
    return 1 if options.sequential else options.workers or available_cores()


def available_cores() -> int:
    """Give the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _of_groups(seen: Survey, groups: Sequence[str]) -> tuple[Assignment, ...]:
    unknown = [name for name in groups if name not in seen.groups]
    if unknown:
        have = ", ".join(sorted(seen.groups)) or "none"
        raise ConfigurationError(
            [f"--group {name}: there is no such group; the groups are: {have}" for name in unknown]
        )
    chosen = tuple(a for a in seen.assignments if not groups or a.group in groups)
    if not chosen:
        raise NothingToRunError(
            f"no notebook belongs to {' or '.join(groups)}", tip="`envsolver list` shows each notebook's group and why."
        )
    return chosen


@contextlib.contextmanager
def _context(project: Project, options: Options, progress: Progress, clock: float) -> Iterator[_Context]:
    """Open a run's folder and mark; afterwards end every process that carries the mark."""
    run_id = uuid.uuid4().hex
    # Parsl writes scripts that do not quote their paths, so it gets a directory that needs no quoting.
    scratch = Path(tempfile.mkdtemp(prefix="envsolver-"))
    before = os.environ.get(RUN_MARK)
    os.environ[RUN_MARK] = run_id
    guardian = start_guardian(run_id, [scratch, run_directory(run_id)])
    context = _Context(
        project=project,
        options=options,
        progress=progress,
        directory=new_run_directory(prepare_state(project.state) / "runs"),
        run_id=run_id,
        scratch=scratch,
        started=datetime.now(timezone.utc).astimezone().isoformat(timespec="milliseconds"),
        clock=clock,
    )
    try:
        yield context
    finally:
        kill_marked(RUN_MARK, run_id)
        with contextlib.suppress(OSError):
            shutil.move(scratch / "parsl", context.directory / "parsl")
        shutil.rmtree(scratch, ignore_errors=True)
        remove(run_directory(run_id))
        guardian.dismiss()
        project.store.release()
        if before is None:
            os.environ.pop(RUN_MARK, None)
        else:
            os.environ[RUN_MARK] = before


def _execute(context: _Context, seen: Survey, jobs: Sequence[Job], settled: Sequence[Result]) -> Outcome:
    """Run the jobs, whatever happens give back what they took, and tell the progress."""
    options, progress = context.options, context.progress
    costs = context.project.history.costs(jobs)
    by: Order = options.order or ("failed" if options.failfast else "longest")
    ordered = order(jobs, costs, by)
    workers = worker_count(options)
    counts = Counter([*(job.group for job in jobs), *(result.group for result in settled)])
    progress.begin(counts, workers, _expected(ordered, costs, workers))
    try:
        for version, reason in seen.left_out:
            progress.note(f"Python {version} is left out: {reason}")
        for sentence in seen.conflicts:
            progress.note(f"kept apart: {sentence}")
        for result in settled:
            progress.finished(result)
        if options.failfast and any(not result.good for result in settled):
            first = next(result.notebook for result in settled if not result.good)
            stopped = f"stopped at the first notebook that did not pass: {first}"
            return Outcome(results=(), not_run=tuple(sorted({job.notebook for job in jobs})), stopped=stopped)
        return _run_jobs(context, seen, ordered, costs, settled) if jobs else Outcome(results=())
    finally:
        progress.end()


def _expected(ordered: Sequence[Job], costs: Mapping[str, Cost], workers: int) -> float | None:
    seconds = [costs[job.id].seconds for job in ordered if job.id in costs]
    known = [value for value in seconds if value is not None]
    return expected_wall(known, workers) if known and len(known) == len(ordered) else None


def _run_jobs(
    context: _Context, seen: Survey, jobs: Sequence[Job], costs: Mapping[str, Cost], settled: Sequence[Result]
) -> Outcome:
    options, project = context.options, context.project
    services = Services(
        project.config.services, root=project.root, logs=context.directory / "logs", run_id=context.run_id
    )
    jobs, templates = _templates(context, seen, jobs)
    dispatcher = _dispatcher(context)
    done: list[Result] = list(settled)
    runner = Runner(
        jobs=jobs,
        template_for=templates.path_for,
        dispatcher=dispatcher,
        progress=context.progress,
        budget=Budget(
            slots=worker_count(options),
            cores=max(worker_count(options), available_cores()),
            memory=int(psutil.virtual_memory().available * MEMORY_SHARE),
        ),
        costs=costs,
        failfast=options.failfast,
        retries=options.retries,
        on_result=lambda result: _keep(context, seen.notebooks[result.notebook], done, result),
    )
    crew = _Crew(services=services, templates=templates, runner=runner)
    outcome = None
    try:
        for site in dict.fromkeys((job.group, job.python) for job in jobs):
            prepare = threading.Thread(
                target=_prepare,
                args=(context, seen, site, crew),
                name=f"prepare-{site}",
                daemon=True,
            )
            prepare.start()
        outcome = runner.run()
    finally:
        if outcome is None or outcome.stopped:
            project.uv.stop()
        hurried = outcome is None or outcome.interrupted
        if hurried:
            kill_marked(RUN_MARK, context.run_id)
        _learn(project.history, templates)
        templates.stop()
        services.stop()
        dispatcher.close(gently=not hurried)
    return outcome


def _templates(context: _Context, seen: Survey, jobs: Sequence[Job]) -> tuple[tuple[Job, ...], Templates]:
    """Choose the templates of warm kernels; the jobs say whether what they import is still to be learnt."""
    # Jupyter's packages import each other in circles, so no other thread may be importing what they share.
    warmed_up()
    from envsolver.warm import Templates
    from envsolver.warm_plan import WarmPlan, plan_templates

    project, cold = context.project, context.options.cold
    keys = {site: project.store.key_for(lock) for site, lock in seen.locks.items()}
    digests = {path: notebook.code_digest for path, notebook in seen.notebooks.items()}
    known = project.history.known(jobs, digests=digests, environments=keys)
    jobs = tuple(
        replace(job, cold=cold or job.cold, want_modules=not known.get(job.id, Known()).modules) for job in jobs
    )
    plan = (
        WarmPlan()
        if cold
        else plan_templates(jobs, seen.notebooks, keys=keys, known=known, workers=worker_count(context.options))
    )
    lessons = project.history.lessons()
    return jobs, Templates(plan, run_id=context.run_id, logs=context.directory / "logs", learnt=lessons)


def _learn(history: History, templates: Templates) -> None:
    with contextlib.suppress(sqlite3.Error, OSError):
        history.learn(templates.lessons())


def _dispatcher(context: _Context) -> Dispatcher:
    if context.options.sequential:
        return InlineDispatcher()
    return ParslDispatcher(run_id=context.run_id, directory=context.scratch / "parsl", monitor=context.options.monitor)


@dataclass(frozen=True, kw_only=True)
class _Crew:
    """What serves the jobs of one run."""

    services: Services
    templates: Templates
    runner: Runner


def _prepare(context: _Context, seen: Survey, site: Site, crew: _Crew) -> None:
    """Bring a site's environment and services up, and tell the runner; on a thread of its own."""
    group, version = site
    project, runner = context.project, crew.runner
    try:
        settings = project.config.groups.get(group, GroupSettings())
        gpus = gpu_sets(settings.gpus, os.environ)
        if settings.gpus and not gpus:
            reason = f"group {group} needs {settings.gpus} GPU for each notebook, and this machine has too few"
            runner.post(Unavailable(site=site, reason=reason, verdict="skipped"))
            return
        lock = _lock_of(seen, site)
        key, prefix = project.store.key_for(lock), project.store.prefix_for(lock)
        runner.post(Located(site=site, key=key, prefix=prefix, gpus=gpus))
        if not project.store.has(lock):
            runner.post(
                Note(text=f"{group}: building an environment of {len(lock.packages)} packages, Python {version}")
            )
        environment = replace(project.store.ensure(lock), group=group)
        context.environments[site] = environment
        if environment.built:
            runner.post(Note(text=f"{group}: environment built in {environment.seconds:.1f} s"))
        variables = crew.services.start(settings.services, environment)
        crew.templates.start_for(group, version, environment, variables)
        runner.post(Ready(site=site, environment=environment, env=variables))
    except EnvsolverError as error:
        context.errors.append(error)
        runner.post(Unavailable(site=site, reason=error.message))
    except Exception as error:  # noqa: BLE001  a thread that dies silently would leave its notebooks waiting
        context.errors.append(BuildError(str(error)))
        runner.post(Unavailable(site=site, reason=f"{type(error).__name__}: {error}"))


def _lock_of(seen: Survey, site: Site) -> Lock:
    if site in seen.faults:
        raise seen.faults[site]
    return seen.locks[site]


def _keep(context: _Context, notebook: Notebook, done: list[Result], result: Result) -> None:
    """Write down a verdict as soon as it is known."""
    done.append(result)
    # A history that cannot be written makes later runs slower, not wrong.
    with contextlib.suppress(sqlite3.Error, OSError):
        context.project.history.add(result, notebook.code_digest)
    now = time.monotonic()
    if now - context.saved > SAVE_SECONDS:
        context.saved = now
        write_results(context.record(done))


def sync(project: Project, *, groups: Sequence[str] = (), pythons: Sequence[str] = ()) -> tuple[Environment, ...]:
    """Solve groups and build their environments, side by side.

    Parameters
    ----------
    groups
        Names; empty for all.
    pythons
        Versions; empty for the default.

    Raises
    ------
    ConfigurationError
        A group or an interpreter is not there.
    UnsolvableError, BuildError
        With the faults of all groups together.
    """
    known = read_groups(project.config)
    unknown = [name for name in groups if name not in known]
    if unknown:
        have = ", ".join(sorted(known)) or "none"
        raise ConfigurationError(
            [f"--group {name}: there is no such group; the groups are: {have}" for name in unknown]
        )
    wanted = {name: known[name] for name in groups or known}
    interpreters, _ = project.pythons(pythons)
    locks, faults = solve_all(project, wanted, interpreters)
    built: list[Environment] = []
    errors = list(faults.values())
    with ThreadPoolExecutor(max_workers=max(2, available_cores())) as pool:
        for (group, _), building in {
            site: pool.submit(project.store.ensure, lock) for site, lock in locks.items()
        }.items():
            try:
                built.append(replace(building.result(), group=group))
            except BuildError as error:
                errors.append(error)
    project.store.release()
    if errors:
        worst = next((e for e in errors if isinstance(e, UnsolvableError)), errors[0])
        raise type(worst)("\n\n".join(error.message for error in errors), tip=worst.tip)
    return tuple(built)
