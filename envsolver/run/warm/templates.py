"""Starts and ends the templates of a run, and finds for each job where its kernel is forked.

A template is a child of the controller that carries the run's mark. It ends when the controller does, and nothing
but its speed depends on it: a job whose template is gone, or refuses, starts a cold kernel.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from envsolver.core.environments import Environment
from envsolver.core.jobs import Job
from envsolver.core.results import AFTER_VOID, VOID, Result
from envsolver.environments.in_environment import OPENED_FILES, PROGRAM_KEEPER, TEMPLATE_SERVER
from envsolver.run.warm.plan import BASE, NodeSpec, Served, TemplateSpec, WarmPlan, without_spoilt
from envsolver.worker.kernel_env import COVERAGE_DATA, KERNEL_ARGUMENTS, READ_LOG, variables
from envsolver.worker.private_directories import remove, run_directory
from envsolver.worker.processes import JOB_MARK, kill_all, session_members, tree

"""What the template's process runs."""

PRIVATE = (
    "PATH", "PWD", "TMPDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
    "ENVSOLVER_INSTALL_RECORD", "ENVSOLVER_REQUIREMENTS_PLACE", "JPY_PARENT_PID", "JPY_SESSION_NAME", JOB_MARK,
    COVERAGE_DATA, READ_LOG,
)  # fmt: skip
"""Variables that differ from job to job. All others must be the same in a template and in its kernels."""

SIZES_SECONDS = 2.0
"""How long the size of a template is taken to stay."""

_START = (
    "import sys; exec(compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec'),"
    " {'__name__': '__template__', '__file__': sys.argv[1]})"
)
_LONGEST_MARK = 400  # bytes


class _LiveTemplate(NamedTuple):
    """A template that was started, and what its jobs are bound to."""

    spec: TemplateSpec
    directory: Path
    process: subprocess.Popen[bytes]
    environment: Environment
    env: Mapping[str, str]


