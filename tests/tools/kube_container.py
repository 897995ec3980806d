"""As a program: become a container of the stand-in's, in namespaces that it is started in, as its order says.

The image is this machine's files, but for what stands in `/tmp` and `/run`: of that a container sees its volumes, and
the folders that the image is said to hold. With a process namespace of the pod's, the first process is one that buries
orphans and hands signals on; else it is the command itself, to which a signal that it does not handle does nothing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

PRIVATE = ("/run", "/tmp")  # noqa: S108  what each container has of its own; the stage is in the last
OWN_MODE = 0o1777


def mount(*arguments: str) -> None:
    """Mount something, in this namespace alone."""
    subprocess.run(["/usr/bin/env", "mount", *arguments], check=True)


def staged(stage: Path, target: str) -> Path:
    """Return where a path of the container is prepared."""
    private = any(Path(target).is_relative_to(each) for each in PRIVATE)
    return stage / target.lstrip("/") if private else Path(target)


def lay_out(order: dict[str, Any]) -> None:
    """Make the container's files."""
    stage = Path(order["stage"])
    for each in PRIVATE:
        (stage / each.lstrip("/")).mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "none", str(staged(stage, each)))
        staged(stage, each).chmod(OWN_MODE)
    for source, target in order["binds"]:
        place = staged(stage, target)
        place.mkdir(parents=True, exist_ok=True)
        mount("--bind", source, str(place))
    for target, files in order["secrets"]:
        place = staged(stage, target)
        place.mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "none", str(place))
        for name, content in files.items():
            (place / name).write_bytes(bytes.fromhex(content))
        place.chmod(OWN_MODE)
    for each in PRIVATE:
        mount("--rbind", str(staged(stage, each)), each)


def run(order: dict[str, Any], started: int) -> int:
    """Run the command below a process that buries orphans, and return its exit code."""
    child = os.posix_spawnp(order["command"][0], order["command"], order["env"], setsigdef=[signal.SIGPIPE])
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    os.write(started, b"1")
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> None:
    """Read the order and do as it says."""
    # What makes the namespaces has blocked them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    started = os.open(order["started"], os.O_WRONLY)  # seen no more when the container's files are laid out
    socket.sethostname(order["hostname"])
    lay_out(order)
    if order["group"] is not None:
        os.setgid(order["group"])
    if order["user"] is not None:
        os.setuid(order["user"])
    os.chdir("/")
    if order["first"]:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.write(started, b"1")
        os.execvpe(order["command"][0], order["command"], order["env"])  # noqa: S606  as PID 1
    os._exit(run(order, started))


if __name__ == "__main__":
    main()
