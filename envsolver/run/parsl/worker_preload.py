"""What every worker imports. The fork server imports this, and nothing else does."""

from __future__ import annotations

from envsolver.run.parsl.lean_import import lean

with lean():
    # Importing any part of Parsl imports nearly all of it.
    import parsl.executors.execute_task
    import parsl.executors.high_throughput.probe  # noqa: F401

import envsolver.worker.run_job  # noqa: F401
