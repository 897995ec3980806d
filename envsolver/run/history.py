"""One SQLite file that remembers durations, memory and verdicts, so that the next run is planned better.

The file may be lost at any time: a run without it is correct, and only slower. A crash loses at most the
result being written; two runs at once wait for each other's short writes. Rows that are damaged are passed over, and
a file that is damaged is put aside when something is to be written.
"""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, NamedTuple, get_args

from envsolver.core.environments import Target
from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import Cost, Job, KernelHistory
from envsolver.core.parsing import ODD_INPUT, MalformedError, parse_json
from envsolver.core.results import AFTER_VOID, LEADING, NOTHING, VOID, Result, ResultKey
from envsolver.core.verdicts import GOOD, Verdict
from envsolver.run.history_file import HistoryFile

RECENT = 5
"""How many of the last passes an estimate looks at."""

KEPT = 50
"""How many results are kept of each notebook in each group and Python version."""

LESSONS = 100
"""Of how many environments it is kept what their templates found out."""


_COLD_AFTER_WARM = 2
_FLAKY = 3
"""In the column `warm`: 0 for a cold kernel, 1 for a warm one, 2 for cold since warm did not pass, 3 when two attempts
differed with nothing changed between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is known of one notebook in one group and Python version."""

    notebook: str
    group: str
    python: str
    runs: int
    """How many results are kept."""
    seconds: float | None
    """Median of the last passes, None if it never passed."""
    memory: int | None
    """Largest of the last passes' peaks, bytes."""
    last: str
    """The last verdict."""
    flaky: bool
    """Whether verdicts differed for the same code in the same environment."""


