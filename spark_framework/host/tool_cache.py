"""Replies of tools that use the network, stored on disk: a run can be replayed, and no request is sent twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from ..contracts.components import Tool
from ..errors import UserError
from ..util.sqlite_file import SqliteFile

Mode = Literal["use", "refresh", "only"]

_TABLE = """
CREATE TABLE IF NOT EXISTS reply (
  key TEXT PRIMARY KEY, tool TEXT NOT NULL, version TEXT NOT NULL, arguments TEXT NOT NULL,
  ok INTEGER NOT NULL, text TEXT NOT NULL, asked_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID
"""


class ReplyCache(SqliteFile):
    """Replies keyed by tool, version (its fingerprint) and canonical arguments. Several processes may share the file.

    Modes: `use` calls the tool only if no reply is recorded; `refresh` always calls it and records the reply; `only`
    never calls it, and a call without a recorded reply ends the command. Raises `RunError` as `SqliteFile` does.
    """

    def __init__(self, path: Path, mode: Mode) -> None:
        super().__init__(path, _TABLE, "reply cache", "replies.file")
        self.mode = mode
        self._versions: dict[Tool, str] = {}

    @staticmethod
    def covers(tool: Tool) -> bool:
        """Whether a tool's replies are recorded. Tools without network access compute the same reply every time."""
        return "network" in tool.needs

    def find(self, tool: Tool, arguments: Any) -> tuple[bool, str] | None:
        """The recorded (succeeded, text), or None if the tool has to be called.

        Raises:
            UserError: no reply is recorded, and the mode is `only`.
        """
        if self.mode == "refresh":
            return None
        key, _, written = self._identity(tool, arguments)
        with self._access() as database:
            row = database.execute("SELECT ok, text FROM reply WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return bool(row[0]), str(row[1])
        if self.mode == "only":
            raise UserError(
                f"{self.path} holds no reply of {tool.name} to {written[:200]}, and replies.mode is `only`; "
                "set it to `use` to query the network"
            )
        return None

    def store(self, tool: Tool, arguments: Any, ok: bool, text: str) -> None:
        """Record a reply, replacing an older one."""
        key, version, written = self._identity(tool, arguments)
        with self._access() as database:
            database.execute(
                "INSERT OR REPLACE INTO reply (key, tool, version, arguments, ok, text) VALUES (?, ?, ?, ?, ?, ?)",
                (key, tool.name, version, written, ok, text),
            )

    def _identity(self, tool: Tool, arguments: Any) -> tuple[str, str, str]:
        """(key, version, canonical arguments) of a call with checked arguments."""
        if tool not in self._versions:
            self._versions[tool] = tool.fingerprint()
        version = self._versions[tool]
        written = json.dumps(arguments.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(json.dumps([tool.name, version, written]).encode()).hexdigest(), version, written


@contextmanager
def open_replies(path: Path, mode: Mode) -> Iterator[ReplyCache]:
    """Open or create the file, and close it at the end. Raises `RunError` as `SqliteFile` does."""
    with closing(ReplyCache(path, mode)) as cache:
        yield cache
