"""The project's SQLite file, written so that it may be lost or damaged at any time: a run without it is only slower."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

BUSY_SECONDS = 30.0
"""How long a write waits for another run's."""

_FOREIGN = re.compile("no such (table|column)|has no column")

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
