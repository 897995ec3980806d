"""Start, bind, watch and end one kernel, cold or forked from a template."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from queue import Empty
from typing import Any, TypeVar, cast

import psutil
import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from envsolver.worker.isolation import READ
from envsolver.worker.kernel_env import KERNEL_ARGUMENTS
from envsolver.worker.processes import JOB_MARK, computes, kill_all, marked, session_members, tree
from envsolver.worker.provisioner import WarmProcess, WarmProvisioner

QUIET = logging.getLogger("envsolver.worker.kernel")
"""Where the libraries log; nothing of it reaches a person, since verdicts say it better."""
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False

_T = TypeVar("_T")
_LOOKS, _PAUSE = 10, 0.03  # how often, and after how many seconds each, it is looked at whether a kernel computes
_DEATH_POLL = 0.05  # seconds between looks where the system does not report a process's end
_LAST_WORDS = 0.3  # seconds in which output that a dead kernel sent may still arrive
_FAREWELL = 0.6  # seconds that a kernel gets to run its exit handlers; now and then one hangs there
_RECONNECT_MILLISECONDS = 5
_TAIL_BYTES = 32_768
_TAIL_LINES = 15
_FATAL = "Fatal Python error"  # where the stack of a crash begins, innermost frame first


class OutOfTimeError(Exception):
    """The time given to a piece of work is over."""


class KernelDiedError(Exception):
    """The kernel's process ended; `Kernel.exit_code` says how."""


class ShellChannel(AsyncZMQSocketChannel):
    """A shell channel on which a message may be sent while a reply is awaited, as for a widget's output.

    The library sends past the socket that waits. That takes away the sign that a reply has come, once and for all,
    if it has not been noticed yet: the reply would never be read, and the cell would run into its time limit.
    """

    def send(self, msg: dict[str, Any]) -> None:
        """Send a message, and wake those that wait for answers."""
        super().send(msg)
        if self.socket is not None:
            self.socket.get(zmq.EVENTS)  # asking for them has pyzmq handle them


