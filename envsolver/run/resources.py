"""What one run holds on to while it goes on, acquired in one place and given back whatever happens."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import Job
from envsolver.core.paths import LOGS, SENT_HOME
from envsolver.core.progress import BlockListener
from envsolver.core.redaction import redact_file
from envsolver.run.context import RunContext
from envsolver.run.coverage import not_ahead
from envsolver.run.faults import keep_traceback, own_failure
from envsolver.run.healing import HealingExecutor
from envsolver.run.parsl.executor import ParslJobExecutor
from envsolver.run.parsl.pool import LocalPools, Pools
from envsolver.run.scheduler.inline import InlineExecutor
from envsolver.run.scheduler.outcome import RunOutcome
from envsolver.run.scheduler.protocols import JobExecutor
from envsolver.run.services import Services
from envsolver.run.shipment import bring_rest, pack, sends
from envsolver.worker.guardian import owned
from envsolver.worker.private_directories import make_private, run_directory, temporary
from envsolver.worker.processes import JOB_MARK, RUN_MARK, kill_marked

if TYPE_CHECKING:
    from envsolver.run.warm.placed import StartedTemplates
    from envsolver.run.warm.plan import WarmPlan


_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)

PARSL = "parsl"
"""The folder of Parsl's own files, in the run's."""


@dataclass(kw_only=True, slots=True)
class Ending:
    """How the scheduling ended, which decides how things are given back.

    Attributes
    ----------
    outcome
        None as long as it has not ended, and for good when it raised.
    """

    outcome: RunOutcome | None = None

    @property
    def early(self) -> bool:
        """Whether there may be work that no longer has a purpose."""
        return self.outcome is None or bool(self.outcome.stopped)

    @property
    def in_haste(self) -> bool:
        """Whether to end everything without waiting for it."""
        return self.outcome is None or self.outcome.interrupted


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What one run holds on to.

    Attributes
    ----------
    parsl
        The folder of Parsl's files, which a cluster's nodes see as well.
    """

    parsl: Path

    services: Services
    templates: StartedTemplates
    executor: JobExecutor
    ending: Ending


@contextlib.contextmanager
def acquire(
    context: RunContext, plan: WarmPlan, *, rebuild: Callable[[Job], bool], on_block: BlockListener | None = None
) -> Iterator[Resources]:
    """Acquire all that a run needs; afterwards release it in the reverse order, and leave no process.

    Each part is released even when another cannot be: that is reported, and its traceback kept in the run's folder.

    Parameters
    ----------
    plan
        The templates of warm kernels.
    rebuild
        Builds a job's environment anew if it is damaged, and returns whether it was.
    on_block
        Is told, from any thread, what becomes of a cluster's blocks; by default it is the progress.

    Raises
    ------
    ConfigurationError
        There is no usable temporary directory.
    """
    project, run_id = context.project, context.run_id
    logs = context.directory / LOGS
    with contextlib.ExitStack() as stack:

        def on_exit(name: str, give_back: Callable[[], object]) -> None:
            stack.callback(_give_back, context, name, give_back)

        on_exit("cache", project.store.release)
        scratch = _make_scratch(run_id)
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        parsl = shared_directory(context) if context.options.placement.clusters else scratch / PARSL
        _own_processes(stack, context, [scratch, parsl])
        ending = Ending()
        executor = HealingExecutor(_make_executor(context, parsl, on_block or context.progress.block), rebuild)
        on_exit("executor", lambda: executor.close(gently=not ending.in_haste))
        services = Services(project.config.services, root=project.root, logs=logs, run_id=run_id)
        on_exit("services", services.stop)
        templates = _make_templates(context, plan, parsl)
        if context.session is None:
            on_exit("templates", templates.stop)
        on_exit("history", lambda: _record_facts(context, templates))
        on_exit("work", lambda: _stop_work(context, ending))
        yield Resources(parsl=parsl, services=services, templates=templates, executor=executor, ending=ending)


def _record_facts(context: RunContext, templates: StartedTemplates) -> None:
    """Remember what was found out of templates, unless coverage was in them, whose modules no other kernel has."""
    if context.coverage is None:
        context.project.history.record_facts(templates.template_facts())


def _own_processes(stack: contextlib.ExitStack, context: RunContext, directories: Sequence[Path]) -> None:
    """End all processes of the run in the end; when they are gone, keep what Parsl and the logs say of them."""
    # What stays for the next run carries this one's mark.
    owner = owned(context.run_id, directories) if context.session is None else contextlib.ExitStack()
    ended = stack.enter_context(owner)
    ended.callback(_give_back, context, "parsl", lambda: _keep_parsl_files(directories[-1], context.directory))
    ended.callback(_give_back, context, "logs", lambda: _redact_logs(context.directory / LOGS))
    if sends(context.options.placement):
        ended.callback(_give_back, context, "files", lambda: bring_rest(directories[-1], context.directory))


