"""What coverage measured of a job: brought to the run's folder, with the project's real paths."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from envsolver.core.jobs import Job
from envsolver.core.paths import COVERAGE_DATA
from envsolver.worker.scratch import Scratch

FAULT = "fault"
"""Name of the file, among the data, that says why nothing could be measured."""


def data_directory(place: Scratch) -> Path:
    """Return where the processes of a job write what they measured."""
    return place.base / "coverage"


def keep_coverage(job: Job, place: Scratch) -> None:
    """Move what was measured to the run's folder, in the place of an earlier attempt's."""
    kept = Path(job.run_dir, COVERAGE_DATA, job.id)
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for file in data_directory(place).iterdir():
        if file.name.startswith("data.") and place.home != Path(job.root):
            with contextlib.suppress(sqlite3.Error):  # one that was being written when it was killed
                _relocate(file, place.home, Path(job.root))
        shutil.move(file, kept / file.name)


def _relocate(file: Path, home: Path, root: Path) -> None:
    """Give the files of a likeness of the project the paths that they stand for."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "UPDATE OR IGNORE file SET path = ?2 || substr(path, length(?1) + 1)"
            " WHERE substr(path, 1, length(?1)) = ?1",
            (f"{home}/", f"{root}/"),
        )
