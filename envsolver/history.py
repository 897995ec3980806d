"""One SQLite file that remembers durations, memory and verdicts, so that the next run is planned better.

The file may be lost at any time: a run without it is correct, and only slower. A crash loses at most the
result being written; two runs at once wait for each other's short writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from envsolver.models import GOOD, Cost, Job, Result

RECENT = 5
"""How many of the last passes an estimate looks at."""

KEPT = 50
"""How many results are kept of each notebook in each group and Python version."""

BUSY_SECONDS = 30.0
"""How long a write waits for another run's."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS result (
    id INTEGER PRIMARY KEY,
    notebook TEXT NOT NULL,
    grp TEXT NOT NULL,
    python TEXT NOT NULL,
    environment TEXT NOT NULL,
    digest TEXT NOT NULL,
    status TEXT NOT NULL,
    started TEXT,
    seconds REAL NOT NULL,
    start_seconds REAL NOT NULL,
    memory INTEGER
);
CREATE INDEX IF NOT EXISTS result_by_notebook ON result (notebook, grp, python, id);
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is known of one notebook in one group and Python version.

    Attributes
    ----------
    runs
        How many results are kept.
    seconds
        Median of the last passes, None if it never passed.
    memory
        Largest of the last passes' peaks, bytes.
    last
        The last verdict.
    flaky
        Whether verdicts differed for the same code in the same environment.
    """

    notebook: str
    group: str
    python: str
    runs: int
    seconds: float | None
    memory: int | None
    last: str
    flaky: bool


class History:
    """The project's history file, opened anew for each use, so that threads and forks cannot share it.

    Parameters
    ----------
    path
        The SQLite file; made on the first write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            with connection:
                yield connection
        finally:
            connection.close()

    def add(self, result: Result, digest: str) -> None:
        """Remember a result of a notebook that ran.

        Parameters
        ----------
        result
            Verdicts that say nothing of the notebook (`skipped`, `environment`, `cached`) are not kept.
        digest
            Of the notebook's code cells.
        """
        if result.status in {"skipped", "environment", "cached"}:
            return
        row = (
            result.notebook,
            result.group,
            result.python,
            result.environment,
            digest,
            result.status,
            result.started,
            result.seconds,
            result.start_seconds,
            result.peak_rss_bytes,
        )
        with self._open() as connection:
            connection.execute(
                "INSERT INTO result (notebook, grp, python, environment, digest, status, started, seconds,"
                " start_seconds, memory) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            which = (result.notebook, result.group, result.python)
            connection.execute(
                "DELETE FROM result WHERE notebook = ? AND grp = ? AND python = ? AND id NOT IN (SELECT id FROM result"
                " WHERE notebook = ? AND grp = ? AND python = ? ORDER BY id DESC LIMIT ?)",
                (*which, *which, KEPT),
            )

    def costs(self, jobs: Sequence[Job]) -> dict[str, Cost]:
        """Expect of each job what its last passes took, or what its group's did.

        Returns
        -------
        dict
            By job id. Empty when there is no history, or when it cannot be read.
        """
        try:
            records = {(r.notebook, r.group, r.python): r for r in self.records()}
        except sqlite3.DatabaseError:
            return {}
        by_group: dict[str, list[float]] = {}
        for record in records.values():
            if record.seconds is not None:
                by_group.setdefault(record.group, []).append(record.seconds)
        costs = {}
        for job in jobs:
            found = records.get((job.notebook, job.group, job.python))
            seconds = found.seconds if found else None
            if seconds is None and job.group in by_group:
                seconds = median(by_group[job.group])
            costs[job.id] = Cost(
                seconds=seconds,
                memory=found.memory if found else None,
                failed=bool(found and found.last not in GOOD),
            )
        return costs

    def expected(self) -> dict[tuple[str, str, str], float]:
        """Give the expected seconds by notebook, group and Python version; empty when the file cannot be read."""
        try:
            return {(r.notebook, r.group, r.python): r.seconds for r in self.records() if r.seconds is not None}
        except sqlite3.DatabaseError:
            return {}

    def records(self) -> tuple[Record, ...]:
        """Sum up each notebook, sorted by name; empty when there is no file.

        Raises
        ------
        sqlite3.DatabaseError
            When the file is not a history.
        """
        if not self._path.exists():
            return ()
        with self._open() as connection:
            rows = connection.execute(
                "SELECT notebook, grp, python, environment, digest, status, seconds, memory FROM result ORDER BY id"
            ).fetchall()
        grouped: dict[tuple[str, str, str], list[tuple[str, str, str, float, int | None]]] = {}
        for notebook, group, python, *rest in rows:
            grouped.setdefault((notebook, group, python), []).append(tuple(rest))
        return tuple(_record(key, grouped[key]) for key in sorted(grouped))


def _record(key: tuple[str, str, str], rows: list[tuple[str, str, str, float, int | None]]) -> Record:
    passed = [row for row in rows if row[2] == "passed"][-RECENT:]
    peaks = [row[4] for row in passed if row[4] is not None]
    verdicts: dict[tuple[str, str], set[str]] = {}
    for environment, digest, status, _, _ in rows:
        verdicts.setdefault((environment, digest), set()).add(status)
    return Record(
        notebook=key[0],
        group=key[1],
        python=key[2],
        runs=len(rows),
        seconds=median(row[3] for row in passed) if passed else None,
        memory=max(peaks) if peaks else None,
        last=rows[-1][2],
        flaky=any(len(seen) > 1 for seen in verdicts.values()),
    )
