"""Opens a connection to an MCP server and lists its tools; every failure is one line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp import Client, ClientSession, MCPError

from .http import http_streams
from .server import Address, Definition, ServerError, StderrTail, shortened_line
from .stdio import stdio_streams

MAX_PAGES = 20
"""Most pages of a server's list of tools; each is a message."""


@asynccontextmanager
async def connect(address: Address) -> AsyncIterator[tuple[ClientSession, tuple[Definition, ...]]]:
    """(session, the tools that the server announces) while the block lasts. Enter and leave it in one task.

    Raises:
        ServerError: it cannot be reached, or the connection broke.
    """
    tail = StderrTail()
    if address.url is None:
        streams = stdio_streams(address.command, address.variables, tail)
    else:
        streams = http_streams(address.url, address.token, address.seconds, tail)
    try:
        async with asyncio.timeout(address.seconds) as limit, Client(streams, cache=None) as client:
            definitions = await _listed(client)
            limit.reschedule(None)
            yield client.session, definitions
    except Exception as exc:
        raise ServerError(f"{address} {_reason(exc, address.seconds)}{tail}") from exc


async def _listed(client: Client) -> tuple[Definition, ...]:
    found: list[Definition] = []
    cursor = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += [Definition(tool.name, tool.description or "", tool.input_schema) for tool in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return tuple(found)
    raise ServerError(f"lists its tools on more than {MAX_PAGES} pages")


def _reason(exc: BaseException, seconds: float) -> str:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    if isinstance(exc, ServerError):
        return str(exc)
    if isinstance(exc, TimeoutError):
        return f"did not answer within {seconds:g} s; raise `timeout` if it needs longer to start"
    if isinstance(exc, MCPError) and exc.message == "Connection closed":
        return "ended the connection"
    kind = "" if isinstance(exc, MCPError) else f"{type(exc).__name__}: "
    return f"cannot be used ({kind}{shortened_line(str(exc), 200)})"
