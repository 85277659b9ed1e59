"""The description of an MCP server and its tools, and the limits on its messages. Does not import the SDK."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MAX_MESSAGE = 4 << 20
"""Bytes of one message; far more than a model reads."""
TOO_LONG = f"the reply is longer than {MAX_MESSAGE >> 20} MB; ask for less"


class ServerError(Exception):
    """A server that cannot be used; the message, meant for people, says why."""


@dataclass(frozen=True)
class Address:
    """Where a server is: a command with the variables that it gets, or a URL with its bearer token."""

    command: tuple[str, ...]
    variables: dict[str, str] = field(repr=False)
    url: str | None
    token: str | None = field(repr=False)
    seconds: float
    """For one call, and for connecting and listing together."""

    def __str__(self) -> str:
        return self.url or f"`{shortened_line(' '.join(self.command), 100)}`"


@dataclass(frozen=True)
class Definition:
    """A tool as its server announces it."""

    name: str
    description: str
    schema: dict[str, Any]

    def digest(self) -> str:
        """64 hex digits of everything that a model could read."""
        said = json.dumps([self.name, self.description, self.schema], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


def digest(definitions: Iterable[Definition]) -> str:
    """64 hex digits of several definitions, independent of their order."""
    return hashlib.sha256("".join(sorted(one.digest() for one in definitions)).encode()).hexdigest()


class StderrTail:
    """The end of what a server wrote outside the protocol. It often says why the server does not answer."""

    def __init__(self) -> None:
        self._tail = b""

    def add(self, text: bytes) -> None:
        self._tail = (self._tail + text)[-2000:]

    def __str__(self) -> str:
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        return f"; it said: {shortened_line(lines[-1], 200)}" if lines else ""


def shortened_line(text: str, length: int) -> str:
    """The text without control characters and line breaks, cut at `length` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())
    return line if len(line) <= length else line[: length - 1] + "…"
