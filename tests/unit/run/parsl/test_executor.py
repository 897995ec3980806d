"""Promise: workers that cannot be started are told as such, with the place, and not as a worker that was lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fakes import PATIENCE, job
from parsl.executors import HighThroughputExecutor

from envsolver.core.errors import UnfitPlaceError
from envsolver.run.parsl.executor import ParslJobExecutor
from envsolver.run.parsl.pool import LocalPools
from envsolver.run.scheduler.protocols import PoolRequest


class FullDisk(LocalPools):
    """Pools whose files find no room."""

    def make(self, label: str, request: PoolRequest) -> HighThroughputExecutor:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_workers_that_cannot_be_started_are_no_lost_workers(tmp_path: Path) -> None:
    executor = ParslJobExecutor({"": FullDisk(run_id="r", directory=tmp_path)}, directory=tmp_path)
    try:
        executor.open("k", PoolRequest(prefix=tmp_path, environment="e", workers=1))
        with pytest.raises(UnfitPlaceError) as caught:
            executor.submit("k", job()).result(PATIENCE)
        assert str(caught.value) == (
            f"its workers could not be started: [Errno 28] No space left on device (Parsl's files are in {tmp_path})"
        )
        assert list(executor.broken()) == ["k"]
    finally:
        executor.close(gently=False)
