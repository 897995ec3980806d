"""Parsl's own monitoring for a run (`--monitor`): what its processes need so that they neither disturb nor outlive it.

The database is ``monitoring.db`` in Parsl's directory of the run. Parsl writes it from a process of its own, and each
executor gets another one that collects what its workers send.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from envsolver.core.errors import ConfigurationError

if TYPE_CHECKING:
    from parsl.monitoring import MonitoringHub

INTERVAL_SECONDS = 1.0
"""How often a notebook's processes are measured; Parsl's default of 30 would miss most notebooks."""


def prepare() -> None:
    """Get ready before the run marks its processes; call it from the main thread.

    Raises
    ------
    ConfigurationError
        SQLAlchemy, which Parsl's monitoring needs, is not installed.
    """
    if importlib.util.find_spec("sqlalchemy") is None:
        raise ConfigurationError(
            ["--monitor: Parsl's monitoring needs SQLAlchemy, which is not installed"],
            tip='Install it with `pip install "envsolver[monitoring]"`.',
        )
    # Parsl's processes rename themselves, which would overwrite the environment that carries their mark.
    os.environ["SPT_NOENV"] = "1"
    # Python's own keeper of semaphores must not carry the run's mark: it would be ended with the run, started anew at
    # exit, and complain. It warns of semaphores that an interrupted run leaves to it, which is what it is for.
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def make_hub() -> MonitoringHub:
    """Return what Parsl's configuration takes as `monitoring`; its database goes to Parsl's directory."""
    from parsl.monitoring import MonitoringHub

    return MonitoringHub(workflow_name="envsolver", resource_monitoring_interval=INTERVAL_SECONDS)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C away from processes that are started meanwhile by this thread, since they would print a traceback.

    It still reaches the controller, which ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
