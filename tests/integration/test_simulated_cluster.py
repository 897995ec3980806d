"""Promise: of 10,000 notebooks on 100 nodes none is lost; they end about as early as the waits allow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[1]


def test_ten_thousand_notebooks_on_a_hundred_nodes() -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / "benchmark/simulated.py")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "tools")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdicts"] == {"passed": 10_000}
    assert found["lost_attempts"] > 0
    assert found["handed_back"] > 0
    assert found["over_bound"] < 1.15
    assert found["peak_megabytes"] < 300
