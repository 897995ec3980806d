"""Which part of a job array this is (`--shard auto`), by the variables that batch systems and CI services set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envsolver.core.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class JobArray:
    """How one system tells a job its place among the jobs of its array."""

    system: str
    """Its name, for people."""
    index: str
    count: str = ""
    """Variables with the job's number and with how many there are; no `count` where the system sets none."""
    first: int | str = 0
    """The number of the first job, or the variable that holds it."""
    step: str = ""
    """Variable with the distance between two numbers; empty where it is 1."""


ARRAYS = (
    JobArray(
        system="Slurm",
        index="SLURM_ARRAY_TASK_ID",
        count="SLURM_ARRAY_TASK_COUNT",
        first="SLURM_ARRAY_TASK_MIN",
        step="SLURM_ARRAY_TASK_STEP",
    ),
    JobArray(system="Kubernetes", index="JOB_COMPLETION_INDEX"),
    JobArray(system="PBS", index="PBS_ARRAY_INDEX", first=1),
    JobArray(system="AWS Batch", index="AWS_BATCH_JOB_ARRAY_INDEX", count="AWS_BATCH_JOB_ARRAY_SIZE"),
    JobArray(system="GitLab", index="CI_NODE_INDEX", count="CI_NODE_TOTAL", first=1),
    JobArray(system="CircleCI", index="CIRCLE_NODE_INDEX", count="CIRCLE_NODE_TOTAL"),
    JobArray(system="Buildkite", index="BUILDKITE_PARALLEL_JOB", count="BUILDKITE_PARALLEL_JOB_COUNT"),
)
"""The systems that are known. A job that a CI service submits inherits that one's variables, so they come last."""


def find_shard(environ: Mapping[str, str], count: int | None = None) -> tuple[int, int]:
    """Return this job's number, from 1, and how many there are.

    Parameters
    ----------
    environ
        Environment variables.
    count
        How many there are, where the system does not tell.

    Raises
    ------
    ConfigurationError
        No variable tells it, or what they tell makes no sense.
    """
    array = next((each for each in ARRAYS if environ.get(each.index)), None)
    if array is None:
        known = ", ".join(f"{each.index} ({each.system})" for each in ARRAYS)
        raise ConfigurationError(
            ["--shard auto: this is no job of an array that is known"],
            tip=f"Looked for {known}. Elsewhere say which part this is, such as --shard 2/4.",
        )
    total = count if count is not None else _number(environ, array.count) if environ.get(array.count) else None
    if total is None:
        raise ConfigurationError(
            [f"--shard auto: {array.system} does not tell a job how many there are"],
            tip="Name their number, such as --shard auto/8.",
        )
    first = array.first if isinstance(array.first, int) else _number(environ, array.first)
    step = _number(environ, array.step) if array.step else 1
    place, beside = divmod(_number(environ, array.index) - first, max(step, 1))
    if beside or not 0 <= place < total:
        last = first + (total - 1) * step
        every = f" in steps of {step}" if step != 1 else ""
        said = f"{array.index} is {environ[array.index]}, and {total} jobs go from {first} to {last}{every}"
        raise ConfigurationError(
            [f"--shard auto: {said}"],
            tip="Number the jobs of the array in equal steps, without gaps.",
        )
    return place + 1, total


def _number(environ: Mapping[str, str], name: str) -> int:
    try:
        return int(environ[name])
    except (KeyError, ValueError):
        shown = f'"{environ[name]}"' if name in environ else "not set"
        raise ConfigurationError([f"--shard auto: {name} must be a whole number, and is {shown}"]) from None
