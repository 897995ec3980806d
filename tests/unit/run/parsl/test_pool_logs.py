"""Promise: a pool of workers that will never answer is noticed, with the error that it ended with."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest

from envsolver.run.parsl.pool_logs import SETTLED_SECONDS, explained, last_words, stuck

STARTED = "1 2026 MainProcess parsl:662 worker INFO: Worker 0 started\n"
FAILED = "1 2026 ERROR: Exceptional ending for worker on thread MainThread\nRuntimeError: can't start new thread\n"


@pytest.mark.parametrize(
    ("text", "age", "cause"),
    [
        (STARTED + FAILED, SETTLED_SECONDS + 5, "RuntimeError: can't start new thread"),
        (STARTED + FAILED, 0, ""),
        (STARTED + FAILED + STARTED, SETTLED_SECONDS + 5, ""),
        (STARTED, SETTLED_SECONDS + 5, ""),
        ("", SETTLED_SECONDS + 5, ""),
    ],
    ids=["failed", "just now", "replaced", "well", "empty"],
)
def test_a_part_of_a_pool_that_failed_for_good_is_noticed(tmp_path: Path, text: str, age: float, cause: str) -> None:
    log = tmp_path / "block-0" / "pool" / "worker_0.log"
    log.parent.mkdir(parents=True)
    log.write_text(text, encoding="utf-8")
    os.utime(log, (time.time() - age, time.time() - age))
    assert stuck(tmp_path) == cause


def test_a_pool_without_logs_is_well(tmp_path: Path) -> None:
    assert stuck(tmp_path / "none") == ""


def test_the_limit_that_explains_an_error_is_told() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    assert f"`ulimit -u`, the processes and threads that this user may have, is {limit}" in explained(
        "x: BlockingIOError"
    )
    assert explained("OSError: AF_UNIX path too long") == "OSError: AF_UNIX path too long"


@pytest.mark.parametrize(("text", "last"), [("a\nb \n\n", "b"), ("", ""), ("\n", "")])
def test_the_last_words_are_the_last_line_that_says_something(text: str, last: str) -> None:
    assert last_words(text) == last