class History(HistoryFile):
    """What earlier runs took, and how they ended."""

    def add(self, result: Result, digest: str) -> None:
        """Remember a result of a notebook that ran; one that cannot be written is forgotten.

        Parameters
        ----------
        result
            Verdicts that say nothing of the notebook (`skipped`, `environment`, `cached`) are not kept, nor is that
            of one that never had an environment.
        digest
            Of the notebook's code cells.
        """
        if result.status in {"skipped", "environment", "cached"} or not result.environment:
            return
        self._write(partial(_insert, result, digest))

    def costs(self, jobs: Sequence[Job]) -> dict[str, Cost]:
        """Expect of each job what its last passes took; else what they took elsewhere, or what its group's did.

        A notebook takes about as long on another version of Python, or in another group.

        Returns
        -------
        dict
            By job id. Empty when there is no history, or when it cannot be read.
        """
        try:
            records = {(r.notebook, r.group, r.python): r for r in self.records()}
        except ConfigurationError:
            return {}
        elsewhere: dict[str, list[float]] = {}
        by_group: dict[str, list[float]] = {}
        for record in records.values():
            if record.seconds is not None:
                elsewhere.setdefault(record.notebook, []).append(record.seconds)
                by_group.setdefault(record.group, []).append(record.seconds)
        costs = {}
        for job in jobs:
            found = records.get((job.notebook, job.group, job.python))
            seconds = found.seconds if found else None
            guessed = seconds is None and job.notebook not in elsewhere
            if seconds is None:
                alike = elsewhere.get(job.notebook) or by_group.get(job.group)
                seconds = median(alike) if alike else None
            costs[job.id] = Cost(
                seconds=seconds,
                memory=found.memory if found else None,
                failed=bool(found and found.last not in GOOD),
                guessed=guessed,
            )
        return costs

    def failed(self) -> frozenset[ResultKey]:
        """Name those that did not pass the last time; empty when the file cannot be read."""
        try:
            known = self.records()
            return frozenset(ResultKey(r.notebook, r.group, r.python) for r in known if r.last not in GOOD)
        except ConfigurationError:
            return frozenset()

    def expected(self, before: str | None = None) -> dict[ResultKey, float]:
        """Return the expected seconds by notebook, group and Python version; empty when the file cannot be read.

        Parameters
        ----------
        before
            Look only at what had started before this time (ISO 8601 with a zone), such as the start of a run.
        """
        try:
            known = self.records(before)
            return {ResultKey(r.notebook, r.group, r.python): r.seconds for r in known if r.seconds is not None}
        except ConfigurationError:
            return {}

    def known(
        self, jobs: Sequence[Job], *, digests: Mapping[str, str], environments: Mapping[Target, str]
    ) -> dict[str, KernelHistory]:
        """Return what is known of each job's notebook, as long as neither its code nor its environment changed.

        Parameters
        ----------
        digests
            Of each notebook's code cells.
        environments
            The environment's key of each group and Python version.

        Returns
        -------
        dict
            By job id; a job of which nothing is known is not in it. Empty when the history cannot be read.
        """
        try:
            return self._known(jobs, digests, environments) if self._path.exists() else {}
        except (sqlite3.DatabaseError, *ODD_INPUT):
            return {}

    def _known(
        self, jobs: Sequence[Job], digests: Mapping[str, str], environments: Mapping[Target, str]
    ) -> dict[str, KernelHistory]:
        with self._open() as connection:
            rows = connection.execute("SELECT notebook, grp, python, environment, digest, names FROM modules")
            names = {tuple(row[:5]): _module_names(row[5]) for row in rows}
            ran: dict[tuple[str, ...], list[tuple[str, int]]] = {}
            for row in connection.execute(
                "SELECT notebook, grp, python, environment, digest, status, warm FROM result ORDER BY id"
            ):
                if _fits(row, *[str] * 6, int):
                    ran.setdefault(tuple(row[:5]), []).append((row[5], row[6]))
        known = {}
        for job in jobs:
            environment = environments.get(job.target, "")
            key = (job.notebook, job.group, job.python, environment, digests.get(job.notebook, ""))
            if key not in ran:
                continue
            # One that passes in no kernel says nothing against warm ones.
            better_cold = any(status in GOOD and warm == _COLD_AFTER_WARM for status, warm in ran[key])
            cold = ran[key][-1][0] not in GOOD or better_cold
            known[job.id] = KernelHistory(modules=names.get(key, ()), cold=cold)
        return known

    def template_facts(self) -> dict[str, str]:
        """Return what templates found out about environments, by key; empty when it cannot be read."""
        if not self._path.exists():
            return {}
        try:
            with self._open() as connection:
                rows = connection.execute("SELECT environment, text FROM lesson").fetchall()
        except (sqlite3.DatabaseError, OSError):
            return {}
        return {environment: text for environment, text in rows if isinstance(environment, str) and _is_table(text)}

    def record_facts(self, template_facts: Mapping[str, str]) -> None:
        """Remember what templates found out; the newest `LESSONS` are kept."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO lesson (environment, text) VALUES (?, ?)", template_facts.items()
            )
            connection.execute(
                "DELETE FROM lesson WHERE rowid NOT IN (SELECT rowid FROM lesson ORDER BY rowid DESC LIMIT ?)",
                (LESSONS,),
            )

        if template_facts:
            self._write(write)

    def records(self, before: str | None = None) -> tuple[Record, ...]:
        """Sum up each notebook, sorted by name; empty when there is no file.

        Parameters
        ----------
        before
            Look only at what had started before this time (ISO 8601 with a zone).

        Raises
        ------
        ConfigurationError
            When the file is not a history.
        """
        if not self._path.exists():
            return ()
        try:
            return self._records(before)
        except (sqlite3.Error, *ODD_INPUT) as error:
            fault = f"{self._path}: is not a history that can be read: {error}"
            raise ConfigurationError([fault], tip="The next run puts it aside and makes a new one.") from error

    def _records(self, before: str | None) -> tuple[Record, ...]:
        with self._open() as connection:
            rows = connection.execute(
                "SELECT notebook, grp, python, environment, digest, status, seconds, memory, warm FROM result"
                " WHERE ?1 IS NULL OR julianday(started) < julianday(?1) ORDER BY id",
                (before,),
            ).fetchall()
        grouped: dict[ResultKey, list[_Row]] = {}
        for notebook, group, python, *rest in filter(_is_sound, rows):
            grouped.setdefault(ResultKey(notebook, group, python), []).append(tuple(rest))
        return tuple(_record(key, grouped[key]) for key in sorted(grouped))


def _insert(result: Result, digest: str, connection: sqlite3.Connection) -> None:
    """Write a result and its modules, and forget the oldest of its kind."""
    which = (result.notebook, result.group, result.python)
    # After a void attempt, the modules that are kept can be had ahead.
    spoilt = result.warm_verdict and not (result.warm_verdict.startswith(VOID) and result.modules)
    warm = _FLAKY if result.flaky else _COLD_AFTER_WARM if spoilt else int(result.warm)
    measured = (result.status, result.started, result.seconds, result.start_seconds, result.peak_rss_bytes, warm)
    connection.execute(
        "INSERT INTO result (notebook, grp, python, environment, digest, status, started, seconds,"
        " start_seconds, memory, warm) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*which, result.environment, digest, *measured),
    )
    if result.modules:
        names = zlib.compress("\n".join(_next_modules(result, digest, connection)).encode(errors="surrogateescape"))
        connection.execute(
            "INSERT OR REPLACE INTO modules (notebook, grp, python, environment, digest, names)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*which, result.environment, digest, names),
        )
    connection.execute(
        "DELETE FROM result WHERE notebook = ? AND grp = ? AND python = ? AND id NOT IN (SELECT id FROM result"
        " WHERE notebook = ? AND grp = ? AND python = ? ORDER BY id DESC LIMIT ?)",
        (*which, *which, KEPT),
    )


def _next_modules(result: Result, digest: str, connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return what the notebook's next kernel may have ahead.

    After a second void attempt that is what its first cells import, and after that nothing: every run would void one.
    """
    if result.modules[0] != AFTER_VOID:
        return result.modules
    stored = connection.execute(
        "SELECT names FROM modules WHERE notebook = ? AND grp = ? AND python = ? AND environment = ? AND digest = ?",
        (result.notebook, result.group, result.python, result.environment, digest),
    ).fetchone()
    before = next(iter(_module_names(stored[0])), "") if stored is not None else ""
    fewer = {AFTER_VOID: LEADING, LEADING: NOTHING, NOTHING: NOTHING}
    return (fewer[before],) if before in fewer else result.modules


