"""Which notebooks need not run, since they passed and nothing that they depend on has changed; and what passes leave.

A notebook is cached only when its whole fingerprint is the same. What is not known for certain makes it run.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.config.load import settings_for
from envsolver.core.fingerprints import Fingerprint, difference
from envsolver.core.jobs import Job
from envsolver.core.results import Result, ResultKey
from envsolver.run.contents import Contents
from envsolver.run.fingerprints import facts, service_looks
from envsolver.run.passes import Pass
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution
from envsolver.run.since import changed_since, why_since

if TYPE_CHECKING:
    from envsolver.run.watch import WatchSession

HINDRANCE = "hindrance"
"""The fact of a pass that must not be taken for the next one's: why."""

NEVER_PASSED = "never passed"

VERIFIED = "its cached verdict is verified"


class Unchanged:
    """Compares jobs with their last passes.

    Parameters
    ----------
    directory
        The folder of this run.
    session
        What ran in it runs again only when it changed, whatever its verdict.
    """

    def __init__(
        self, project: Project, resolution: Resolution, *, directory: Path, session: WatchSession | None = None
    ) -> None:
        self._project = project
        self._resolution = resolution
        self._directory = directory
        self._session = session
        self._passes = project.passes.known()
        self._contents = Contents(project.root, project.passes.digests())
        self._now = datetime.now(timezone.utc)
        # One that is not there, as where a CI keeps the history alone, would be built as the lock says.
        self._broken = {target for target, lock in resolution.locks.items() if project.store.is_broken(lock)}

    def split(
        self, jobs: Iterable[Job], *, rerun: bool = False, verify: float = 0.0, since: str | None = None
    ) -> tuple[tuple[Job, ...], tuple[Result, ...]]:
        """Return the jobs that must run, each with the reason why, and the results of those that need not.

        Parameters
        ----------
        verify
            Which part of those that need not runs all the same, percent, and at least one of them.
        since
            As in `Options`.

        Raises
        ------
        ConfigurationError
            Git does not know that commit.
        """
        changed = None if since is None else changed_since(self._project.root, since)
        skipped: list[Result] = []
        waiting: list[Job] = []
        cached: list[Job] = []
        failed = self._failed()
        for job in jobs:
            seen = None if self._session is None else self._session.fingerprints.get(job.key)
            why = self._changed(job, seen) if seen is not None else self.why(job, failed)
            if rerun:
                why = "all are run again"
            if changed is not None and why == NEVER_PASSED:
                why = why_since(self._project.root, job.notebook, changed)
                skipped += [] if why else [_skipped(job, f"nothing that it may depend on changed since {since}")]
            elif not why:
                cached.append(job)
            if why:
                waiting.append(replace(job, why=why))
        sample = set(random.sample(range(len(cached)), math.ceil(len(cached) * verify / 100)))
        waiting += [replace(cached[number], why=VERIFIED) for number in sorted(sample)]
        rest = [self._cached(job) for number, job in enumerate(cached) if number not in sample]
        return tuple(waiting), (*rest, *skipped)

    def keep(self) -> None:
        """Remember the digests that were made for it."""
        self._project.passes.keep_digests(self._contents.fresh)

    def why(self, job: Job, failed: frozenset[ResultKey]) -> str:
        """Return why a job must run, as a phrase; empty when its last pass still holds."""
        config = self._project.config
        settings = settings_for(config, job.notebook)
        if settings.cache == "never":
            return 'its table says cache = "never"'
        last = self._passes.get(job.key)
        if job.target not in self._resolution.locks:
            return "its group has no lock"
        if job.key in failed:
            return "it did not pass the last time"
        if last is None:
            return NEVER_PASSED
        if job.target in self._broken:
            return "its environment is damaged"
        return self._expired(last, config.cache_days) or _over_limits(job, last) or self._changed(job, last.fingerprint)

    def _failed(self) -> frozenset[ResultKey]:
        """Name those that ran before without a pass that is kept."""
        return frozenset(self._project.history.failed())

    def _expired(self, last: Pass, days: float) -> str:
        try:
            age = self._now - datetime.fromisoformat(last.started)
        except (ValueError, TypeError, OverflowError):
            return "the time of its last pass cannot be read"
        if age < timedelta(minutes=-5):
            return "its last pass is in the future: the clock was set"
        return f"its last pass is {age.days} days old" if age > timedelta(days=days) else ""

    def _changed(self, job: Job, last: Fingerprint) -> str:
        states = {look: self._contents.state(look) for look in last.states}
        known = facts(job, self._resolution, self._project.config, building=" ".join(self._project.store.settings))
        return difference(last, Fingerprint(facts=known, states=states))

    def _cached(self, job: Job) -> Result:
        if self._session is not None and job.key in self._session.fingerprints:
            return self._session.result(job.key, self._directory)
        last = self._passes[job.key]
        copy = self._project.root / last.run / last.executed
        there = last.executed and copy.is_file()
        day = last.started[:10]
        return Result(
            notebook=job.notebook,
            group=job.group,
            python=job.python,
            strategy=job.strategy,
            status="cached",
            environment=self._project.store.key_for(self._resolution.locks[job.target]),
            started=last.started,
            seconds=last.seconds,
            peak_rss_bytes=last.memory,
            warnings=last.warnings,
            warning_count=last.warning_count,
            reason=f"passed on {day} in run {Path(last.run).name}, and nothing that it depends on has changed since",
            executed=os.path.relpath(copy, self._directory) if there else "",
        )


