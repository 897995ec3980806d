"""`envsolver run --watch`: after each save, what depends on the saved file runs, from templates that stay up.

Each round is a run of its own. A `WatchSession` holds what stays between the rounds: the mark of all processes, the
templates of warm kernels, and of each notebook the newest verdict with the fingerprint that it belongs to, so that one
that failed runs again only when something changed that it depends on. A save in the middle of a round ends that round.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.core.errors import EnvsolverError
from envsolver.core.fingerprints import Fingerprint
from envsolver.core.jobs import Job
from envsolver.core.paths import LOGS
from envsolver.core.progress import Progress
from envsolver.core.results import Result, ResultKey
from envsolver.run.contents import UNSEEN
from envsolver.run.directories import output_files
from envsolver.run.options import Options, worker_count
from envsolver.run.project import Project
from envsolver.run.resolution import Resolution
from envsolver.run.scheduler.events import StopRequested
from envsolver.run.workflow import plan, run
from envsolver.worker import run_job  # noqa: F401  the first save is not to wait for what it imports
from envsolver.worker.guardian import owned
from envsolver.worker.private_directories import run_directory

if TYPE_CHECKING:
    from envsolver.run.scheduler.events import Event
    from envsolver.run.warm.plan import WarmPlan
    from envsolver.run.warm.templates import Templates

SAVED = "a file was saved"
"""Why a round is stopped by a save."""

QUIET_MS = 20
"""For how long nothing more is saved before a round begins, milliseconds."""

WORTH_SECONDS = 5.0
"""From how much expected work on workers are started, seconds."""

_INTERRUPTED = 130


class WatchSession:
    """What stays from round to round.

    Attributes
    ----------
    run_id
        The mark of all processes of all rounds.
    planned
        All jobs of this round, those that need not run included: templates are chosen for all.
    results, fingerprints
        The newest verdict of each notebook that ran, and what it depended on, where that is known.
    """

    def __init__(self) -> None:
        self.run_id = uuid.uuid4().hex
        self.planned: Sequence[Job] = ()
        self.results: dict[ResultKey, Result] = {}
        self.fingerprints: dict[ResultKey, Fingerprint] = {}
        self._templates: Templates | None = None
        self._saved = threading.Event()
        self._under_way = False
        self._stoppers: set[str] = set()
        self._stop = False
        self._post: Callable[[Event], None] | None = None

    def templates(self, plan: WarmPlan, make: Callable[[], Templates]) -> Templates:
        """Return the templates that are up, if they are still the right ones, and else new ones."""
        if self._templates is None or not self._templates.serve(plan):
            self.close()
            self._templates = make()
        return self._templates

    def close(self) -> None:
        """End the templates."""
        if self._templates is not None:
            self._templates.stop()
            self._templates = None

    def keep(self, result: Result, directory: Path) -> None:
        """Take note of a verdict; `directory` is its run's folder."""
        executed, log = (str(directory / place) if place else "" for place in (result.executed, result.log))
        self.results[result.key] = replace(result, executed=executed, log=log)
        self.fingerprints.pop(result.key, None)

    def settle(self, results: Iterable[Result]) -> None:
        """Take note of the verdicts of all notebooks at a round's end; a cached one is what it was before."""
        known = self.results
        self.results = {each.key: known.get(each.key, each) if each.started else each for each in results}

    def result(self, key: ResultKey, directory: Path) -> Result:
        """Return the newest verdict of a notebook, its files relative to a run's folder."""
        kept = self.results[key]
        executed, log = (os.path.relpath(place, directory) if place else "" for place in (kept.executed, kept.log))
        return replace(kept, executed=executed, log=log)

    def attend(self, post: Callable[[Event], None]) -> None:
        """Have the round that begins stopped by the next save."""
        self._post = post
        if self._stop:
            post(StopRequested(reason=SAVED))

    def saved(self, paths: Collection[str]) -> None:
        """Take note that files were saved; may be called from any thread.

        A file stops one round only, until one has come to its end: what is written all the time, as logs are, would
        keep each from its end. A save between two rounds stops none.
        """
        self._saved.set()
        if self._under_way and not self._stoppers.issuperset(paths):
            self._stoppers.update(paths)
            self._stop = True
            if self._post is not None:
                self._post(StopRequested(reason=SAVED))

    def wait(self) -> None:
        """Wait until something is saved after the last call."""
        self._saved.wait()

    def begin(self) -> None:
        """Begin a round with what is saved by now."""
        self._post = None
        self._saved.clear()
        self._stop = False
        self._under_way = True

    def ended(self) -> None:
        """Take note that a round has come to its end."""
        self._under_way = False
        self._stoppers.clear()


