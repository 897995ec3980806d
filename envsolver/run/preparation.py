"""Bring up what a run's jobs need: environments, services, and the templates of warm kernels."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.core.digests import digest
from envsolver.core.environments import Environment, Lock, Target
from envsolver.core.errors import BuildError, EnvsolverError
from envsolver.core.jobs import Job, KernelHistory, WarmStart
from envsolver.core.paths import ENVIRONMENT_ORDER
from envsolver.core.settings import GroupSettings
from envsolver.resolver.derive import without
from envsolver.resolver.explanations import build_failure
from envsolver.resolver.remedies import remedy_of_build
from envsolver.run.context import RunContext, RunRecord
from envsolver.run.faults import keep_traceback, own_failure
from envsolver.run.gpus import gpu_sets, gpu_variables
from envsolver.run.node_environment import Order
from envsolver.run.options import worker_count
from envsolver.run.resolution import Resolution
from envsolver.run.resources import Resources
from envsolver.run.scheduler.events import (
    EnvironmentLocated,
    EnvironmentReady,
    EnvironmentUnavailable,
    Event,
    Message,
)
from envsolver.run.unbuildable import LOCAL_MARK, Unbuildable, find_unbuildable

if TYPE_CHECKING:
    from envsolver.run.warm.plan import WarmPlan


class Preparation:
    """Brings up the environment, services and templates of each target, side by side, and reports it to the scheduler.

    Parameters
    ----------
    record
        Gets the environments, and the errors of those that cannot be had.
    post
        Hands an event to the scheduling; may be called from any thread.
    """

    def __init__(
        self,
        context: RunContext,
        resolution: Resolution,
        resources: Resources,
        record: RunRecord,
        post: Callable[[Event], None],
    ) -> None:
        self._context = context
        self._project = context.project
        self._resolution = resolution
        self._resources = resources
        self._record = record
        self._post = post

    def start(self, targets: Iterable[Target]) -> None:
        """Begin with each target on a thread of its own, and return at once."""
        for target in targets:
            threading.Thread(target=self.prepare, args=(target,), name=f"prepare-{target.group}", daemon=True).start()

    def prepare(self, target: Target) -> None:
        """Bring one target up. Whatever goes wrong becomes an event, since notebooks wait for it."""
        try:
            self._prepare(target)
        except EnvsolverError as error:
            self._record.errors.append(error)
            self._post(EnvironmentUnavailable(target=target, reason=_explanation(error, target.python)))
        except Exception as error:  # noqa: BLE001  a thread that dies silently would leave its notebooks waiting
            name = f"{target.group}-{target.python}".replace(os.sep, "-")
            place = keep_traceback(self._context.directory, name, error)
            self._post(
                EnvironmentUnavailable(target=target, reason=own_failure(error, place), verdict="crashed", log=place)
            )

    def _prepare(self, target: Target) -> None:
        group, version = target
        store = self._project.store
        settings = self._project.config.groups.get(group, GroupSettings())
        profile = self._context.options.placement.of(group)
        gpus = gpu_sets(settings.gpus, os.environ if profile is None else gpu_variables(profile.gpus_per_node))
        if settings.gpus and not gpus:
            place = "this machine" if profile is None else f"a node of profile {profile.name}"
            reason = f"group {group} needs {settings.gpus} GPU for each notebook, and {place} has too few"
            self._post(EnvironmentUnavailable(target=target, reason=reason, verdict="skipped"))
            return
        if settings.services and profile is not None:
            raise EnvsolverError(
                f"group {group} needs services, which no node of profile {profile.name} could reach on this machine"
            )
        lock = self._lock_of(target)
        if profile is not None and profile.settings.project == "send" and lock.editable:
            raise EnvsolverError(
                f"group {group} installs a folder of the project as it is (-e), which no node of profile "
                f'{profile.name} has at that path, since it is sent the project (project = "send")',
                tip="Leave out the -e, so that the environment holds a copy.",
            )
        self._post(EnvironmentLocated(target=target, key=store.key_for(lock), prefix=store.prefix_for(lock), gpus=gpus))
        if not store.has(lock):
            text = f"{group}: building an environment of {len(lock.packages)} packages, Python {version}"
            self._post(Message(text=text))
        environment = replace(self._build(target, lock), group=group)
        self._record.environments.append(environment)
        if environment.built:
            self._post(Message(text=f"{group}: environment built in {environment.seconds:.1f} s"))
        if profile is not None and profile.settings.node_environments and not lock.prefix:
            self._order(lock, environment)
        variables = dict(self._resources.services.start(settings.services, environment))
        if self._context.coverage is not None:
            variables |= self._context.coverage.variables(lock.interpreter)
        self._resources.templates.start_for(group, version, environment, variables)
        self._post(EnvironmentReady(target=target, environment=environment, env=variables))

    def _order(self, lock: Lock, environment: Environment) -> None:
        """Write down for the nodes what each of them builds."""
        from envsolver.run.warm.remote import order_file

        project = self._project
        order = Order(
            root=project.root,
            pass_env=tuple(project.config.pass_env),
            cache=project.cache,
            lock=lock,
            prefix=environment.prefix,
        )
        file = order_file(self._resources.parsl, environment.key).with_suffix(ENVIRONMENT_ORDER)
        file.write_bytes(pickle.dumps(order))

    def _lock_of(self, target: Target) -> Lock:
        if target in self._resolution.faults:
            raise self._resolution.faults[target]
        return self._resolution.locks[target]

    def _build(self, target: Target, lock: Lock) -> Environment:
        """Build a target's environment; without what cannot be built, for the notebooks that can do without it.

        Raises
        ------
        BuildError
            Nothing is left to build.
        """
        resolution, project, version = self._resolution, self._project, target.python
        group = resolution.groups[target.group]
        members = {a.notebook for a in resolution.assignments if a.group == target.group}

        def say(text: str) -> None:
            self._post(Message(text=f"{target.group}: {text}"))

        while True:
            try:
                return project.store.ensure(lock, say=say)
            except BuildError as error:
                found = None
                if not group.place:
                    found = find_unbuildable(
                        error, group, members, project=project, resolution=resolution, python=version
                    )
                if found is None:
                    raise
                self._give_up(target, error, found)
            members -= found.notebooks
            text = f"{target.group}: building it again, for {len(members)} that do without {found.name}"
            self._post(Message(text=text))
            group = without(group, found.texts, project.root)
            lock = project.lock(group, resolution.interpreters[version])

    def _give_up(self, target: Target, error: BuildError, found: Unbuildable) -> None:
        """Tell that the notebooks that need what cannot be built do not run, and why; mostly there are some."""
        if found.notebooks:
            self._record.errors.append(error)
            version = target.python
            reason = "\n".join(filter(None, (_what_to_see(error, found, version), _explanation(error, version))))
            self._post(EnvironmentUnavailable(target=target, reason=reason, notebooks=found.notebooks))


def rebuild_damaged(context: RunContext, resolution: Resolution, job: Job) -> bool:
    """Build a job's environment anew if files of it are gone; return whether that was so.

    Raises
    ------
    BuildError
        It cannot be built any more.
    """
    store, bound = context.project.store, job.binding
    lock = resolution.locks.get(job.target)
    if lock is None or lock.prefix or store.key_for(lock) != bound.environment:
        return False  # somebody else's, or one without the local project, whose lock is not kept
    environment = Environment(key=bound.environment, group=job.group, python=job.python, prefix=Path(bound.prefix))
    missing = store.discard_damaged(environment)
    if missing:
        what = missing[0] if len(missing) == 1 else f"{missing[0]} and {len(missing) - 1} more files"
        context.progress.note(f"{job.group}: its environment lacks {what}; it is built anew")
        store.ensure(lock)
    return bool(missing)


def _explanation(error: EnvsolverError, python: str) -> str:
    """Return what is to be said of an error; of a project that cannot be built, first why, and what to do."""
    cause = build_failure(error.message) if LOCAL_MARK in error.message else ""
    cure = remedy_of_build("-e .", error.message, python)
    first = f"the project's own package cannot be built: {cause}; {cure}"
    return "\n".join(filter(None, (first if cause else "", error.message, error.tip)))


def _what_to_see(error: BuildError, found: Unbuildable, python: str) -> str:
    """Return which requirements lead to a package that cannot be built, and what to do; empty for a local project."""
    if LOCAL_MARK in error.message:
        return ""
    asked = ", ".join(f"{r.text} ({r.origin})" for r in found.requirements)
    said = ": ".join(filter(None, (f"{asked} cannot be installed", build_failure(error.message))))
    return f"{said}; {remedy_of_build(found.requirements[0].text, error.message, python)}"


def choose_templates(
    context: RunContext, resolution: Resolution, jobs: Sequence[Job], digests: Mapping[str, str]
) -> tuple[tuple[Job, ...], WarmPlan]:
    """Choose the templates of warm kernels; the jobs say whether what they import is still to be learnt.

    Parameters
    ----------
    digests
        Of what each notebook depends on, by path.
    """
    # Jupyter's packages import each other in circles, so no other thread may be importing what they share.
    if context.prestart is not None:
        context.prestart.wait()
    from envsolver.run.warm.plan import WarmPlan, plan_templates

    project, cold = context.project, context.options.cold
    keys = {target: project.store.key_for(lock) for target, lock in resolution.locks.items()}
    known = project.history.known(jobs, digests=digests, environments=keys)
    jobs = tuple(
        replace(
            job,
            warm_start=WarmStart(
                cold=cold,
                want_modules=context.coverage is None and not known.get(job.id, KernelHistory()).modules,
                verify=_is_sampled(job, context.options.verify_warm),
            ),
        )
        for job in jobs
    )
    if cold:
        return jobs, WarmPlan()
    workers, session = worker_count(context.options), context.session
    if session is not None:  # for all notebooks, by what no save of one changes much, so that the templates stay
        return jobs, plan_templates(
            session.planned, resolution.notebooks, keys=keys, known={}, workers=workers, least=1
        )
    return jobs, plan_templates(jobs, resolution.notebooks, keys=keys, known=known, workers=workers)


def _is_sampled(job: Job, percent: float) -> bool:
    """Return whether a job is in a sample, which is the same for all runs of the same code."""
    return int(digest([job.id, job.notebook]), 16) % 10_000 < percent * 100
