"""The templates of a run of which a part stays on this machine, and the rest goes to nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from envsolver.core.environments import Environment
from envsolver.core.jobs import Job
from envsolver.core.results import Result
from envsolver.run.warm.remote import RemoteTemplates
from envsolver.run.warm.templates import Templates


class StartedTemplates(Protocol):
    """Templates, wherever they run, as the run brings them up; the scheduling's `KernelTemplates` are these."""

    def start_for(
        self, group: str, python: str, environment: Environment, env: Mapping[str, str] | None = None
    ) -> None:
        """Start the templates of a group, or see to it that they are."""

    def path_for(self, job: Job) -> str:
        """Return the template that forks a job's kernel; empty for a kernel that starts anew."""

    def loading(self, job: Job) -> frozenset[str]:
        """Name the parts of a template that must still be loaded before it can fork a job's kernel."""

    def shared(self, job: Job) -> int:
        """Return the memory that a job's kernel has in common with its template, bytes."""

    def memory(self) -> int:
        """Return the memory of this machine that they take together, bytes."""

    def learn(self, job: Job, result: Result) -> None:
        """Spare the jobs that wait what made an attempt void."""

    def template_facts(self) -> dict[str, str]:
        """Return what they found out about their environments, by the environment's key."""

    def stop(self) -> None:
        """End them."""


class PlacedTemplates:
    """Ask for each group the templates of the place that it runs in.

    Parameters
    ----------
    is_here
        Whether a group's notebooks run on this machine.
    """

    def __init__(self, here: Templates, remote: RemoteTemplates, *, is_here: Callable[[str], bool]) -> None:
        self._here = here
        self._remote = remote
        self._is_here = is_here

    def _of(self, group: str) -> Templates | RemoteTemplates:
        return self._here if self._is_here(group) else self._remote

    def start_for(
        self, group: str, python: str, environment: Environment, env: Mapping[str, str] | None = None
    ) -> None:
        """Start the templates of a group here, or write down for the nodes what they shall start."""
        self._of(group).start_for(group, python, environment, env)

    def path_for(self, job: Job) -> str:
        """Return the template that forks a job's kernel; empty for a kernel that starts anew."""
        return self._of(job.group).path_for(job)

    def loading(self, job: Job) -> frozenset[str]:
        """Name the parts of a template that must still be loaded before it can fork a job's kernel."""
        return self._of(job.group).loading(job)

    def shared(self, job: Job) -> int:
        """Return the memory that a job's kernel has in common with its template, bytes."""
        return self._of(job.group).shared(job)

    def memory(self) -> int:
        """Return what those of this machine take, bytes."""
        return self._here.memory()

    def learn(self, job: Job, result: Result) -> None:
        """Spare the jobs that wait what made an attempt void."""
        self._of(job.group).learn(job, result)

    def template_facts(self) -> dict[str, str]:
        """Return what all found out about their environments, by the environment's key."""
        return {**self._here.template_facts(), **self._remote.template_facts()}

    def stop(self) -> None:
        """End those of this machine, and remove what was written down for nodes, whatever becomes of the first."""
        try:
            self._here.stop()
        finally:
            self._remote.stop()
