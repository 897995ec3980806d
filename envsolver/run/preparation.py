"""Bring up what a run's jobs need: environments, services, and the templates of warm kernels."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from envsolver.core.environments import Environment, Lock, Target
from envsolver.core.errors import BuildError, EnvsolverError
from envsolver.core.jobs import Job, KernelHistory, WarmStart
from envsolver.core.settings import GroupSettings
from envsolver.resolver.derive import without_local
from envsolver.resolver.explanations import build_failure
from envsolver.run.context import RunContext, worker_count
from envsolver.run.gpus import gpu_sets
from envsolver.run.history import History
from envsolver.run.resolution import Resolution
from envsolver.run.scheduler.events import EnvironmentLocated, EnvironmentReady, EnvironmentUnavailable, Message
from envsolver.run.scheduler.scheduler import Scheduler
from envsolver.run.services import Services

if TYPE_CHECKING:
    from envsolver.run.warm.templates import Templates

LOCAL_MARK = "@ file:"
"""What uv's words about a local project hold."""


@dataclass(frozen=True, kw_only=True)
class Crew:
    """What serves the jobs of one run."""

    services: Services
    templates: Templates
    scheduler: Scheduler


def prepare_target(context: RunContext, resolution: Resolution, target: Target, crew: Crew) -> None:
    """Bring a target's environment and services up, and tell the scheduler; on a thread of its own."""
    group, version = target
    project, scheduler = context.project, crew.scheduler
    try:
        settings = project.config.groups.get(group, GroupSettings())
        gpus = gpu_sets(settings.gpus, os.environ)
        if settings.gpus and not gpus:
            reason = f"group {group} needs {settings.gpus} GPU for each notebook, and this machine has too few"
            scheduler.post(EnvironmentUnavailable(target=target, reason=reason, verdict="skipped"))
            return
        lock = _lock_of(resolution, target)
        key, prefix = project.store.key_for(lock), project.store.prefix_for(lock)
        scheduler.post(EnvironmentLocated(target=target, key=key, prefix=prefix, gpus=gpus))
        if not project.store.has(lock):
            scheduler.post(
                Message(text=f"{group}: building an environment of {len(lock.packages)} packages, Python {version}")
            )
        environment = replace(_built(context, resolution, target, lock, scheduler), group=group)
        context.environments[target] = environment
        if environment.built:
            scheduler.post(Message(text=f"{group}: environment built in {environment.seconds:.1f} s"))
        variables = crew.services.start(settings.services, environment)
        crew.templates.start_for(group, version, environment, variables)
        scheduler.post(EnvironmentReady(target=target, environment=environment, env=variables))
    except EnvsolverError as error:
        context.errors.append(error)
        scheduler.post(EnvironmentUnavailable(target=target, reason=_told(error)))
    except Exception as error:  # noqa: BLE001  a thread that dies silently would leave its notebooks waiting
        context.errors.append(BuildError(str(error)))
        scheduler.post(EnvironmentUnavailable(target=target, reason=f"{type(error).__name__}: {error}"))


def _built(
    context: RunContext, resolution: Resolution, target: Target, lock: Lock, scheduler: Scheduler
) -> Environment:
    """Build a target's environment; without the local project if that cannot be built, for those who can do without.

    Raises
    ------
    BuildError
        Nothing is left to build.
    """
    group, version = target
    store = context.project.store
    try:
        return store.ensure(lock)
    except BuildError as error:
        members = {a.notebook for a in resolution.assignments if a.group == group}
        spared = members - resolution.local
        derived = not resolution.groups[group].file
        if not (derived and spared and spared != members and LOCAL_MARK in error.message):
            raise
        context.errors.append(error)
        scheduler.post(EnvironmentUnavailable(target=target, reason=_told(error), notebooks=resolution.local))
        scheduler.post(Message(text=f"{group}: building it again, for {len(spared)} that do without the local project"))
    rest = without_local(resolution.groups[group], context.project.root)
    return store.ensure(context.project.lock(rest, resolution.interpreters[version]))


def rebuild_damaged(context: RunContext, resolution: Resolution, job: Job) -> bool:
    """Build a job's environment anew if files of it are gone; return whether that was so.

    Raises
    ------
    BuildError
        It cannot be built any more.
    """
    store, environment = context.project.store, context.environments[job.target]
    lock = resolution.locks.get(job.target)
    if lock is None or store.key_for(lock) != environment.key:
        return False  # one without the local project, whose lock is not kept
    missing = store.discard_damaged(environment)
    if missing:
        what = missing[0] if len(missing) == 1 else f"{missing[0]} and {len(missing) - 1} more files"
        context.progress.note(f"{job.group}: its environment lacks {what}; it is built anew")
        store.ensure(lock)
    return bool(missing)


def _told(error: EnvsolverError) -> str:
    """Return what is to be said of an error; of a project that cannot be built, first why, and what to do."""
    cause = build_failure(error.message) if LOCAL_MARK in error.message else ""
    first = f"the project's own package cannot be built: {cause}; see why `uv pip install -e .` fails here"
    return "\n".join(filter(None, (first if cause else "", error.message, error.tip)))


def _lock_of(resolution: Resolution, target: Target) -> Lock:
    if target in resolution.faults:
        raise resolution.faults[target]
    return resolution.locks[target]


def choose_templates(
    context: RunContext, resolution: Resolution, jobs: Sequence[Job], digests: Mapping[str, str]
) -> tuple[tuple[Job, ...], Templates]:
    """Choose the templates of warm kernels; the jobs say whether what they import is still to be learnt.

    Parameters
    ----------
    digests
        Of what each notebook depends on, by path.
    """
    # Jupyter's packages import each other in circles, so no other thread may be importing what they share.
    if context.start is not None:
        context.start.wait()
    from envsolver.run.warm.plan import WarmPlan, plan_templates
    from envsolver.run.warm.templates import Templates

    project, cold = context.project, context.options.cold
    keys = {target: project.store.key_for(lock) for target, lock in resolution.locks.items()}
    known = project.history.known(jobs, digests=digests, environments=keys)
    jobs = tuple(
        replace(job, warm_start=WarmStart(cold=cold, want_modules=not known.get(job.id, KernelHistory()).modules))
        for job in jobs
    )
    plan = (
        WarmPlan()
        if cold
        else plan_templates(jobs, resolution.notebooks, keys=keys, known=known, workers=worker_count(context.options))
    )
    template_facts = project.history.template_facts()
    return jobs, Templates(plan, run_id=context.run_id, logs=context.directory / "logs", learnt=template_facts)


def record_facts(history: History, templates: Templates) -> None:
    """Write down what the templates found out; a history that cannot be written only makes later runs slower."""
    with contextlib.suppress(sqlite3.Error, OSError):
        history.record_facts(templates.template_facts())
