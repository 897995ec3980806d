"""Which GPUs this machine offers, dealt out so that each job sees only its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

ASK_SECONDS = 10.0
"""How long the driver's tool may take to answer."""


def gpu_sets(each: int, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Deal the visible GPUs out in sets of `each`.

    Parameters
    ----------
    each
        GPUs that one job needs; with 0 there are no sets.
    environ
        Environment variables; ``CUDA_VISIBLE_DEVICES`` bounds what may be used.

    Returns
    -------
    tuple of str
        Values for ``CUDA_VISIBLE_DEVICES``, one for each job that can run at once.
    """
    if each < 1:
        return ()
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in visible.split(",") if name.strip()] if visible is not None else _installed()
    return tuple(",".join(names[start : start + each]) for start in range(0, len(names) - each + 1, each))


def gpu_variables(count: int) -> dict[str, str]:
    """Return the variables that a machine with so many GPUs has."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(count)))}


def _installed() -> list[str]:
    """Ask the driver's own tool for the GPUs of this machine; without it there are none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=ASK_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.split() if answer.returncode == 0 else []
