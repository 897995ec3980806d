"""The project's SQLite file, written so that it may be lost or damaged at any time: a run without it is only slower."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from envsolver.core.parsing import ODD_INPUT

BUSY_SECONDS = 30.0
"""How long a write waits for another run's."""

_FOREIGN = re.compile("no such (table|column)|has no column")

_RESULT = "notebook, grp, python, environment, digest, status, started, seconds, start_seconds, memory, warm"

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
CREATE TABLE IF NOT EXISTS modules (
    notebook TEXT NOT NULL,
    grp TEXT NOT NULL,
    python TEXT NOT NULL,
    environment TEXT NOT NULL,
    digest TEXT NOT NULL,
    names BLOB NOT NULL,
    PRIMARY KEY (notebook, grp, python)
);
CREATE TABLE IF NOT EXISTS lesson (environment TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pass (
    notebook TEXT NOT NULL,
    grp TEXT NOT NULL,
    python TEXT NOT NULL,
    started TEXT NOT NULL,
    run TEXT NOT NULL,
    executed TEXT NOT NULL,
    seconds REAL NOT NULL,
    memory INTEGER,
    fingerprint BLOB NOT NULL,
    PRIMARY KEY (notebook, grp, python)
);
CREATE TABLE IF NOT EXISTS content (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL);
PRAGMA user_version = 1;
"""

# Of a notebook, the history in which it ran last is believed; results are joined in the order in which they came.
_NEWEST = "SELECT notebook, grp, python, max(julianday(started)) AS last FROM {}.result GROUP BY notebook, grp, python"
_ABSORB = f"""
CREATE TEMP TABLE newer AS SELECT o.notebook, o.grp, o.python FROM ({_NEWEST.format("other")}) o
    LEFT JOIN ({_NEWEST.format("main")}) m USING (notebook, grp, python) WHERE o.last > coalesce(m.last, 0);
DELETE FROM main.pass WHERE (notebook, grp, python) IN newer;
INSERT INTO main.pass SELECT * FROM other.pass WHERE (notebook, grp, python) IN newer;
INSERT OR REPLACE INTO main.modules SELECT * FROM other.modules WHERE (notebook, grp, python) IN newer;
INSERT OR IGNORE INTO main.lesson SELECT * FROM other.lesson;
CREATE TEMP TABLE joined AS SELECT {_RESULT} FROM main.result UNION SELECT {_RESULT} FROM other.result;
DELETE FROM main.result;
INSERT INTO main.result ({_RESULT}) SELECT {_RESULT} FROM joined ORDER BY julianday(started);
"""  # noqa: S608  names of our own


class HistoryFile:
    """The file, opened anew for each use, so that threads and forks cannot share it.

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
        connection.text_factory = _as_text
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            with contextlib.suppress(sqlite3.OperationalError):  # it is there already
                connection.execute("ALTER TABLE result ADD COLUMN warm INTEGER NOT NULL DEFAULT 0")
            with connection:
                yield connection
        except UnicodeDecodeError as error:  # of a damaged file, even SQLite's words about it may be no text
            raise sqlite3.DatabaseError("the file is damaged") from error
        finally:
            connection.close()

    def absorb(self, other: Path) -> bool:
        """Take over what another history knows, such as that of a shard; return whether that was possible.

        Digests of files stay behind, since they hold for the other machine's files.
        """
        try:
            with self._open() as connection:
                connection.execute("ATTACH DATABASE ? AS other", (str(other),))
                versions = [connection.execute(f"PRAGMA {name}.user_version").fetchone() for name in ("main", "other")]
                if versions[0] != versions[1]:
                    return False
                connection.executescript(f"BEGIN; {_ABSORB} COMMIT;")
        except (sqlite3.Error, *ODD_INPUT):
            return False
        return True

    def _write(self, write: Callable[[sqlite3.Connection], object]) -> None:
        """Write to the file, or to a new one if it is damaged; what cannot be written only makes later runs slower."""
        for _ in range(2):
            try:
                with self._open() as connection:
                    write(connection)
            except sqlite3.DatabaseError as error:
                if _is_damage(error) and self._put_aside():
                    continue
            except (OSError, UnicodeError):
                pass
            return

    def _put_aside(self) -> bool:
        """Rename a damaged file, without what belongs to it, and return whether that was possible."""
        try:
            self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError:
            return False
        return True


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether an error says that a file is no history, and not that it is held or that the disk is full."""
    # SQLite's codes for what is no database, or a corrupt one, have this class itself; a foreign schema does not fit.
    return type(error) is sqlite3.DatabaseError or bool(_FOREIGN.search(str(error)))


def _as_text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
