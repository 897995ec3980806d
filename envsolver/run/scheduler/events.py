"""Events that a run's scheduling waits for, from the threads that prepare environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from envsolver.core.environments import Environment, Target
from envsolver.core.verdicts import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentLocated:
    """Where a target's environment is, or will be; its workers can start, each pinned to one of `gpus` if there are."""

    target: Target
    key: str
    prefix: Path
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentReady:
    """A target's environment is built and its services answer; `env` holds the services' variables."""

    target: Target
    environment: Environment
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentUnavailable:
    """A target's notebooks, or only some of them, cannot run; each gets `verdict` with `reason`.

    `log` is a file that says more, relative to the run's folder.
    """

    target: Target
    reason: str
    verdict: Verdict = "environment"
    notebooks: frozenset[str] | None = None
    log: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A line for the person who waits."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRequested:
    """The run is to end at once, as if a person had interrupted it."""

    reason: str


Event: TypeAlias = EnvironmentLocated | EnvironmentReady | EnvironmentUnavailable | Message | StopRequested
