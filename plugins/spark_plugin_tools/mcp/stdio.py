"""An MCP server as a child process: one JSON message a line, read in bounded memory.

It stands in for the SDK's transport, which keeps lines of any length, hands its own stderr to the server, and logs a
traceback for every line that is no message.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from .server import MAX_MESSAGE, TOO_LONG, ServerError, StderrTail

GRACE_SECONDS = 1.0
"""Seconds for a server to exit after its stdin is closed."""
MAX_NOISE = 16 << 20
"""Bytes without a message after which the connection is given up."""
_CHUNK = 1 << 16
_ID_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')
_ID_LAST = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*\}\s*$')


@asynccontextmanager
async def stdio_streams(
    command: Sequence[str], variables: Mapping[str, str], tail: StderrTail
) -> AsyncIterator[tuple[Any, Any]]:
    """Start the command; the streams carry the SDK's messages. The block's end kills the process and its children."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=get_default_environment() | dict(variables),
            start_new_session=True,  # the server gets no Ctrl-C, and its children can be killed with it
        )
    except (OSError, ValueError) as exc:
        raise ServerError(f"cannot be started ({getattr(exc, 'strerror', None) or exc})") from exc
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    inbox, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, outbox = anyio.create_memory_object_stream[Any](0)
    heard = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_receive, process.stdout, inbox, tail)
        tasks.start_soon(_send, outbox, process.stdin, inbox)
        tasks.start_soon(_collect_stderr, process.stderr, tail, heard)
        try:
            yield from_server, to_server
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)
                with anyio.move_on_after(GRACE_SECONDS):
                    await heard.wait()
            tasks.cancel_scope.cancel()
            for stream in (inbox, from_server, to_server, outbox):
                stream.close()


async def _receive(stdout: asyncio.StreamReader, inbox: Any, tail: StderrTail) -> None:
    """Hand on every message; the end of the stream is the end of the connection."""
    lines = BoundedLines()
    noise = 0
    with inbox, contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        while chunk := await stdout.read(_CHUNK):
            for line in lines.feed(chunk):
                message = _message(line)
                if message is None:
                    noise += line.size
                else:
                    noise = 0
                    await inbox.send(message)
            if noise + lines.pending > MAX_NOISE:
                tail.add(b"\n(much text on stdout that is not MCP)")
                break


async def _send(outbox: Any, stdin: asyncio.StreamWriter, inbox: Any) -> None:
    """Write every message. If they are no longer read, the connection has ended."""
    with contextlib.suppress(OSError):
        async for sent in outbox:
            stdin.write(sent.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await stdin.drain()
    inbox.close()


async def _collect_stderr(stderr: asyncio.StreamReader, tail: StderrTail, heard: Any) -> None:
    while chunk := await stderr.read(_CHUNK):
        tail.add(chunk)
    heard.set()


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Close the server's stdin and stdout, wait a little, then kill it and its children."""
    transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined] # nothing public closes stdout
    for descriptor in (0, 1):
        pipe = transport.get_pipe_transport(descriptor)
        if pipe is not None:
            pipe.close()
    await _ended(process)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await _ended(process)
    transport.close()  # a child that left the group may still hold the pipes


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)


# -- lines ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line; of one longer than `MAX_MESSAGE`, the beginning and the end."""

    text: bytes
    size: int
    end: bytes


class BoundedLines:
    """Cuts a stream into lines and never holds much more than `MAX_MESSAGE` bytes."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._parts: list[bytes] = []
        self._end = b""
        self.pending = 0
        """Bytes of the unfinished line."""

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk."""
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._add(piece)
            yield Line(b"".join(self._parts), self.pending, self._end)
            self._start()
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        if self.pending <= MAX_MESSAGE:
            self._parts.append(piece)
        self.pending += len(piece)
        if self.pending > MAX_MESSAGE:
            self._end = (self._end + piece)[-200:]


def _message(line: Line) -> SessionMessage | None:
    """The SDK's message, or None if the line is not one. One that is too long fails the request that it answers."""
    if line.size > MAX_MESSAGE:
        answered = _ID_FIRST.match(line.text) or _ID_LAST.search(line.end)
        if answered is None:
            return None
        error = ErrorData(code=PARSE_ERROR, message=TOO_LONG)
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(answered[1]), error=error))
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line.text, by_name=False))
    except ValueError:
        return None
