"""Promise: in a job array of any system that is known, each job finds its own part, and nothing is guessed."""

from __future__ import annotations

import pytest

from envsolver.core.errors import ConfigurationError
from envsolver.run.job_arrays import ARRAYS, find_shard


def slurm(task: int, first: int, count: int, step: int = 1) -> dict[str, str]:
    return {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_COUNT": str(count),
        "SLURM_ARRAY_TASK_STEP": str(step),
    }


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (slurm(0, 0, 4), (1, 4)),
        (slurm(7, 5, 3), (3, 3)),
        (slurm(15, 3, 4, step=4), (4, 4)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "2", "AWS_BATCH_JOB_ARRAY_SIZE": "3"}, (3, 3)),
        ({"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "4"}, (1, 4)),
        ({"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "4"}, (1, 4)),
        ({"BUILDKITE_PARALLEL_JOB": "3", "BUILDKITE_PARALLEL_JOB_COUNT": "4"}, (4, 4)),
    ],
)
def test_a_jobs_part_is_read_from_its_variables(environ: dict[str, str], expected: tuple[int, int]) -> None:
    assert find_shard(environ) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"JOB_COMPLETION_INDEX": "0"}, (1, 4)),
        ({"PBS_ARRAY_INDEX": "4"}, (4, 4)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "1"}, (2, 4)),
    ],
)
def test_where_the_system_tells_no_number_of_jobs_the_user_does(
    environ: dict[str, str], expected: tuple[int, int]
) -> None:
    with pytest.raises(ConfigurationError, match="does not tell") as raised:
        find_shard(environ)
    assert "--shard auto/8" in raised.value.tip
    assert find_shard(environ, 4) == expected


def test_a_scheduler_counts_before_the_ci_service_that_submitted_the_job() -> None:
    assert find_shard({"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "9"} | slurm(1, 0, 2)) == (2, 2)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "no job of an array"),
        ({"CI_NODE_INDEX": ""}, "no job of an array"),
        ({"CI_NODE_INDEX": "0", "CI_NODE_TOTAL": "4"}, "CI_NODE_INDEX is 0, and 4 jobs go from 1 to 4"),
        ({"CI_NODE_INDEX": "5", "CI_NODE_TOTAL": "4"}, "CI_NODE_INDEX is 5"),
        ({"CI_NODE_INDEX": "two", "CI_NODE_TOTAL": "4"}, 'must be a whole number, and is "two"'),
        (slurm(7, 1, 3), "SLURM_ARRAY_TASK_ID is 7, and 3 jobs go from 1 to 3"),
        (slurm(2, 1, 3, step=2), "go from 1 to 5 in steps of 2"),
        ({"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "1"}, "SLURM_ARRAY_TASK_MIN must be"),
    ],
)
def test_what_makes_no_sense_is_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        find_shard(environ)
    assert said in raised.value.message


def test_the_error_elsewhere_names_every_system() -> None:
    with pytest.raises(ConfigurationError) as raised:
        find_shard({"HOME": "/root"})
    assert all(each.system in raised.value.tip and each.index in raised.value.tip for each in ARRAYS)
