"""One HTTP request and its response: one deadline for both, a limit on the body, no redirect to another host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from spark_framework.api import ToolError

if TYPE_CHECKING:
    import httpx2

MAX_BODY = 2 << 20
"""Bytes of a body after decompression."""
MAX_REDIRECTS = 3


class HttpResponse(NamedTuple):
    """`headers` are case-insensitive; `body` is empty unless the status is 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def send(http: httpx2.AsyncClient, request: httpx2.Request, seconds: float) -> HttpResponse:
    """Send a request, follow redirects to the same host, and read the body of a successful response.

    Raises:
        TimeoutError: the response was not complete in time.
        ToolError: a redirect leads away, or the body is too large.
        httpx2.RequestError: the connection failed.
    """
    import anyio

    origin = request.url
    with anyio.fail_after(seconds):
        for _ in range(MAX_REDIRECTS + 1):
            response = await http.send(request, stream=True)
            try:
                if response.next_request is None:
                    body = await _body(response, origin.host) if response.status_code == 200 else b""
                    return HttpResponse(response.status_code, response.headers, body)
                request = response.next_request
            finally:
                await response.aclose()
            if not _is_same_service(origin, request.url):
                raise ToolError(f"{origin.host} redirects to another host: check its address", transient=True)
        raise ToolError(f"{origin.host} redirects without end: check its address", transient=True)


def _is_same_service(origin: httpx2.URL, target: httpx2.URL) -> bool:
    """The same host, port and scheme; or https instead of http, both at their usual ports."""
    upgraded = origin.scheme == "http" and target.scheme == "https" and origin.port is target.port is None
    return origin.host == target.host and (upgraded or (origin.scheme, origin.port) == (target.scheme, target.port))


async def _body(response: httpx2.Response, host: str) -> bytes:
    """The body, decompressed piece by piece: a small reply that would inflate without end is stopped early."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY:
            raise ToolError(f"{host} sent more than {MAX_BODY >> 20} MB; ask for something narrower")
    return bytes(body)
