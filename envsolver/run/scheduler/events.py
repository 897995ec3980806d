"""Event that a run's scheduling waits for, from the threads that prepare environments and listen to workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from envsolver.core.environments import Environment
from envsolver.core.verdicts import Verdict

Site = tuple[str, str]
"""A group and a Python version: what needs one environment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentLocated:
    """Where a site's environment is, or will be; its workers can start, each pinned to one of `gpus` if there are."""

    site: Site
    key: str
    prefix: Path
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentReady:
    """A site's environment is built and its services answer; `env` holds the services' variables."""

    site: Site
    environment: Environment
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentUnavailable:
    """A site's notebooks, or only some of them, cannot run; each gets `verdict` with `reason`."""

    site: Site
    reason: str
    verdict: Verdict = "environment"
    notebooks: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """Something to tell the person who waits."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CoresReleased:
    """A job's last cell has ended: it needs its cores no more, and has its memory and its worker until it is done."""

    mark: str


Event: TypeAlias = EnvironmentLocated | EnvironmentReady | EnvironmentUnavailable | Message | CoresReleased
