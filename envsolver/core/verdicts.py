"""A job's status, and which of them leave a run in order."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["passed", "failed", "timeout", "memory", "crashed", "environment", "lost", "skipped", "cached"]
"""A job's status. Everything but `passed`, `skipped` and `cached` fails the run."""


GOOD: frozenset[Verdict] = frozenset({"passed", "skipped", "cached"})
"""The verdicts that do not fail a run."""
