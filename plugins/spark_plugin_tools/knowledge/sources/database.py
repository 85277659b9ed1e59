"""SQLite databases that are written once and then only read, from many threads."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import quote

from spark_framework.api import ToolError, UserError

Fill = Callable[[sqlite3.Connection], None]
"""Writes tables into an empty database."""


class Database(Protocol):
    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection for this thread, until the end of the `with` block."""

    def close(self) -> None:
        """Release the connections. A later reader opens new ones."""


class InMemory:
    """For a few thousand rows: all threads share one connection and take turns."""

    def __init__(self, fill: Fill) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        fill(self._connection)
        self._connection.commit()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._connection

    def close(self) -> None:
        """Nothing to release: the tables are shared by all tools of the process."""


class OnDisk:
    """For any size: every thread reads through a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._opened: list[sqlite3.Connection] = []

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection()
        except sqlite3.DatabaseError as error:
            raise ToolError(damage(self.path, error), transient=True) from None

    def _connection(self) -> sqlite3.Connection:
        owner, connection = getattr(self._mine, "connection", (0, None))
        if connection is None or owner != os.getpid():  # SQLite's connections must not cross a fork
            connection = open_to_read(self.path)
            self._mine.connection = os.getpid(), connection
            with self._lock:
                self._opened.append(connection)
        return connection

    def close(self) -> None:
        with self._lock:
            opened, self._opened, self._mine = self._opened, [], threading.local()
        for connection in opened:
            connection.close()


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. The file is only ever replaced atomically, so no locks are needed."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


def damage(path: Path, error: sqlite3.DatabaseError) -> str:
    """The line that names a damaged file."""
    return f"{path} is damaged ({error}); delete it, and it is built again"


def build(path: Path, is_good: Callable[[], bool], fill: Fill) -> None:
    """Write a new database and put it at `path` in one step: after a failure, the old one or none is there.

    If several processes need it, one builds and the others wait; `is_good` tells whether it is done.

    Raises:
        UserError: it cannot be written, or `fill` raised one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not is_good():
            part = path.with_name(path.name + ".part")
            with part.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(file, part):  # else another process has moved it to its place, or failed
                    _write(file, part, fill)
                    part.replace(path)
                    return
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _write(file: IO[bytes], part: Path, fill: Fill) -> None:
    """Fill `part`, the locked file, and flush it to disk; delete it on failure."""
    try:
        file.truncate(0)  # left by a killed process
        with closing(sqlite3.connect(part)) as connection:
            # The file is not read before it is complete, so neither a journal nor fsync helps.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            fill(connection)
            connection.commit()
        os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
