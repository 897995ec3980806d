"""Promise: a template tells each worker how its kernel ended, and ends the kernel of a worker that has gone."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator

import pytest
from fakes import until

from envsolver.environments.in_environment.children import Kernels

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere kernels start cold")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect a template's end with a worker's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(30)
        yield ours, theirs


@pytest.fixture
def kernels() -> Iterator[Kernels]:
    made = Kernels()
    yield made
    made.end()
    all_ended(made)


def started(command: str) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ, setsid=True)


def all_ended(kernels: Kernels) -> None:
    def ended() -> bool:
        kernels.reap()
        return not kernels.connections

    until(ended)


def lines(connection: socket.socket, count: int) -> list[dict[str, object]]:
    data = b""
    while data.count(b"\n") < count:
        data += connection.recv(4096)
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize(
    ("command", "code"), [("exit 3", 3), ("kill -9 $$", -9), ("true", 0)], ids=["exit code", "signal", "end"]
)
def test_a_worker_hears_which_kernel_it_has_and_how_that_ended(
    kernels: Kernels, ends: tuple[socket.socket, socket.socket], command: str, code: int
) -> None:
    pid = started(command)
    kernels.add(pid, ends[0])
    all_ended(kernels)
    assert lines(ends[1], 2) == [{"pid": pid}, {"exit": code}]
    assert kernels.descriptors == {}
    assert kernels.timeout is None


def test_the_kernel_of_a_worker_that_has_gone_is_ended(
    kernels: Kernels, ends: tuple[socket.socket, socket.socket]
) -> None:
    kernels.add(started("sleep 600"), ends[0])
    kernels.abandoned(ends[0].fileno())
    all_ended(kernels)
    assert lines(ends[1], 2)[1] == {"exit": -9}


def test_a_request_is_one_line_of_json(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(b'{"cwd": "/p"}\n')
    assert Kernels.read_request(ends[0]) == {"cwd": "/p"}


@pytest.mark.parametrize("sent", [b"", b"not json\n", b'{"cut": '])
def test_what_is_no_request_is_an_error(ends: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    ends[1].sendall(sent)
    ends[1].shutdown(socket.SHUT_WR)
    with pytest.raises((OSError, ValueError)):
        Kernels.read_request(ends[0])


def test_a_refusal_says_why_and_closes(ends: tuple[socket.socket, socket.socket]) -> None:
    Kernels.refuse(ends[0], "it has 2 threads")
    assert lines(ends[1], 1) == [{"refused": "it has 2 threads"}]
    assert ends[1].recv(1) == b""
