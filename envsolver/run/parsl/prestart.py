"""What a run begins before its configuration is read: Parsl is imported, and its server started."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import sysconfig
import threading
import uuid
import warnings
from pathlib import Path

from envsolver.run.parsl.lean_import import lean
from envsolver.worker.private_directories import make_private, run_directory
from envsolver.worker.processes import RUN_MARK, await_end


class ParslPrestart:
    """Gets Parsl ready while the command reads its configuration: here on a thread, and in the server of its programs.

    Nothing is started before `begin`.

    Parameters
    ----------
    monitor
        Whether Parsl is to watch the run, as `--monitor` says.

    Attributes
    ----------
    run_id
        The run's mark, which the server and all that it forks carry.
    server
        Socket of the server; empty where there is none.
    """

    def __init__(self, *, monitor: bool = False) -> None:
        self._monitor = monitor
        self.run_id = uuid.uuid4().hex
        self.server = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start; harmless when repeated."""
        if self._thread is not None:
            return
        if sys.platform.startswith("linux"):
            with contextlib.suppress(OSError):
                self._start_server()
        # One of its libraries silences this itself, which does not hold while another thread changes the filters.
        warnings.filterwarnings("ignore", message="SOCKS support in urllib3")
        sysconfig.get_config_vars()  # what this makes is shared, and not made for several threads
        self._thread = threading.Thread(target=_import_parsl, args=(self._monitor,), name="parsl-import", daemon=True)
        self._thread.start()

    def _start_server(self) -> None:
        directory = run_directory(self.run_id)
        if not make_private(directory):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(directory / "parsl"))
            listener.listen(128)
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("fork_server.py")), str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Parsl's processes rename themselves, which would overwrite the environment that carries their mark.
                env={**os.environ, RUN_MARK: self.run_id, "SPT_NOENV": "1"},
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        self.server = str(directory / "parsl")

    def wait(self) -> None:
        """Wait until all is imported here."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End the server, and the programs that it still has. Harmless when repeated."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await_end(self._process)


def _import_parsl(monitor: bool) -> None:
    with lean(database=monitor):
        import parsl.dataflow.dflow
        import parsl.executors
        import parsl.providers  # noqa: F401  all three are imported only so that they are loaded
