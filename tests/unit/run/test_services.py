"""Promises of services: started, awaited, told of, and stopped whatever happens."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes import until

from envsolver.core.environments import Environment
from envsolver.core.settings import ServiceSettings
from envsolver.run.services import ServiceError, Services

SERVER = (
    "import http.server, sys; "
    "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"
)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    binaries = tmp_path / "env" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    return Environment(key="k", group="umbridge", python="3.11", prefix=tmp_path / "env")


def services(tmp_path: Path, **settings: ServiceSettings) -> Services:
    return Services(settings, root=tmp_path, logs=tmp_path / "logs", run_id="test-run")


def server(**changes: object) -> ServiceSettings:
    values: dict[str, Any] = {
        "command": f'python -c "{SERVER}" {{port}}',
        "ready": "http://127.0.0.1:{port}/",
        "env": {"URL": "http://127.0.0.1:{port}"},
        **changes,
    }
    return ServiceSettings(**values)


def test_a_service_answers_at_the_address_that_notebooks_get_and_is_gone_afterwards(
    tmp_path: Path, environment: Environment
) -> None:
    running = services(tmp_path, files=server())
    variables = running.start(["files"], environment)
    with urllib.request.urlopen(variables["URL"]) as answer:  # noqa: S310  the loopback interface
        assert answer.status == 200
    children = psutil.Process().children()
    running.stop()
    assert not any(child.is_running() and "http.server" in " ".join(child.cmdline()) for child in children)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(variables["URL"])  # noqa: S310  as above


def test_without_an_address_to_ask_an_open_port_is_enough(tmp_path: Path, environment: Environment) -> None:
    running = services(tmp_path, files=server(ready=None))
    assert running.start(["files"], environment)["URL"].startswith("http://127.0.0.1:")
    running.stop()


def test_a_service_that_ends_shows_the_end_of_its_log(tmp_path: Path, environment: Environment) -> None:
    broken = server(command="python -c \"raise SystemExit('no licence found')\"")
    running = services(tmp_path, broken=broken)
    with pytest.raises(ServiceError, match=r"(?s)broken ended with status 1.*no licence found"):
        running.start(["broken"], environment)
    running.stop()


def test_a_service_that_never_answers_is_given_up(tmp_path: Path, environment: Environment) -> None:
    silent = server(command='python -c "import time; time.sleep(600)"', ready_timeout=0.5)
    running = services(tmp_path, silent=silent)
    with pytest.raises(ServiceError, match=r"silent was not ready within 0\.5 s"):
        running.start(["silent"], environment)
    running.stop()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path, environment: Environment) -> None:
    running = services(tmp_path, nothing=server(command="no-such-program --port {port}"))
    with pytest.raises(ServiceError, match=r"nothing cannot be started.*no-such-program"):
        running.start(["nothing"], environment)


def test_what_a_service_started_ends_with_it(tmp_path: Path, environment: Environment) -> None:
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(611)']); "
    running = services(tmp_path, parent=server(command=f'python -c "{child}{SERVER}" {{port}}'))
    running.start(["parent"], environment)
    running.stop()
    until(lambda: not _sleepers())
    assert not _sleepers()


def _sleepers() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if words[-1:] == ["import time; time.sleep(611)"] and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found