def _fits(row: Sequence[object], *kinds: type | tuple[type, ...]) -> bool:
    return all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))


def _is_sound(row: Sequence[Any]) -> bool:
    """Return whether a row of results holds what was once written."""
    if not _fits(row, *[str] * 6, (int, float), (int, type(None)), int) or row[5] not in get_args(Verdict):
        return False
    seconds, memory = row[6], row[7]
    return 0 <= seconds < math.inf and (memory is None or memory >= 0)


def _module_names(packed: object) -> tuple[str, ...]:
    """Return the modules of a row; none when it is damaged."""
    try:
        names = zlib.decompress(packed).decode(errors="surrogateescape") if isinstance(packed, bytes) else ""
    except zlib.error:
        return ()
    return tuple(names.split("\n")) if names else ()


def _is_table(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(parse_json(text), dict)
    except MalformedError:
        return False


_Row = tuple[str, str, str, float, "int | None", int]


class _Inputs(NamedTuple):
    """What a verdict belongs to: an environment and a digest of the notebook's inputs."""

    environment: str
    digest: str


def _record(key: ResultKey, rows: list[_Row]) -> Record:
    every = [row for row in rows if row[2] == "passed"]
    # A warm kernel saves the imports, so a warm run says nothing of a cold one; the next will be as the last was.
    passed = [row for row in every if (row[5] == 1) == (every[-1][5] == 1)][-RECENT:]
    peaks = [row[4] for row in passed if row[4] is not None]
    verdicts: dict[_Inputs, set[str]] = {}
    for environment, digest, status, *_ in rows:
        verdicts.setdefault(_Inputs(environment, digest), set()).add(status)
    return Record(
        notebook=key[0],
        group=key[1],
        python=key[2],
        runs=len(rows),
        seconds=median(row[3] for row in passed) if passed else None,
        memory=max(peaks) if peaks else None,
        last=rows[-1][2],
        flaky=any(len(seen) > 1 for seen in verdicts.values()) or any(row[5] == _FLAKY for row in rows),
    )
