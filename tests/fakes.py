"""What stands in for the real thing, and short ways to make values, for all tests."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from envsolver.core.jobs import Job

_PARTS = ("limits", "binding", "warm_start")


def with_options(job: Job, **options: Any) -> Job:
    """Return a job with other options, those of its parts included, each by its own name."""
    for part in _PARTS:
        held = getattr(job, part)
        own = {each.name: options.pop(each.name) for each in fields(held) if each.name in options}
        job = replace(job, **{part: replace(held, **own)})
    return replace(job, **options)
