"""Promise: what a run needs and the machine does not give is told before anything starts."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from envsolver.core.errors import ConfigurationError
from envsolver.run import machine
from envsolver.run.machine import check_process_limit, count_threads


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    monkeypatch.setattr(machine, "count_threads", lambda _: 30)
    monkeypatch.setattr(os, "getuid", lambda: 1000)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(("workers", "tip"), [(4, "add --workers 2."), (50, "add --workers 2.")])
def test_too_many_workers_for_the_limit_of_processes_are_refused_with_how_many_would_do(workers: int, tip: str) -> None:
    with pytest.raises(ConfigurationError, match=r"may have 100 processes and threads .* and has 30") as raised:
        check_process_limit(workers)
    assert raised.value.tip.endswith(tip)


@pytest.mark.usefixtures("limited")
def test_the_number_of_workers_that_was_advised_is_let_pass() -> None:
    check_process_limit(2)


@pytest.mark.usefixtures("limited")
def test_where_one_worker_is_too_many_something_else_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "count_threads", lambda _: 90)
    with pytest.raises(ConfigurationError) as raised:
        check_process_limit(1)
    assert raised.value.tip == "Raise it, or add --sequential."


@pytest.mark.usefixtures("limited")
def test_the_administrator_and_who_has_no_limit_are_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    check_process_limit(1000)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check_process_limit(1000)


def test_the_threads_of_a_users_processes_are_counted() -> None:
    code = "import threading, time\nfor _ in range(9):\n    threading.Thread(target=time.sleep, args=(60,)).start()"
    before = count_threads(os.getuid())
    with subprocess.Popen([sys.executable, "-c", f"{code}\nprint(flush=True)"], stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            assert count_threads(os.getuid()) > 9
            assert before > 0
        finally:
            process.kill()