class Kernel:
    """One kernel, bound to an environment.

    Parameters
    ----------
    prefix
        The environment whose interpreter runs the kernel.
    private
        The job's private directory, for sockets and the connection file.
    folder
        The kernel's working directory.
    variables
        Its environment variables; `JOB_MARK` among them.
    log
        File for what the kernel's process writes to its standard output and error.
    template
        Socket of a template to fork it from; empty for a cold start.
    plan
        The file in which `in_environment.namespaces` reads what it enters; None for nothing.
    filters
        Of warnings, in pytest's syntax, beside Python's own.
    """

    def __init__(
        self,
        *,
        prefix: str,
        private: Path,
        folder: Path,
        variables: Mapping[str, str],
        log: Path,
        template: str = "",
        plan: Path | None = None,
        filters: Sequence[str] = (),
    ) -> None:
        self.private = private
        self._folder = folder
        self._variables = dict(variables)
        self._log = log
        self._exit: int | None = None
        self._exited: asyncio.Future[None] | None = None
        self.seen: set[psutil.Process] = set()
        self.manager = AsyncKernelManager(
            log=QUIET,
            transport="ipc",
            ip=str(private / "k"),
            connection_file=str(private / "kernel.json"),
            context=zmq.asyncio.Context(),
        )
        # A client connects before its kernel listens; by default it tries again only after 0.1 to 0.2 s.
        self.manager.context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MILLISECONDS)
        # The notebook's kernelspec is not trusted: this is the only one there is.
        python = str(Path(prefix, "bin", "python"))
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}", *KERNEL_ARGUMENTS]
        spec = KernelSpec(argv=argv, display_name="envsolver", language="python", interrupt_mode="signal")
        self.manager._kernel_spec = spec  # noqa: SLF001  # the library offers no way around its search for one
        self._provisioner = WarmProvisioner(kernel_id="envsolver", kernel_spec=spec, parent=self.manager)
        self._provisioner.template = template
        self._provisioner.plan = plan
        self._provisioner.read = private / READ
        self._provisioner.filters = filters
        self.manager.provisioner = self._provisioner
        self.client: AsyncKernelClient | None = None

    @property
    def pid(self) -> int:
        """Process id of the kernel; 0 before it was started."""
        return getattr(self.manager.provisioner, "pid", None) or 0

    @property
    def warm(self) -> bool:
        """Whether it was forked from a template."""
        return self._provisioner.forked is not None

    @property
    def filters(self) -> Sequence[str]:
        """Its filters of warnings, beside Python's own."""
        return self._provisioner.filters

    @property
    def exit_code(self) -> int | None:
        """How the kernel's process ended, negative for a signal; None while it lives."""
        return self._exit

    async def start(self) -> None:
        """Start the process and connect to it. Does not wait for an answer.

        Raises
        ------
        OSError
            When the interpreter cannot be run.
        """
        with self._log.open("wb") as log:
            await self.manager.start_kernel(
                cwd=str(self._folder),
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._exited = asyncio.ensure_future(self._watch())
        self.client = self.manager.client(log=QUIET, context=self.manager.context)
        self.client.shell_channel_class = ShellChannel
        self.client.start_channels(stdin=False, hb=False)
        self.client.allow_stdin = False

    async def ready(self) -> dict[str, Any]:
        """Wait until the kernel answers and its output channel works; return its ``kernel_info`` content.

        The library's own wait then listens for 0.2 s of silence; what comes late is recognised by its parent here.
        """
        client = self._client
        while True:
            request = client.kernel_info()
            reply = await self._reply(request)
            try:
                await client.get_iopub_msg(timeout=0.25)
            except Empty:
                continue
            client._handle_kernel_info_reply(reply)  # noqa: SLF001  # sets the protocol version, as the library's wait does
            return cast("dict[str, Any]", reply["content"])

    async def ask(self, expressions: Mapping[str, str]) -> dict[str, Any]:
        """Evaluate expressions silently, without a trace in the notebook's history.

        Returns
        -------
        dict
            Their values, which must be literals. One that failed is None.
        """
        request = self._client.execute("", silent=True, user_expressions=dict(expressions), stop_on_error=False)
        reply = await self._reply(request)
        answers = reply["content"].get("user_expressions", {})
        return {name: _literal(answers.get(name, {})) for name in expressions}

    async def unless_dead(self, work: Awaitable[_T], seconds: float) -> _T:
        """Await `work`, but no longer than the kernel lives, nor than `seconds`.

        Raises
        ------
        KernelDiedError
            When the kernel's process ended.
        OutOfTimeError
            When the time is over.
        """
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        exited: asyncio.Future[Any] = self._exited if self._exited is not None else asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({task, exited}, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and exited.done():
                await asyncio.wait({task}, timeout=_LAST_WORDS)
            if task.done():
                return cast("_T", task.result())
            if exited.done():
                raise KernelDiedError
            raise OutOfTimeError
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def wait_dead(self, seconds: float) -> bool:
        """Wait up to `seconds` for the process to end; True when it did."""
        if self._exited is None:
            return True
        await asyncio.wait({self._exited}, timeout=seconds)
        return self._exited.done()

    def computes(self) -> bool:
        """Return whether the kernel, or what it started, computes at the moment, in most of ten looks within 0.3 s.

        How much of a processor it gets says nothing on a busy machine.
        """
        looks = 0
        for _ in range(_LOOKS):
            time.sleep(_PAUSE)
            looks += any(map(computes, self._belonging()))
        return looks > _LOOKS / 2

    async def farewell(self) -> None:
        """Ask the kernel to end, so that its exit handlers run, and wait a moment.

        It is asked on the shell's channel, since all cells are done. Asked on the control channel, one kernel in six
        hangs: that channel's thread waits for output to be sent, and the thread that would send it has just ended.
        """
        if self.client is not None and self._exit is None:
            request = self.client.session.msg("shutdown_request", {"restart": False})
            self.client.shell_channel.send(request)
            await self.wait_dead(_FAREWELL)

    async def close(self) -> int:
        """End the kernel and all that it started, wherever that went; return how many processes there were."""
        ended = kill_all(self._belonging) if self.pid else 0
        await self.wait_dead(_FAREWELL)
        if self._exited is not None:
            self._exited.cancel()
            await asyncio.gather(self._exited, return_exceptions=True)
        if self._provisioner.forked is not None:
            self._provisioner.forked.close()
        if self.client is not None:
            self.client.stop_channels()
        self.manager._close_control_socket()  # noqa: SLF001  # closing it is part of the library's own shutdown
        self.manager.cleanup_connection_file()
        self.manager.context.destroy(linger=0)
        return ended

    def log_tail(self) -> str:
        """Return the last lines of what the process wrote, or the innermost frames of its crash."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        _, fatal, stack = text.rpartition(_FATAL)
        lines = (fatal + stack).strip().splitlines()
        return "\n".join(lines[:_TAIL_LINES] if fatal else lines[-_TAIL_LINES:])

    @property
    def _client(self) -> AsyncKernelClient:
        if self.client is None:
            raise RuntimeError("the kernel was not started")
        return self.client

    def _belonging(self) -> set[psutil.Process]:
        mark = self._variables.get(JOB_MARK, "")
        return {*tree(self.pid), *session_members(self.pid), *marked(JOB_MARK, mark), *self.seen} - {psutil.Process()}

    async def _reply(self, request: str) -> dict[str, Any]:
        while True:
            reply = await self._client.get_shell_msg(timeout=None)
            if reply["parent_header"].get("msg_id") == request:
                return reply

    async def _watch(self) -> None:
        process: subprocess.Popen[bytes] | WarmProcess | None = self._provisioner.process
        if process is None:
            self._exit = 0
            return
        with contextlib.ExitStack() as stack:
            number = _ending(process, stack)
            while (code := process.poll()) is None:
                await (asyncio.sleep(_DEATH_POLL) if number is None else _news_of(number))
        self._exit = code


def _ending(process: subprocess.Popen[bytes] | WarmProcess, stack: contextlib.ExitStack) -> int | None:
    """Return a descriptor that can be read once there may be news of a process's end, or None where there is none."""
    if isinstance(process, WarmProcess):
        return process.fileno()
    try:
        number: int = os.pidfd_open(process.pid)  # type: ignore[attr-defined,unused-ignore]  # Linux has it
    except (AttributeError, OSError):
        return None
    stack.callback(os.close, number)
    return number


async def _news_of(number: int) -> None:
    """Wait until a descriptor can be read."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(number, heard.set)
    try:
        await heard.wait()
    finally:
        loop.remove_reader(number)


def _literal(answer: Mapping[str, Any]) -> Any:
    try:
        return ast.literal_eval(answer["data"]["text/plain"])
    except (KeyError, ValueError, SyntaxError):
        return None
