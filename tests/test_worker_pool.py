"""Promise: Parsl's pool works as it does by itself, and its workers share one import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from envsolver import worker_pool


def test_it_takes_the_arguments_of_parsls_own_pool(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(worker_pool.__file__)), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--max_workers_per_node" in done.stdout
    assert done.stderr == ""


def test_what_workers_share_can_be_imported() -> None:
    # The fork server passes over what it cannot import, and every worker would import it again.
    code = f"import sys, {', '.join(worker_pool.SHARED)}; print({worker_pool.POOL!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"  # else the pool's program would be run a second time, with a warning
