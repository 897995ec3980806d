"""A kernel that a template forks, through jupyter_client's own hook; without one that will, a cold kernel.

The worker imports this on the far side.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from envsolver.core.jobs import TEMPLATE_SECONDS
from envsolver.environments.in_environment import FOLLOWED, NAMESPACES

_MODULE_ARGUMENT = 3  # what follows `python -m ipykernel_launcher`


log = logging.getLogger("envsolver.worker.provisioner")

_silent: set[str] = set()
"""The templates that this worker has waited for in vain, and asks no more."""


class WarmProcess:
    """A kernel that is a template's child: what `subprocess.Popen` would be, by the template's messages.

    Parameters
    ----------
    pid
        The kernel's process.
    connection
        Where the template will write its exit code.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, connection: socket.socket, heard: bytes = b"") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._connection = connection
        self._heard = heard

    def fileno(self) -> int:
        """Return the descriptor on which the news of its end arrives."""
        return self._connection.fileno()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it lives."""
        while self.returncode is None:
            line, ended, _ = self._heard.partition(b"\n")
            if ended:
                self.returncode = int(json.loads(line)["exit"])
                break
            try:
                piece = self._connection.recv(4096)
            except BlockingIOError:
                return None
            except OSError:
                piece = b""
            if not piece:  # the template is gone, so how this kernel ends stays unknown
                self.send_signal(signal.SIGKILL)
                self.returncode = -signal.SIGKILL
            self._heard += piece
        self._connection.close()
        return self.returncode

    def wait(self) -> int | None:
        """Return the exit code, as far as it is known."""
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel, unless it is known to have ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM it."""
        self.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Let go of it; if it is alive, its template ends it."""
        self._connection.close()


class WarmProvisioner(LocalProvisioner):
    """Asks a template for the kernel, and starts it cold when the template will not."""

    template: str = ""
    """Path of the template's socket; empty for a cold kernel."""
    plan: Path | None = None
    """The file in which `in_environment.namespaces` reads what the kernel enters; None for nothing."""
    read: Path | None = None
    """The file in which a kernel of a template tells what it reads."""
    filters: Sequence[str] = ()
    """Of warnings, for a kernel of a template, in pytest's syntax."""
    forked: WarmProcess | None = None
    """The kernel's process when it came from the template, else None."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Launch a kernel with a command of the form ``python -m ipykernel_launcher …``.

        Returns
        -------
        dict
            How to connect to it.
        """
        if self.template and self.template not in _silent:
            request = {
                "argv": cmd[_MODULE_ARGUMENT:],
                "cwd": str(kwargs["cwd"]),
                "env": dict(kwargs["env"]),
                "log": str(kwargs["stdout"].name),
                "read": str(self.read),
                "filters": list(self.filters),
                "follower": str(FOLLOWED),
                "plan": json.loads(self.plan.read_text(encoding="utf-8")) if self.plan is not None else None,
            }
            try:
                forked = await asyncio.wait_for(_ask(self.template, request), TEMPLATE_SECONDS)
            except asyncio.TimeoutError:
                _silent.add(self.template)
            except (OSError, ValueError) as error:
                log.info("a cold kernel, since %s", error)
            else:
                self.forked = forked
                self.process: Any = forked
                self.pid = self.pgid = forked.pid
                self.cwd = kwargs["cwd"]
                return self.connection_info
        # Isolated, since the notebook's own files must not be imported by what stands outside.
        keeper = [] if self.plan is None else [cmd[0], "-I", "-S", str(NAMESPACES), str(self.plan)]
        return await super().launch_kernel([*keeper, *cmd], **kwargs)


async def _ask(template: str, request: dict[str, Any]) -> WarmProcess:
    """Have a template fork a kernel.

    Raises
    ------
    OSError, ValueError
        When it does not.
    """
    loop = asyncio.get_running_loop()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await loop.sock_connect(connection, template)
        await loop.sock_sendall(connection, json.dumps(request).encode() + b"\n")
        heard = b""
        while b"\n" not in heard:
            piece = await loop.sock_recv(connection, 65536)
            heard += piece or b"{}\n"
        line, _, rest = heard.partition(b"\n")
        return WarmProcess(_pid_in(json.loads(line)), connection, rest)
    except BaseException:
        connection.close()
        raise


def _pid_in(answer: dict[str, Any]) -> int:
    if "pid" not in answer:
        raise ValueError(answer.get("refused", "the template has ended"))
    return int(answer["pid"])