def _redact_logs(logs: Path) -> None:
    """Take credentials out of what kernels, templates and services have printed."""
    for log in logs.rglob("*.log"):
        with contextlib.suppress(OSError):  # one that cannot be rewritten shows them, as it would without a run
            redact_file(log)


def _stop_work(context: RunContext, ending: Ending) -> None:
    """End what serves nothing any more."""
    if ending.early:
        context.project.uv.stop()
    if ending.in_haste:
        kill_marked(RUN_MARK, context.run_id)


def _give_back(context: RunContext, name: str, give_back: Callable[[], object]) -> None:
    """Release one resource. That this failed must cost neither the verdicts nor the release of the others."""
    try:
        give_back()
    except Exception as error:  # noqa: BLE001  reported, with its traceback in the run's folder
        context.progress.note(own_failure(error, keep_traceback(context.directory, name, error)))


def _make_scratch(run_id: str) -> Path:
    try:
        make_private(run_directory(run_id))
        return Path(tempfile.mkdtemp(prefix="envsolver-", dir=temporary()))
    except OSError as error:
        raise ConfigurationError(
            [f"no temporary directory can be made: {error}"],
            tip="Let TMPDIR name a directory that exists, can be written and has room.",
        ) from error


def _make_executor(context: RunContext, directory: Path, on_block: BlockListener) -> JobExecutor:
    options, run_id = context.options, context.run_id
    if options.sequential:
        from envsolver.worker.run_job import run_job

        return InlineExecutor(run_job, clear=lambda job: kill_marked(JOB_MARK, job.mark))
    server = context.prestart.server if context.prestart is not None else ""
    pools: dict[str, Pools] = {}
    if options.placement.here:
        pools[""] = LocalPools(run_id=run_id, directory=directory, server=server)
    for profile in options.placement.clusters:
        from envsolver.run.parsl.cluster import ClusterPools  # it imports Parsl

        pools[profile.name] = ClusterPools(
            profile,
            run_id=run_id,
            directory=directory,
            server=server,
            note=context.progress.note,
            on_block=on_block,
        )
    return ParslJobExecutor(pools, directory=directory, monitor=options.monitor)


def _make_templates(context: RunContext, plan: WarmPlan, directory: Path) -> StartedTemplates:
    from envsolver.run.warm.placed import PlacedTemplates
    from envsolver.run.warm.remote import RemoteTemplates
    from envsolver.run.warm.templates import Templates

    facts, placement = dict(context.project.history.template_facts()), context.options.placement
    if context.coverage is not None:
        for key in {spec.environment for spec in plan.templates}:
            facts[key] = not_ahead(facts.get(key, ""), context.project.root, context.coverage.options.source)
    new = partial(Templates, plan, run_id=context.run_id, logs=context.directory / LOGS, facts=facts)
    if not placement.clusters:
        return new() if context.session is None else context.session.templates(plan, new)
    remote = RemoteTemplates(plan, directory=directory, facts=facts)
    if not placement.here:
        return remote
    return PlacedTemplates(new(), remote, is_here=lambda group: placement.of(group) is None)


def shared_directory(context: RunContext) -> Path:
    """Make the folder of Parsl's files where the nodes see it: beside the environments, if they see those.

    Raises
    ------
    ConfigurationError
        Its path needs quoting, or it cannot be made.
    """
    unshared = any(profile.settings.node_environments for profile in context.options.placement.clusters)
    directory = context.directory / "nodes" if unshared else context.project.cache / PARSL / context.run_id
    if not _PLAIN.fullmatch(str(directory)):
        raise ConfigurationError(
            [f"{directory}: Parsl's scripts do not quote their paths, and this one would need it"],
            tip="Let `environments` of the profile name a folder of letters, digits and the signs ._+-/ alone."
            if not unshared
            else "Let --run-dir name a folder of letters, digits and the signs ._+-/ alone.",
        )
    try:
        directory.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise ConfigurationError([f"{directory}: cannot be made: {error.strerror or error}"]) from error
    if sends(context.options.placement):
        pack(context.project.root, directory)
        (directory / SENT_HOME).mkdir()
    return directory


def _keep_parsl_files(parsl: Path, directory: Path) -> None:
    """Move what Parsl wrote to the run's folder, without its keys: they are of no use now, and CI uploads runs."""
    for keys in parsl.glob("*/*/certificates"):
        shutil.rmtree(keys, ignore_errors=True)
    if parsl.exists():
        shutil.move(parsl, directory / PARSL)
