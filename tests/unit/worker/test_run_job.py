"""Promise: a warm kernel is tried no longer than its notebook is likely to take."""

from __future__ import annotations

import pytest
from fakes import with_options

from envsolver.core.jobs import Job
from envsolver.worker.run_job import bounded


@pytest.mark.parametrize(
    ("expected", "timeout", "cell_timeout"), [(None, 600, 300), (1.0, 60, 60), (30.0, 150, 150), (500.0, 600, 300)]
)
def test_a_warm_kernel_gets_no_more_time_than_history_makes_likely(
    expected: float | None, timeout: float, cell_timeout: float
) -> None:
    job = Job(id="j", notebook="a.ipynb", group="g", python="3", root="/", run_dir="/", run_id="r")
    limits = bounded(with_options(job, expected=expected)).limits
    assert (limits.timeout, limits.cell_timeout) == (timeout, cell_timeout)