def run_round(session: WatchSession, project: Project, options: Options, progress: Progress, *, cwd: Path) -> str:
    """Run what must run, and return why that was stopped; empty when it was not.

    Raises
    ------
    EnvsolverError
        As `run` does.
    """
    made = plan(project, options, cwd=cwd, session=session)
    if not made.jobs:
        session.settle(made.settled)
        _warm_up(session, made.resolution, project, options)
        return ""
    expected = sum(made.costs[job.id].seconds or 0.0 for job in made.jobs)
    # Workers take longer to start than one notebook, or several short ones, would gain from them.
    short = len(made.jobs) == 1 or 0 < expected < WORTH_SECONDS
    options = replace(options, sequential=options.sequential or short)
    finished, _ = run(project, options, progress, cwd=cwd, session=session)
    if not finished.stopped:
        session.settle(finished.results)
    return finished.stopped


def _warm_up(session: WatchSession, resolution: Resolution, project: Project, options: Options) -> None:
    """Have templates up before the first save; one whose services it would need starts with them."""
    from envsolver.run.warm.plan import plan_templates
    from envsolver.run.warm.templates import Templates

    keys = {target: project.store.key_for(lock) for target, lock in resolution.locks.items()}
    workers = worker_count(options)
    chosen = plan_templates(session.planned, resolution.notebooks, keys=keys, known={}, workers=workers, least=1)
    logs, facts = run_directory(session.run_id) / LOGS, project.history.template_facts()
    templates = session.templates(chosen, partial(Templates, chosen, run_id=session.run_id, logs=logs, facts=facts))
    for target in {job.target for job in session.planned} & resolution.locks.keys():
        settings = project.config.groups.get(target.group)
        if not (settings and settings.services) and project.store.has(resolution.locks[target]):
            templates.start_for(*target, project.store.ensure(resolution.locks[target]))


def watch(
    round_of: Callable[[WatchSession], str],
    root: Path,
    show: Callable[[WatchSession], None],
    say: Callable[[str], None],
) -> int:
    """Run round after round until it is interrupted, and return the exit code.

    Parameters
    ----------
    round_of
        Runs what must run, and returns why it was stopped.
    root
        The folder whose files are watched.
    show, say
        Show where things stand, and say one line.

    Raises
    ------
    EnvsolverError
        The first round cannot be run. A later fault is said, and the next save is waited for.
    """
    with session_of(root) as session:
        first = True
        while True:
            session.begin()
            try:
                stopped = round_of(session)
                if stopped == SAVED:
                    continue
                if stopped:
                    return _INTERRUPTED
                show(session)
            except EnvsolverError as error:
                if first:
                    raise
                say(f"envsolver: {error}")
            first = False
            session.ended()
            session.wait()


@contextlib.contextmanager
def session_of(root: Path) -> Iterator[WatchSession]:
    """Watch a folder, and end all that the rounds leave up in the end."""
    session, ended = WatchSession(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(root, session, ended), name="watch", daemon=True)
    # When a save ends a round, kernels die under their clients, which is no news.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with owned(session.run_id):
        watcher.start()
        try:
            yield session
        finally:
            ended.set()
            session.close()


def _watch(root: Path, session: WatchSession, ended: threading.Event) -> None:
    from watchfiles import DefaultFilter
    from watchfiles import watch as changes

    kinds = DefaultFilter(ignore_dirs=[*DefaultFilter.ignore_dirs, *UNSEEN])
    own = {str(root / name) for name in output_files(root)}
    for found in changes(root, watch_filter=kinds, debounce=QUIET_MS * 10, step=QUIET_MS, stop_event=ended):
        if paths := {path for _, path in found} - own:
            session.saved(paths)
