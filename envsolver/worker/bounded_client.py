"""nbclient, with what a cell may output bounded, so that a flood costs neither memory nor disk.

A kernel's message is received whole before it is cut, so for a moment the worker holds about three times the largest
single message. What a notebook itself may hold is its memory limit's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete, DeadKernelError
from nbformat import NotebookNode
from nbformat.validator import ValidationError

from envsolver.worker.kernel import KernelDiedError
from envsolver.worker.prepare import stream_output
from envsolver.worker.verdicts import INVALID_OUTPUT, NO_REPLY

_OVERHEAD = 64  # bytes charged for each rich output, so that a million empty ones are bounded too
_SHORT = 10_000  # characters of an error's message, and of each of its frames, when it exceeds the limit
_FRAMES = 50
_PIECE = 1_000_000

REPLY_SECONDS = 10.0
"""How long a reply may take once the kernel said that it is done; it sends the reply before it says so."""


class BoundedClient(NotebookClient):
    """Executes cells and keeps at most `limit` bytes of output for each."""

    limit: int = 8 * 1024 * 1024
    """Bytes of output kept per cell, over all streams and rich outputs."""

    _invalid: str = ""  # what the cell sent that is no output, and why

    def __init__(self, nb: NotebookNode, limit: int, **options: Any) -> None:
        super().__init__(nb, **options)
        self.limit = limit
        self._begin()

    async def execute_one(self, cell: NotebookNode, index: int) -> dict[str, Any]:
        """Execute a cell, with its output bounded, and return the content of the kernel's reply.

        Its status is `NO_REPLY` when the kernel sends none, and `INVALID_OUTPUT` when an output was none.

        Raises
        ------
        KernelDiedError
            When the kernel ended meanwhile.
        """
        reply: dict[str, Any] = {}

        def keep(*, execute_reply: dict[str, Any], **_: Any) -> None:
            reply.update(execute_reply.get("content", {}))

        self.on_cell_executed = keep
        self._begin()
        try:
            answered = await self._answered(cell, index)
        except DeadKernelError:
            raise KernelDiedError from None
        finally:
            self._end(cell)
        if self._invalid:
            return {**reply, "status": INVALID_OUTPUT, "evalue": self._invalid}
        return reply if answered else {"status": NO_REPLY}

    async def _answered(self, cell: NotebookNode, index: int) -> bool:
        """Execute a cell; False when the kernel is done with it and sends no reply."""
        work = asyncio.ensure_future(self.async_execute_cell(cell, index))
        idle = asyncio.ensure_future(self._idle.wait())
        try:
            await asyncio.wait({work, idle}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait({work}, timeout=REPLY_SECONDS)
            if work.done():
                work.result()
            return work.done()
        except (ValueError, KeyError, TypeError) as error:  # what was received could not even be read as a message
            self._invalid = self._invalid or f"a message that cannot be read, {type(error).__name__}: {error}"
            return True
        finally:
            idle.cancel()
            work.cancel()
            await asyncio.gather(work, idle, return_exceptions=True)

    def _begin(self) -> None:
        self._kept = 0
        self._cut = 0
        self._idle = asyncio.Event()
        self._comms = 0
        self._invalid = ""
        self._updates: dict[str, int] = {}
        self._stream: NotebookNode | None = None
        self._pieces: list[str] = []

    def _end(self, cell: NotebookNode) -> None:
        """Put a cell's output into its final form; a note says how much was cut, if any."""
        self._join_pieces()
        if self._cut:
            note = (
                f"\n[envsolver: output cut. {self._cut:,} bytes of this cell's output are not shown; "
                f"{self.limit:,} bytes are kept per cell.]\n"
            )
            cell.outputs.append(stream_output("stderr", note))

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take a message of the kernel; what a notebook sent that is no output is left out, and remembered."""
        try:
            return self._process(msg, cell, cell_index)
        except CellExecutionComplete:
            self._idle.set()
            raise
        except (ValidationError, LookupError, TypeError, AttributeError, ValueError) as error:
            fault = error.message if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
            self._invalid = self._invalid or f"{msg['msg_type']}, {fault[:_SHORT]}"
            return None

    def _process(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Count a message of the kernel, cut it where it exceeds the limit, and hand the rest to nbclient."""
        kind = msg["msg_type"]
        if kind == "clear_output" and not msg["content"].get("wait"):
            self._forget()
        elif kind == "stream":
            self._cut_stream(msg["content"])
            if not msg["content"]["text"]:
                return None
        elif kind in {"display_data", "execute_result", "update_display_data", "error"}:
            if not self._admit(msg):
                return None
        elif kind.startswith("comm"):
            self._comms += _size(msg["content"]) + sum(map(len, msg.get("buffers") or ()))
            if self._comms > self.limit:
                return None
        result: NotebookNode | None = super().process_message(msg, cell, cell_index)
        return result

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Add an output; what continues the last stream is joined to it."""
        if self.clear_before_next_output:
            self._forget()
        content = msg["content"]
        hooked = bool(self.output_hook_stack[msg["parent_header"].get("msg_id")])
        last = outs[-1] if outs and not hooked and not self.clear_before_next_output else None
        continued = msg["msg_type"] == "stream" and last is not None and last is self._stream
        if continued and self._stream is not None and self._stream["name"] == content["name"]:
            self._pieces.append(content["text"])
            return None
        self._join_pieces()
        out: NotebookNode | None = super().output(outs, msg, display_id, cell_index)
        if msg["msg_type"] == "stream" and out is not None:
            self._stream, self._pieces = out, [out["text"]]
        return out

    def _cut_stream(self, content: dict[str, Any]) -> None:
        text: str = content["text"]
        size = _bytes_of(text)
        room = max(self.limit - self._kept, 0)
        if size > room:
            # A character has at least one byte, so this slice holds all that may be kept.
            content["text"] = text[:room].encode("utf-8", errors="replace")[:room].decode("utf-8", errors="ignore")
            size_kept = _bytes_of(content["text"])
            self._cut += size - size_kept
            self._kept = self.limit
        else:
            self._kept += size

    def _admit(self, msg: dict[str, Any]) -> bool:
        content = msg["content"]
        size = _size(content) + _OVERHEAD
        display = (content.get("transient") or {}).get("display_id")
        update = msg["msg_type"] == "update_display_data"
        # An update takes the place of what was shown before, so only the growth counts.
        before = self._updates.get(str(display), 0) if update else 0
        if self._kept + size - before > self.limit:
            self._cut += size
            if msg["msg_type"] != "error":
                return False
            # An error is always shown, if only its beginning.
            content["evalue"] = str(content.get("evalue", ""))[:_SHORT]
            content["traceback"] = [str(line)[:_SHORT] for line in content.get("traceback", ())][-_FRAMES:]
            return True
        self._kept += size - before
        if display:
            self._updates[str(display)] = size
        return True

    def _forget(self) -> None:
        """Count what was shown no more, since it has been cleared."""
        self._kept = 0
        self._updates.clear()
        self._stream, self._pieces = None, []

    def _join_pieces(self) -> None:
        if self._stream is not None:
            self._stream["text"] = "".join(self._pieces)
        self._stream, self._pieces = None, []


def _size(content: object) -> int:
    """Return about how many bytes a message's content takes, without making a copy of it."""
    if isinstance(content, str):
        return _bytes_of(content)
    if isinstance(content, Mapping):
        return sum(_size(key) + _size(value) for key, value in content.items())
    if isinstance(content, (list, tuple)):
        return sum(map(_size, content))
    return 8


def _bytes_of(text: str) -> int:
    if text.isascii():
        return len(text)
    pieces = (text[i : i + _PIECE] for i in range(0, len(text), _PIECE))
    return sum(len(piece.encode("utf-8", errors="replace")) for piece in pieces)
