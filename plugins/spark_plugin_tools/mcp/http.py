"""An MCP server at a URL (streamable HTTP), read in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from .server import MAX_MESSAGE, TOO_LONG, StderrTail


@asynccontextmanager
async def http_streams(url: str, token: str | None, seconds: float, tail: StderrTail) -> AsyncIterator[tuple[Any, Any]]:
    """Open the URL; the streams carry the SDK's messages."""

    async def limit(response: httpx2.Response) -> None:
        if response.status_code >= 400:
            tail.add(f"\nHTTP {response.status_code} {response.reason_phrase}".encode())
        response.stream = _BoundedStream(response)

    headers = {"accept-encoding": "identity"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    # A call has a deadline of its own; a read that timed out before it would break the connection for all others.
    timeout = httpx2.Timeout(seconds, read=10 * seconds)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks={"response": [limit]}) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MAX_MESSAGE) as streams,
    ):
        yield streams


class _BoundedStream(httpx2.AsyncByteStream):  # type: ignore[misc]
    """A response's stream that fails beyond the limit. Of an event stream the SDK itself limits each event."""

    def __init__(self, response: httpx2.Response) -> None:
        self._plain: Any = response.stream
        self._packed = response.headers.get("content-encoding", "identity") != "identity"
        self._endless = response.headers.get("content-type", "").lower().startswith("text/event-stream")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._packed:  # a few bytes may unpack to gigabytes
            raise httpx2.StreamError("the reply is compressed, though compression was not requested")
        size = 0
        async for chunk in self._plain:
            size += len(chunk)
            if size > MAX_MESSAGE and not self._endless:
                raise httpx2.StreamError(TOO_LONG)
            yield chunk

    async def aclose(self) -> None:
        await self._plain.aclose()