class Templates:
    """The templates of a run.

    Parameters
    ----------
    plan
        Which there are, and whom they serve.
    run_id
        The run.
    logs
        Directory for what they say.
    facts
        What is known of each environment's template, by the environment's key, as `template_facts` gave it.
    """

    def __init__(
        self,
        plan: WarmPlan,
        *,
        run_id: str,
        logs: Path,
        facts: Mapping[str, str] | None = None,
        outer: Mapping[str, str] | None = None,
    ) -> None:
        self._plan = plan
        self._run_id = run_id
        self._logs = logs
        self._facts = {key: _sound_facts(text) for key, text in (facts or {}).items()}
        self._outer = os.environ if outer is None else outer
        self._running: dict[str, _LiveTemplate] = {}
        self._moved: dict[str, Served] = {}  # jobs that another node serves than was planned
        self._started: set[str] = set()  # jobs
        self._sizes: dict[tuple[Path, str], tuple[float, int]] = {}
        self._up: set[Path] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def start_for(
        self, group: str, python: str, environment: Environment, env: Mapping[str, str] | None = None
    ) -> None:
        """Start all templates of a group and Python version; see `start`."""
        for spec in self._plan.templates:
            if (spec.group, spec.python) == (group, python):
                self.start(spec, environment, env)

    def start(self, spec: TemplateSpec, environment: Environment, env: Mapping[str, str] | None = None) -> None:
        """Start a template, and return at once. One that cannot be started is done without.

        Parameters
        ----------
        env
            Variables that its jobs get beside their own, such as those of services.
        """
        with self._lock:
            if self._stopped or spec.key in self._running or spec.environment != environment.key:
                return
            with contextlib.suppress(OSError):
                self._running[spec.key] = self._launch(spec, environment, env or {})

    def serve(self, plan: WarmPlan) -> bool:
        """Serve another plan's jobs from now on, if the templates that run are those of that plan; return that."""
        with self._lock:
            whole = all(running.process.poll() is None for running in self._running.values())
            alike = [_shape(spec) for spec in plan.templates] == [_shape(spec) for spec in self._plan.templates]
            if whole and alike:
                self._plan = plan
                self._moved.clear()
            return whole and alike

    def path_for(self, job: Job) -> str:
        """Return the socket of the node that forks the job's kernel; empty when it must start cold."""
        key, node = self._served(job.id)
        running = self._running.get(key)
        self._started.add(job.id)
        if job.warm_start.cold or running is None or running.process.poll() is not None:
            return ""
        return str(running.directory / f"{node}.sock")

    def _served(self, job: str) -> Served:
        return self._moved.get(job) or self._plan.serves.get(job, Served("", ""))

    def learn(self, job: Job, result: Result) -> None:
        """Spare the jobs that wait what made an attempt void, where they would have the same modules ahead.

        Parameters
        ----------
        job, result
            The job, and what it came to.
        """
        running = self._running.get(self._served(job.id).template)
        if running is None or not result.warm_verdict.startswith(VOID) or result.modules[:1] != (AFTER_VOID,):
            return
        serves = {name: self._served(name) for name in self._plan.serves if name == job.id or name not in self._started}
        revised, moved = without_spoilt(running.spec, serves, job.id, result.modules[1:])
        if revised is not None:
            self._facts |= {key: _sound_facts(text) for key, text in self.template_facts().items()}
            self.start(revised, running.environment, running.env)
        self._moved |= moved

    def directories(self) -> dict[str, str]:
        """Return where each template listens, by its key."""
        return {key: str(running.directory) for key, running in self._running.items()}

    def loading(self, job: Job) -> frozenset[str]:
        """Name the nodes, beside the base, that are not up yet and without which the job's kernel cannot be forked."""
        key, name = self._served(job.id)
        running = self._running.get(key)
        if job.warm_start.cold or running is None:
            return frozenset()
        found = set()
        parents = {node.id: node.parent for node in running.spec.nodes}
        while name != BASE:
            if not self._is_up(running.directory, name):
                found.add(f"{key}/{name}")
            name = parents[name] or BASE
        return frozenset(found)

    def _is_up(self, directory: Path, node: str) -> bool:
        place = directory / f"{node}.json"
        if place not in self._up and place.exists():
            self._up.add(place)
        return place in self._up

    def template_facts(self) -> dict[str, str]:
        """Return what the templates found out about their environments, by the environment's key.

        Given to the next run, it saves them the time to find out again. It holds only until `stop`.
        """
        found: dict[str, str] = {}
        for spec, directory in [(running.spec, running.directory) for running in list(self._running.values())]:
            told = found.get(spec.environment)
            facts = self._facts.get(spec.environment, _sound_facts("")) if told is None else _sound_facts(told)
            excluded = set(facts["excluded"])
            for node in spec.nodes:
                excluded |= set(_node_record(directory, node.id).get("excluded", ()))
            baseline = facts["baseline"]
            with contextlib.suppress(OSError, ValueError):
                baseline = json.loads((directory / "probe.answer").read_text(encoding="utf-8"))
            found[spec.environment] = json.dumps({"baseline": baseline, "excluded": sorted(excluded)})
        return found

    def shared(self, job: Job) -> int:
        """Return the memory that the job's kernel would have in common with its template's node, bytes."""
        key, node = self._served(job.id)
        running = self._running.get(key)
        return 0 if job.warm_start.cold or running is None else self._size(running.directory, node)

    def memory(self) -> int:
        """Return the memory that the templates take, bytes: of each node what it has beyond its parent's."""
        total = 0
        for running in list(self._running.values()):
            nodes = running.spec.nodes
            sizes = {node.id: self._size(running.directory, node.id) for node in nodes}
            total += sum(max(sizes[node.id] - sizes.get(node.parent or "", 0), 0) for node in nodes)
        return total

    def _size(self, directory: Path, node: str) -> int:
        """Return a node's memory as it was a moment ago, since the scheduling asks for each job that waits."""
        now = time.monotonic()
        looked, size = self._sizes.get((directory, node), (0.0, 0))
        if not looked or now - looked > SIZES_SECONDS:
            size = _resident(directory, node)
            self._sizes[directory, node] = (now, size)
        return size

    def stop(self) -> None:
        """End the templates and whatever kernels they still have. Harmless when repeated."""
        with self._lock:
            self._stopped = True
            for running in self._running.values():
                process = running.process
                if process.stdin is not None:
                    process.stdin.close()
                # A child may be forked while its parent is ended; it is still a member of the template's session.
                kill_all(partial(_of_template, process.pid))
                process.wait()
                remove(running.directory)
            self._running.clear()

    def _launch(self, spec: TemplateSpec, environment: Environment, env: Mapping[str, str]) -> _LiveTemplate:
        parent = run_directory(self._run_id)
        parent.mkdir(mode=0o700, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix="t", dir=parent))
        (directory / "tmp").mkdir()
        (directory / "here").mkdir()
        job = replace(spec.job, binding=spec.job.binding.bound(environment, env))
        seen = variables(job, directory, "", self._outer)
        # The mark stands last, where the kernel writes its own over it.
        padded = {**{name: value for name, value in seen.items() if name != JOB_MARK}, JOB_MARK: "-" * _LONGEST_MARK}
        self._logs.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(_listen(directory / f"{node.id}.sock")) for node in spec.nodes]
            numbers = [listener.fileno() for listener in sockets]
            text = self._specification(spec, directory, numbers, seen)
            (directory / "spec.json").write_text(text, encoding="utf-8")
            log = stack.enter_context((self._logs / f"template-{spec.key}-{spec.group}.log").open("ab"))
            process = subprocess.Popen(
                [
                    str(environment.prefix / "bin" / "python"),
                    "-c",
                    _START,
                    str(TEMPLATE_SERVER),
                    str(directory / "spec.json"),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=directory / "here",
                env=padded,
                pass_fds=numbers,
                start_new_session=True,
            )
        return _LiveTemplate(spec, directory, process, environment, env)

    def _specification(self, spec: TemplateSpec, directory: Path, numbers: list[int], seen: Mapping[str, str]) -> str:
        facts = self._facts.get(spec.environment, _sound_facts(""))
        return json.dumps(
            {
                "directory": str(directory),
                "here": str(directory / "here"),
                "mark_name": JOB_MARK,
                "private": PRIVATE,
                "variables": dict(seen),
                "arguments": KERNEL_ARGUMENTS,
                "keepers": [str(OPENED_FILES), str(PROGRAM_KEEPER)],
                "baseline": facts["baseline"],
                "excluded": facts["excluded"],
                "nodes": [_entry(node, number) for node, number in zip(spec.nodes, numbers, strict=True)],
            }
        )


def _shape(spec: TemplateSpec) -> object:
    """Return what makes two templates the same, whichever run they were planned for."""
    return spec.key, spec.environment, spec.nodes, spec.job.target, spec.job.binding, spec.job.limits.cores


def _sound_facts(text: str) -> dict[str, Any]:
    """Return what an earlier run wrote down of an environment's template, as far as it is sound."""
    try:
        held = json.loads(text or "{}")
    except (ValueError, RecursionError):
        held = None
    held = held if isinstance(held, dict) else {}
    baseline, excluded = held.get("baseline"), held.get("excluded")
    return {
        "baseline": baseline if _is_baseline(baseline) else None,
        "excluded": excluded if _are_texts(excluded) else [],
    }


def _is_baseline(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _are_texts(value.get("modules"))
        and isinstance(environ := value.get("environ"), dict)
        and _are_texts(list(environ.values()))
        and isinstance(value.get("patterns", []), list)
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _node_record(directory: Path, node: str) -> dict[str, Any]:
    """Return what a template wrote down of one of its nodes; empty until that is up."""
    try:
        record: dict[str, Any] = json.loads((directory / f"{node}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record


def _of_template(pid: int) -> list[psutil.Process]:
    return [*tree(pid), *session_members(pid)]


def _resident(directory: Path, node: str) -> int:
    """Return a node's memory, bytes; 0 until it is up."""
    try:
        return int(psutil.Process(_node_record(directory, node)["pid"]).memory_info().rss)
    except (KeyError, psutil.Error):
        return 0


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    return listener


def _entry(node: NodeSpec, listener: int) -> dict[str, object]:
    return {
        "id": node.id,
        "parent": node.parent,
        "modules": node.modules,
        "allowed": node.allowed,
        "eager": node.eager,
        "listener": listener,
    }
