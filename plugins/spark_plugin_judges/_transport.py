"""HTTP for many judgings at a time: one POST, one answer, no retry.

The SDKs know address, headers and errors, and handle files and batches. The judgings themselves go straight to httpx2,
the SDKs' own HTTP library, over one connection for each that is under way. A call of 10 kB costs 0.24 ms of processor
time that way, 0.55 ms through the SDK's bare `client.post`, and 1.07 ms through `chat.completions.create` (openai 3.52,
httpx2 2.16, Python 3.11); 32 at a time share one interpreter.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from spark_framework.api import JudgeError

if TYPE_CHECKING:
    import httpx2

MAX_BODY = 16 << 20
"""Bytes of an answer after decompression."""


class Answer(NamedTuple):
    """`headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lines:
    """Connections with the same headers. Threads take one each, and put it back for others.

    Args:
        timeout: seconds for one attempt; a server that drips is given up then, too.
    """

    def __init__(self, headers: Mapping[str, str], timeout: float) -> None:
        import httpx2

        self._headers = httpx2.Headers(headers)
        self._seconds, self._timeout = timeout, httpx2.Timeout(timeout).as_dict()
        self._tls = httpx2.create_ssl_context()  # 20 ms: once, not for each connection
        self._idle: list[httpx2.Client] = []
        self._addresses: dict[str, httpx2.URL] = {}

    def post(self, url: str, content: bytes) -> Answer:
        """Ask once.

        Raises:
            JudgeError: (transient) no answer in time, or the connection broke; (config) the address cannot be one.
        """
        import httpx2

        client = self._taken()
        try:
            return self._exchanged(client, url, content)
        except (httpx2.TimeoutException, TimeoutError):
            raise JudgeError(f"{url} gave no answer within {self._seconds:g} seconds", "transient") from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as exc:
            raise JudgeError(f"{url} is no address ({exc}): check judge.base_url", "config") from exc
        except httpx2.RequestError as exc:
            words = " ".join(str(exc).split())[:200] or type(exc).__name__
            raise JudgeError(f"the connection to {url} failed ({words}); is the server running?", "transient") from exc
        finally:
            self._idle.append(client)

    def close(self) -> None:
        """Close what is idle. The lines can be used again."""
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> httpx2.Client:
        import httpx2

        try:
            return self._idle.pop()
        except IndexError:
            return httpx2.Client(verify=self._tls)

    def _exchanged(self, client: httpx2.Client, url: str, content: bytes) -> Answer:
        import httpx2

        deadline = time.monotonic() + self._seconds
        if url not in self._addresses:  # reading one takes as long as a tenth of the call
            self._addresses[url] = httpx2.URL(url)
        request = httpx2.Request(
            "POST", self._addresses[url], headers=self._headers, content=content, extensions={"timeout": self._timeout}
        )
        response = client.send(request, stream=True)
        try:
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > deadline:
                    raise TimeoutError
                if len(body) > MAX_BODY:
                    raise JudgeError(f"{url} sent more than {MAX_BODY >> 20} MB: check judge.base_url", "config")
            return Answer(response.status_code, response.headers, bytes(body))
        finally:
            response.close()
