"""One MCP server for many threads: a background event loop, and on it one task that holds the connection."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mcp import MCPError
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

from .connection import connect
from .server import Address, Definition, ServerError, digest

CLOSE_SECONDS = 5.0
_CLOSED = "the connection has been closed"
_LOST = ("Connection closed", "Session terminated")  # the SDK's texts; servers may use the code of the first one, too
_log = logging.getLogger(__name__)
Result = TypeVar("Result")

for _name in ("mcp", "client"):  # the SDK's loggers: tracebacks go to configured logging only, never to stderr
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Bridge:
    """Calls the server from any thread. A lost connection is re-established once for each failure, not for each caller.

    Not usable in a forked process: thread and connection stay with the parent.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._finished = False
        self._current: _Connection | None = None
        self._definitions: tuple[Definition, ...] | None = None
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), name="spark-mcp", daemon=True)
        self._thread.start()
        started.wait()

    def definitions(self) -> tuple[Definition, ...]:
        """The tools that the server announced at the first connection.

        Raises:
            ServerError: it cannot be reached.
        """
        self._ask(self._connected)
        assert self._definitions is not None
        return self._definitions

    def call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """The result of one call. Reconnecting, if needed, counts towards its time.

        Raises:
            TimeoutError: there was no answer in time.
            ServerError: the connection was lost and could not be re-established, or was lost again.
            MCPError: the server, or the SDK on its behalf, refused.
            pydantic.ValidationError: the server's answer is not a valid result.
        """
        return self._ask(self._call, name, arguments)

    def close(self) -> None:
        """End the connection, the server process, if there is one, and the thread. Calling it twice is harmless."""
        if self._owner != os.getpid():
            return
        with self._lock:
            if not self._finished:
                self._finished = True
                self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(3 * CLOSE_SECONDS)

    def _ask(self, function: Callable[..., Coroutine[Any, Any, Result]], *arguments: Any) -> Result:
        if self._owner != os.getpid():  # before the lock, which may have been held when the process was forked
            raise ServerError("a server cannot be asked in a process forked after it was connected; use spawn")
        with self._lock:
            if self._finished:
                raise ServerError(_CLOSED)
            answer = asyncio.run_coroutine_threadsafe(function(*arguments), self._loop)
        try:
            return answer.result()
        except concurrent.futures.CancelledError:
            raise ServerError(_CLOSED) from None

    # -- in the background thread ----------------------------------------------------------------------------------

    async def _run(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        started.set()
        await self._closing.wait()
        if self._current is not None:
            await self._current.end()

    async def _call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        async with asyncio.timeout(self._address.seconds):
            connection = await self._connected()
            with contextlib.suppress(_Lost):
                return await connection.ask(name, arguments)
            connection = await self._connected(lost=connection)
            try:
                return await connection.ask(name, arguments)
            except _Lost:
                raise ServerError(f"{self._address} lost the connection twice in one call") from None

    async def _connected(self, lost: _Connection | None = None) -> _Connection:
        """The connection of all callers; a new one if it is lost."""
        current = self._current
        if current is None or current is lost or current.over:
            if self._finished:
                raise ServerError(_CLOSED)
            if current is not None:
                _log.warning("%s: the connection was lost; connecting again", self._address)
            current = self._current = _Connection(self._address, after=current)
        await current.ready()
        if self._definitions is None:
            self._definitions = current.definitions
        elif digest(self._definitions) != digest(current.definitions):
            raise ServerError(f"{self._address} announces other tools than at the first connection")
        return current


class _Lost(Exception):
    """The connection ended before the answer came."""


class _Connection:
    """A connection held by one task from beginning to end, since the SDK's cancel scopes demand that."""

    definitions: tuple[Definition, ...] = ()

    def __init__(self, address: Address, after: _Connection | None) -> None:
        self._failure: ServerError | None = ServerError(_CLOSED)
        self._last_reply = 0.0
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._holder = asyncio.create_task(self._hold(address, after))

    async def _hold(self, address: Address, after: _Connection | None) -> None:
        try:
            if after is not None:
                await after.end()
            async with connect(address) as (self._session, self.definitions):
                self._failure = None
                self._ready.set()
                await self._stop.wait()
        except ServerError as exc:
            self._failure = exc
        finally:
            self._ready.set()

    @property
    def over(self) -> bool:
        return self._stop.is_set() or self._holder.done()

    async def ready(self) -> None:
        """Wait until the tools are listed.

        Raises:
            ServerError: they cannot be.
        """
        await self._ready.wait()
        if self._failure is not None:
            raise ServerError(str(self._failure))

    async def ask(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """One call. Raises _Lost, MCPError, ValidationError."""
        # Not `call_tool`: it checks the result with the server's own schema, and its patterns can take forever.
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
        asked = _now()
        sent = asyncio.create_task(self._session.send_request(request, CallToolResult))
        try:
            result: CallToolResult = await asyncio.shield(sent)
        except asyncio.CancelledError:  # out of time
            sent.cancel()  # not awaited: it still tries to notify the server, which may not read any more
            sent.add_done_callback(lambda task: task.cancelled() or task.exception())
            if self._last_reply < asked:
                self.stop()  # no other call was answered either: the next call restarts the server
            raise
        except MCPError as exc:
            if exc.message in _LOST:
                raise _Lost from exc
            self._last_reply = _now()
            raise
        self._last_reply = _now()
        return result

    def stop(self) -> None:
        """Ask the connection to end."""
        self._stop.set()
        if not self._ready.is_set():
            self._holder.cancel()

    async def end(self) -> None:
        """End the connection and wait for that, for a limited time."""
        self.stop()
        _, late = await asyncio.wait({self._holder}, timeout=CLOSE_SECONDS)
        if late:
            self._holder.cancel()
            await asyncio.wait(late, timeout=CLOSE_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
