"""The last pass of each notebook with its fingerprint, and digests of files: what `cached` rests on.

A row that is damaged, of another version or of another project makes a notebook run; nothing makes it cached but a
fingerprint that is the same whole.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from envsolver.core.fingerprints import Fingerprint, Look, LookKind
from envsolver.core.parsing import ODD_INPUT, MalformedError, parse_json
from envsolver.core.results import Result, ResultKey, WarningPlace
from envsolver.run.contents import Stamp
from envsolver.run.history_file import HistoryFile

KEPT_DIGESTS = 200_000
"""Of how many files the digests are remembered."""

_KINDS: dict[str, LookKind] = {kind: kind for kind in get_args(LookKind)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """The last pass of a notebook."""

    fingerprint: Fingerprint
    started: str
    """ISO 8601 with a zone."""
    run: str
    executed: str
    """Its run's folder, relative to the project's root if it is inside, and its executed copy, relative to that."""
    seconds: float
    memory: int | None
    """Peak of its process tree, bytes."""
    warnings: tuple[WarningPlace, ...] = ()
    warning_count: int = 0
    """As in `Result`."""


class Passes(HistoryFile):
    """The last passes, and the digests of files."""

    def known(self) -> dict[ResultKey, Pass]:
        """Return the last pass of each notebook that has one; empty when the file cannot be read."""
        rows = self._rows(
            "SELECT notebook, grp, python, started, run, executed, seconds, memory, fingerprint FROM pass"
        )
        found = {ResultKey(*row[:3]): _pass(row[3:]) for row in rows}
        return {key: each for key, each in found.items() if each is not None}

    def digests(self) -> dict[str, tuple[Stamp, str]]:
        """Return the remembered digests of files with their stamps, by path."""
        rows = self._rows("SELECT path, stamp, digest FROM content")
        return {path: (stamp, found) for path, stamp, found in rows}

    def _rows(self, query: str) -> list[Any]:
        if not self._path.exists():
            return []
        try:
            with self._open() as connection:
                return connection.execute(query).fetchall()
        except (sqlite3.DatabaseError, *ODD_INPUT):
            return []

    def keep(self, result: Result, fingerprint: Fingerprint, run: str) -> None:
        """Remember a pass in the place of the one before."""
        measured = (result.started or "", run, result.executed, result.seconds, result.peak_rss_bytes)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO pass VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*result.key, *measured, _packed(fingerprint, result)),
            )

        self._write(write)

    def drop(self, key: ResultKey) -> None:
        """Forget a pass, since another run of the notebook came out differently, or cannot be relied on."""
        if self._path.exists():
            self._write(lambda c: c.execute("DELETE FROM pass WHERE notebook = ? AND grp = ? AND python = ?", key))

    def keep_digests(self, fresh: Mapping[str, tuple[Stamp, str]]) -> None:
        """Remember digests of files; the newest `KEPT_DIGESTS` stay."""
        rows = [(path, *found) for path, found in fresh.items()]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO content VALUES (?, ?, ?)", rows)
            connection.execute(
                "DELETE FROM content WHERE rowid NOT IN (SELECT rowid FROM content ORDER BY rowid DESC LIMIT ?)",
                (KEPT_DIGESTS,),
            )

        if rows:
            self._write(write)


def _packed(fingerprint: Fingerprint, result: Result) -> bytes:
    states = [[*look, state] for look, state in fingerprint.states.items()]
    warned = {"warnings": [asdict(each) for each in result.warnings], "warning_count": result.warning_count}
    return zlib.compress(json.dumps({"facts": dict(fingerprint.facts), "states": states, **warned}).encode())


def _pass(row: Any) -> Pass | None:
    """Return the pass of a row, None when it is damaged."""
    started, run, executed, seconds, memory, packed = row
    try:
        content: Any = parse_json(zlib.decompress(packed).decode())
        states = {Look(_KINDS[kind], path, names): str(state) for kind, path, names, state in content["states"]}
        facts = {str(name): str(value) for name, value in content["facts"].items()}
        return Pass(
            fingerprint=Fingerprint(facts=facts, states=states),
            started=str(started),
            run=str(run),
            executed=str(executed),
            seconds=float(seconds),
            memory=None if memory is None else int(memory),
            warnings=tuple(WarningPlace(**each) for each in content.get("warnings", ())),
            warning_count=int(content.get("warning_count", 0)),
        )
    except (zlib.error, MalformedError, KeyError, TypeError, ValueError, AttributeError):
        return None
