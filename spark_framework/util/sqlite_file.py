"""An SQLite database that several threads and processes share. Not over a network drive."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RunError

BUSY_TIMEOUT = 60
"""Seconds to wait for another process that is writing."""


class SqliteFile:
    """One database file (WAL), open in this process. All methods are safe to call from many threads.

    Args:
        path: created if it does not exist.
        schema: SQL that creates missing tables.
        what: the kind of file, for errors.
        setting: the config key that sets the path of the file, for errors.

    Raises:
        RunError: the file cannot be opened, is not such a database, or the disk is full.
    """

    def __init__(self, path: Path, schema: str, what: str, setting: str) -> None:
        self.path, self._setting = path, setting
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
                self._database.executescript(schema)
            except sqlite3.Error:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as exc:
            raise RunError(f"{path} is not a valid {what} ({exc}); free some space or set {setting}") from exc

    def close(self) -> None:
        """Close the database."""
        with self._access() as database:
            database.close()

    @contextmanager
    def _access(self) -> Iterator[sqlite3.Connection]:
        """The connection; other threads wait until the block ends."""
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as exc:
                raise RunError(f"{self.path}: {exc}; free some space, or set another {self._setting}") from exc

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The same; all statements of the block take effect, or none."""
        with self._access() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
