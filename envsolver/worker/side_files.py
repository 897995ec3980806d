"""Reading what a kernel, or its keeper, wrote into its job's private directory.

A notebook can reach that directory. So what stands there may be a pipe into which nobody writes, a link to a device
without an end, or a file as large as the disk; none of them may keep the worker, which has other notebooks to run.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 512 * 2**20
"""Bytes of the largest file that is read."""


def read_side_file(path: Path) -> bytes:
    """Return what an ordinary file holds, without ever waiting for it.

    Raises
    ------
    OSError
        When it is not there, or is no ordinary file, or larger than `LARGEST`.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not an ordinary file", str(path))
        if found.st_size > LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        with os.fdopen(number, "rb", closefd=False) as file:
            return file.read(LARGEST)
    finally:
        os.close(number)
