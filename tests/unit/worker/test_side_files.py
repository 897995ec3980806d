"""Promise: nothing that a notebook puts in the place of a file keeps the worker that reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envsolver.worker.side_files import LARGEST, read_side_file

pytestmark = pytest.mark.timeout(20)  # seconds; reading a pipe would take for ever


def test_an_ordinary_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "read").write_bytes(b"one\ntwo\n")
    assert read_side_file(tmp_path / "read") == b"one\ntwo\n"


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)


@pytest.mark.parametrize(
    "put",
    [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"), _sparse, lambda path: None],
    ids=["pipe", "folder", "device", "endless", "nothing"],
)
def test_what_is_none_is_an_error_at_once(tmp_path: Path, put: Callable[[Path], object]) -> None:
    put(tmp_path / "read")
    with pytest.raises(OSError, match="read"):
        read_side_file(tmp_path / "read")
