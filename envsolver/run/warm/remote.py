"""Templates on a cluster's nodes: the controller writes down what a node shall start, and each starts its own.

Both see the folder of the order, and what the templates find out comes back there. A job names its template and the
part that forks its kernel; where on the node that listens, the node's own processes know.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from envsolver.core.environments import Environment
from envsolver.core.files import write_atomically
from envsolver.core.jobs import Job
from envsolver.core.paths import ENVIRONMENT_ORDER, LOGS, TEMPLATES_FACTS, TEMPLATES_ORDER
from envsolver.core.results import Result
from envsolver.run.warm.plan import TemplateSpec, WarmPlan
from envsolver.run.warm.templates import Templates

SEND_SECONDS = 1.0
"""How often a node looks what its templates have found out."""

_KEY = 12


def order_file(directory: Path, key: str) -> Path:
    """Return the file that says which templates an environment's nodes start."""
    return directory / f"{key[:_KEY]}{TEMPLATES_ORDER}"


class RemoteTemplates:
    """The templates of a run on a cluster, as its controller knows them.

    Parameters
    ----------
    plan
        Which there are, and whom they serve.
    directory
        Where the nodes read what to start.
    facts
        What is known of each environment's template, by the environment's key.
    """

    def __init__(self, plan: WarmPlan, *, directory: Path, facts: Mapping[str, str]) -> None:
        self._plan = plan
        self._directory = directory
        self._facts = facts

    def start_for(
        self, group: str, python: str, environment: Environment, env: Mapping[str, str] | None = None
    ) -> None:
        """Write down what the nodes of an environment shall start. No node of it is asked for before."""
        specs = [each for each in self._plan.templates if (each.group, each.python) == (group, python)]
        if specs:
            order = (specs, environment, dict(env or {}), self._facts.get(environment.key, ""))
            order_file(self._directory, environment.key).write_bytes(pickle.dumps(order))

    def path_for(self, job: Job) -> str:
        """Return the template and the part of it that forks the job's kernel; empty when it must start cold."""
        served = self._plan.serves.get(job.id)
        return "" if job.warm_start.cold or served is None else f"{served.template}/{served.node}"

    def loading(self, job: Job) -> frozenset[str]:  # noqa: ARG002
        """Return nothing: a node's own jobs wait for its template."""
        return frozenset()

    def shared(self, job: Job) -> int:  # noqa: ARG002
        """Return 0: a node's memory is its own."""
        return 0

    def memory(self) -> int:
        """Return 0: they take none of this machine's."""
        return 0

    def learn(self, job: Job, result: Result) -> None:
        """Do nothing: what nodes start was written down before."""

    def template_facts(self) -> dict[str, str]:
        """Return what the nodes' templates found out about their environments, by the environment's key."""
        found: dict[str, str] = {}
        for file in self._directory.glob(f"*{TEMPLATES_FACTS}"):
            with contextlib.suppress(OSError, ValueError):
                found |= json.loads(file.read_text(encoding="utf-8"))
        return found

    def stop(self) -> None:
        """Remove what was written down for nodes, since it holds variables. The nodes end their templates."""
        for suffix in (TEMPLATES_ORDER, ENVIRONMENT_ORDER):
            for file in self._directory.glob(f"*{suffix}"):
                file.unlink(missing_ok=True)


def _send_facts(templates: Templates, file: Path) -> None:
    """Keep what templates find out in a file that the controller sees, as long as this process lives."""
    sent: dict[str, str] = {}
    while True:
        time.sleep(SEND_SECONDS)
        found = templates.template_facts()
        if found != sent:
            with contextlib.suppress(OSError):  # the next run finds it out again
                write_atomically(file, json.dumps(found))
                sent = found


def start_templates(order: Path, mark: str, at_node: Callable[[Job], Job]) -> Templates | None:
    """Start on a node what its environment's order says; None when there is no order, or no place for their logs.

    Parameters
    ----------
    mark
        The mark of the node's processes.
    at_node
        Returns a job as it runs on this node.
    """
    if not order.exists():
        return None
    specs: list[TemplateSpec]
    specs, environment, env, facts = pickle.loads(order.read_bytes())  # noqa: S301  in a folder of the user's own
    specs = [replace(spec, job=replace(at_node(spec.job), run_id=mark)) for spec in specs]
    home = Path(specs[0].job.run_dir)
    if not home.is_dir():
        return None  # nothing is made in its place: a job that comes here says that the node does not see it
    logs = home / LOGS
    templates = Templates(WarmPlan(), run_id=mark, logs=logs, facts={environment.key: facts}, outer=os.environ)
    for spec in specs:
        templates.start(spec, environment, env)
    file = order.with_suffix(TEMPLATES_FACTS)
    threading.Thread(target=_send_facts, args=(templates, file), name="template-facts", daemon=True).start()
    return templates