class Recorder:
    """Keeps the fingerprints of passes, on a thread of its own: reading large files must not hold up the run.

    Parameters
    ----------
    jobs
        The run's jobs.
    directory
        The run's folder.
    session
        Gets the fingerprints of all whose reading is known, failures included.
    """

    def __init__(
        self,
        project: Project,
        resolution: Resolution,
        jobs: Iterable[Job],
        directory: Path,
        session: WatchSession | None = None,
    ) -> None:
        self._project = project
        self._resolution = resolution
        inside = directory.is_relative_to(project.root)
        self._run = (directory.relative_to(project.root) if inside else directory).as_posix()
        building = " ".join(project.store.settings)
        self._session = session
        self._facts = {
            job.key: facts(job, resolution, project.config, building=building)
            for job in jobs
            if job.target in resolution.locks
        }
        self._jobs: Mapping[ResultKey, Job] = {job.key: job for job in jobs}
        self._contents = Contents(project.root, project.passes.digests())
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fingerprints")

    def add(self, result: Result) -> None:
        """Keep the fingerprint of a pass; after any other verdict, forget the one before."""
        self._thread.submit(self._record, result)

    def close(self) -> None:
        """Wait until all is kept."""
        self._thread.shutdown()
        self._project.passes.keep_digests(self._contents.fresh)

    def _record(self, result: Result) -> None:
        job = self._jobs[result.key]
        lock = self._resolution.locks.get(job.target)
        # An environment without the local project, which could not be built, is not what the lock says.
        as_locked = lock is not None and result.environment == self._project.store.key_for(lock)
        complete = as_locked and result.reading is not None
        if complete and (result.status == "passed" or self._session is not None):
            fingerprint = self._fingerprint(job, result)
        if complete and result.status == "passed":
            self._project.passes.keep(result, fingerprint, self._run)
        else:
            self._project.passes.drop(result.key)

    def _fingerprint(self, job: Job, result: Result) -> Fingerprint:
        reading = result.reading
        assert reading is not None  # noqa: S101  # `_record` looked
        self._contents.forget()
        looks = (*reading.looks, *service_looks(job, self._project.config))
        states = {look: self._contents.state(look) for look in looks}
        settings = settings_for(self._project.config, job.notebook)
        # After the states: what changes until then is noticed.
        unsafe = self._contents.distrust(reading, job.notebook)
        if self._session is not None and not unsafe:
            self._session.fingerprints[job.key] = Fingerprint(facts=self._facts[job.key], states=states)
        hindrance = unsafe or ("" if settings.cache == "always" else reading.hindrance)
        known = {HINDRANCE: hindrance} if hindrance else {}
        return Fingerprint(facts={**known, **self._facts[job.key]}, states=states)


def _skipped(job: Job, reason: str) -> Result:
    return Result(notebook=job.notebook, group=job.group, python=job.python, status="skipped", reason=reason)


def _over_limits(job: Job, last: Pass) -> str:
    if last.seconds > job.limits.timeout:
        return f"it took {last.seconds:.0f} s, and its limit is {job.limits.timeout:g} s"
    if job.limits.memory is not None and (last.memory or 0) > job.limits.memory:
        return "it took more memory than its limit allows"
    return ""
