"""Replies, verdicts and the ledger in one SQLite file (WAL). Several processes may share it; not on a network drive.

`NAME-leases` in the same folder is an empty file. A process that requests a reply holds a lock on one of its bytes; the
kernel releases the lock when the process ends, however it ends.

memo      a step as seen by a judge with this code and these settings -> the key of its request
response  SHA-256 of the exact request                               -> the unparsed reply
verdict   request and judge (`fingerprint.behaviour_id`)             -> the verdict
attempt   the ledger: every attempt with its cost, including failed ones
batch     batches that were submitted and not yet collected
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from ..contracts.remote_judge import ApiReply, ApiRequest, Usage
from ..errors import RunError
from ..records import Verdict
from ..util.sqlite_file import SqliteFile

_TABLES = """
CREATE TABLE IF NOT EXISTS memo (step TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS response (
  key TEXT PRIMARY KEY, judge TEXT NOT NULL, model TEXT NOT NULL, request BLOB NOT NULL, body TEXT NOT NULL,
  usage TEXT, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS verdict (
  key TEXT NOT NULL, reader TEXT NOT NULL, verdict TEXT NOT NULL, PRIMARY KEY (key, reader)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempt (
  id INTEGER PRIMARY KEY, run TEXT NOT NULL, judge TEXT NOT NULL, key TEXT NOT NULL, transport TEXT NOT NULL,
  outcome TEXT NOT NULL, input_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER, usd REAL, seconds REAL,
  at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS batch (
  name TEXT PRIMARY KEY, run TEXT NOT NULL, judge TEXT NOT NULL, id TEXT, at REAL NOT NULL) WITHOUT ROWID;
"""


class JudgeStore(SqliteFile):
    """Replies, verdicts and the ledger; see the module's docstring. Raises `RunError` as `SqliteFile` does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _TABLES, "judge store", "judging.file")
        self._leases: IO[bytes] | None = None

    def close(self) -> None:
        super().close()
        with self._lock:
            if self._leases is not None:
                self._leases.close()
                self._leases = None

    # -- replies and verdicts --------------------------------------------------------------------------------------

    def cached_verdict(self, step: str, behaviour: str) -> Verdict | None:
        """The stored verdict on a step (`StepFingerprints.of`) by a judge with this `behaviour_id`, or None."""
        query = "SELECT verdict FROM memo JOIN verdict USING (key) WHERE step = ? AND reader = ?"
        with self._access() as database:
            row = database.execute(query, (step, behaviour)).fetchone()
        return None if row is None else Verdict.model_validate_json(row[0])

    def reply(self, key: str) -> ApiReply | None:
        """The stored reply to the request with this key, or None."""
        with self._access() as database:
            row = database.execute("SELECT body, usage, model FROM response WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        usage = None if row[1] is None else Usage.model_validate_json(row[1])
        return ApiReply(body=json.loads(row[0]), usage=usage, model=row[2])

    def store_verdict(self, step: str, api_request: ApiRequest, behaviour: str, verdict: Verdict) -> None:
        """Store a verdict that was read from a stored reply."""
        with self._transaction() as database:
            _insert_verdict(database, step, api_request.key, behaviour, verdict)

    def store_reply(
        self, judge: str, api_request: ApiRequest, reply: ApiReply, attempt: Sequence[object],
        step: str = "", behaviour: str = "", verdict: Verdict | None = None,
    ) -> None:  # fmt: skip
        """Store a usable reply, its ledger row and its verdict (if there is one) in one transaction."""
        usage = None if reply.usage is None else reply.usage.model_dump_json()
        request = zlib.compress(api_request.text.encode("utf-8", "surrogatepass"), 1)
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO response VALUES (?, ?, ?, ?, ?, ?, ?)",
                (api_request.key, judge, reply.model, request, json.dumps(reply.body), usage, time.time()),
            )
            _insert_attempt(database, attempt)
            if verdict is not None:
                _insert_verdict(database, step, api_request.key, behaviour, verdict)

    # -- the ledger ------------------------------------------------------------------------------------------------

    def record_attempt(self, attempt: Sequence[object]) -> None:
        """Add a row to the ledger: (run, judge, key, transport, outcome, input, cached, output, usd, seconds)."""
        with self._access() as database:
            _insert_attempt(database, attempt)

    def spent(self, run: str) -> float:
        """US dollars that a run has cost so far."""
        with self._access() as database:
            (usd,) = database.execute("SELECT total(usd) FROM attempt WHERE run = ?", (run,)).fetchone()
        return float(usd)

    def ledger(self, run: str, keys: Iterable[str] | None = None) -> list[tuple[str, str, int, int, int, int, float]]:
        """(judge, outcome, attempts, input, cached and output tokens, US dollars) of a run, or of some of its
        requests."""
        wanted = None if keys is None else json.dumps(list(keys))
        query = (
            "SELECT judge, outcome, count(*), total(input_tokens), total(cached_tokens), total(output_tokens), "
            "total(usd) FROM attempt WHERE run = ? AND (? IS NULL OR key IN (SELECT value FROM json_each(?))) "
            "GROUP BY judge, outcome ORDER BY judge, outcome"
        )
        with self._access() as database:
            rows = database.execute(query, (run, wanted, wanted)).fetchall()
        return [(row[0], row[1], row[2], int(row[3]), int(row[4]), int(row[5]), row[6]) for row in rows]

    # -- leases ----------------------------------------------------------------------------------------------------

    def lease(self, key: str) -> bool:
        """Try to lock a request for this process; False if another process is sending it. Threads need a separate
        lock."""
        try:
            file = self._lease_file()
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
            except (BlockingIOError, PermissionError):
                return False
        except OSError as exc:
            raise RunError(
                f"{self.path}: cannot be locked ({exc}); set judging.file to a path on a local disk"
            ) from exc
        return True

    def release(self, key: str) -> None:
        """Unlock a request for other processes."""
        fcntl.lockf(self._lease_file(), fcntl.LOCK_UN, 1, _place(key))

    def _lease_file(self) -> IO[bytes]:
        if self._leases is None:  # opened late: closing it in a second store would release this process's locks
            with self._lock:
                shared = str(self.path) != ":memory:"
                self._leases = self._leases or (open(f"{self.path}-leases", "ab") if shared else TemporaryFile())  # noqa: SIM115
        return self._leases

    # -- batches ---------------------------------------------------------------------------------------------------

    def open_batches(self, run: str, judge: str) -> list[tuple[str, str | None]]:
        """(name, id) of a run's batches that were not collected completely; the id is None if a process was killed
        before it got one."""
        query = "SELECT name, id FROM batch WHERE run = ? AND judge = ? ORDER BY at, name"
        with self._access() as database:
            return [(row[0], row[1]) for row in database.execute(query, (run, judge)).fetchall()]

    def note_batch(self, name: str, run: str, judge: str, batch: str | None) -> None:
        """Record that a batch is about to be submitted (id None), and then its id."""
        with self._access() as database:
            database.execute(
                "INSERT OR REPLACE INTO batch VALUES (?, ?, ?, ?, ?)", (name, run, judge, batch, time.time())
            )

    def forget_batch(self, name: str) -> None:
        """Delete the record of a batch that was collected, or never submitted."""
        with self._access() as database:
            database.execute("DELETE FROM batch WHERE name = ?", (name,))


def _insert_attempt(database: sqlite3.Connection, attempt: Sequence[object]) -> None:
    database.execute(
        "INSERT INTO attempt (run, judge, key, transport, outcome, input_tokens, cached_tokens, output_tokens, usd, "
        "seconds, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*attempt, time.time()),
    )


def _insert_verdict(database: sqlite3.Connection, step: str, key: str, behaviour: str, verdict: Verdict) -> None:
    database.execute("INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)", (key, behaviour, verdict.model_dump_json()))
    database.execute("INSERT OR REPLACE INTO memo VALUES (?, ?)", (step, key))


def _place(key: str) -> int:
    """The byte that is locked for a request. Two requests with the same byte would only wait for each other."""
    return int(key[:15], 16)
