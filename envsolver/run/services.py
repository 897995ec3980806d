"""Start, await and stop the servers that notebooks need.

A service runs in the environment of the group that asks for it, on a free port of the loopback
interface, for as long as the run lasts.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from envsolver.core.advice import table_place
from envsolver.core.environments import Environment
from envsolver.core.errors import EnvsolverError
from envsolver.core.settings import ServiceSettings
from envsolver.worker.processes import RUN_MARK

POLL_SECONDS = 0.05
"""How often a starting service is asked whether it is ready."""

STOP_SECONDS = 3.0
"""How long a service may take to end by itself before it is killed."""

LOG_LINES = 15
"""How much of a failed service's log its error shows."""

PORT_TRIES = 3
"""How often a service that ends at once is started anew, since its free port may have been taken."""


class ServiceError(EnvsolverError):
    """A service did not come up; the message ends with the end of its log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Running:
    name: str
    process: subprocess.Popen[bytes]


class Services:
    """The services of one run.

    Parameters
    ----------
    settings
        All configured services by name.
    root
        Directory in which their commands run.
    logs
        Directory for their logs.
    run_id
        The mark that their processes carry.
    """

    def __init__(self, settings: Mapping[str, ServiceSettings], *, root: Path, logs: Path, run_id: str) -> None:
        self._settings = settings
        self._root = root
        self._logs = logs
        self._run_id = run_id
        self._running: list[_Running] = []
        self._lock = Lock()
        self._closed = False

    def start(self, names: Sequence[str], environment: Environment) -> dict[str, str]:
        """Start services side by side in an environment and wait until all are ready.

        Parameters
        ----------
        names
            Configured services.
        environment
            Where their `python` is found.

        Returns
        -------
        dict
            Environment variables for the notebooks that use them.

        Raises
        ------
        ServiceError
            When one does not come up.
        """
        variables: dict[str, str] = {}
        launched = [(name, *self._launch(name, environment)) for name in names]
        for name, port, process in launched:
            port = self._await(name, port, process, environment)  # noqa: PLW2901  a second try has another port
            for variable, value in self._settings[name].env.items():
                variables[variable] = value.replace("{port}", str(port))
        return variables

    def stop(self) -> None:
        """Stop all services, with everything that they started; safe to call twice."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, []
        for service in running:
            _signal_group(service.process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for service in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(service.process, signal.SIGKILL)
            service.process.wait()

    def _launch(self, name: str, environment: Environment) -> tuple[int, subprocess.Popen[bytes]]:
        port = _free_port()
        command = [part.replace("{port}", str(port)) for part in shlex.split(self._settings[name].command)]
        self._logs.mkdir(parents=True, exist_ok=True)
        variables = {
            **os.environ,
            RUN_MARK: self._run_id,
            "VIRTUAL_ENV": str(environment.prefix),
            "PATH": f"{environment.prefix / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
        }
        # A virtualenv that envsolver itself runs in must not reach into the service's.
        variables.pop("PYTHONHOME", None)
        variables.pop("PYTHONPATH", None)
        # The program is looked up on this PATH here, since Popen would use envsolver's own.
        program = environment.prefix / "bin" / command[0]
        if program.exists():
            command[0] = str(program)
        with self._lock, self._log_file(name, environment).open("ab") as log:
            if self._closed:
                raise ServiceError(f"service {name}: the run has ended")
            try:
                process = subprocess.Popen(
                    command,
                    cwd=self._root,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                command_key = f"its `command` in {table_place(f'services.{name}', self._root)}"
                raise ServiceError(f"service {name} cannot be started: {error}; correct {command_key}") from error
            self._running.append(_Running(name=name, process=process))
        return port, process

    def _await(self, name: str, port: int, process: subprocess.Popen[bytes], environment: Environment) -> int:
        settings = self._settings[name]
        deadline = time.monotonic() + settings.ready_timeout
        tries = 1
        while not _answers(settings.ready, port):
            ended = process.poll()
            if ended is not None and tries < PORT_TRIES and self._port_was_taken(name, environment):
                tries += 1
                port, process = self._launch(name, environment)
            elif ended is not None:
                raise ServiceError(f"service {name} ended with status {ended}{self._log_end(name, environment)}")
            elif time.monotonic() > deadline:
                said = f"service {name} was not ready within {settings.ready_timeout:g} s; more is given by "
                said += f"`ready-timeout = {2 * settings.ready_timeout:g}` in "
                said += table_place(f"services.{name}", self._root)
                raise ServiceError(said + self._log_end(name, environment))
            time.sleep(POLL_SECONDS)
        if process.poll() is not None:  # something else answers on that port
            raise ServiceError(
                f"service {name} ended with status {process.returncode}{self._log_end(name, environment)}"
            )
        return port

    def _log_file(self, name: str, environment: Environment) -> Path:
        return self._logs / f"service-{name}-{environment.group}-{environment.python}.log"

    def _port_was_taken(self, name: str, environment: Environment) -> bool:
        return "in use" in self._log_end(name, environment).lower()

    def _log_end(self, name: str, environment: Environment) -> str:
        try:
            lines = self._log_file(name, environment).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "".join(f"\n    {line}" for line in lines[-LOG_LINES:])


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(ready: str | None, port: int) -> bool:
    if ready is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", port)) == 0
    # A proxy configured for the outside must not be asked for the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(ready.replace("{port}", str(port)), timeout=2.0) as answer:
            return int(answer.status) < 500  # noqa: PLR2004  HTTP's server errors begin here
    except urllib.error.HTTPError as error:
        return error.code < 500  # noqa: PLR2004  as above
    except (OSError, ValueError):
        return False
