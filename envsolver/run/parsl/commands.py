"""A scheduler's commands, which may hang, print what is no text, or be missing: none is awaited for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import NamedTuple

NOT_FOUND = 127
"""What a shell ends with that does not find a command."""

KILLED = 128 + signal.SIGKILL


class CommandOutput(NamedTuple):
    """What a command ended with, and what it printed. Parsl's providers take it apart as a tuple."""

    code: int
    output: str
    error: str


def ask(command: str, seconds: float) -> CommandOutput:
    """Run a command of a scheduler through the shell, and end it with all that it started when its time is up.

    Parsl's own way lets a command go on that hangs, one more with each question, and raises where bytes are no text.
    """
    try:
        process = subprocess.Popen(  # noqa: S602  Parsl's providers give shell text
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:  # no process or file is to be had
        return CommandOutput(NOT_FOUND, "", str(error))
    try:
        output, error_output = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in the system cannot be killed
            process.communicate(timeout=1)
        return CommandOutput(KILLED, "", no_answer(command, seconds))
    return CommandOutput(process.returncode, output, error_output)


def no_answer(command: str, seconds: float) -> str:
    """Return the words for a command that did not end in time."""
    return f"{command.split(maxsplit=1)[0]} has not answered within {seconds:g} s"
