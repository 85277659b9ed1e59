"""HTTP for many requests at a time: one POST, one response, no retry.

The SDKs know address, headers and errors, and handle files and batches. The requests themselves go through http.client,
over one connection for each that is under way: 32 at a time share one interpreter, so the processor time of a call
bounds the throughput (`benchmarks/judging.py`): 0.18 to 0.25 ms here, 0.47 to 0.60 ms with urllib3's `PoolManager`, and
more with the SDKs.
"""

from __future__ import annotations

import base64
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, InvalidURL
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from spark_framework.api import JudgeError

MAX_ANSWER = 16 << 20
"""Most bytes of a response."""


class HttpReply(NamedTuple):
    """The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectionPool:
    """Connections to one address. Threads take one each, and put it back for others.

    Args:
        proxy: from `proxy_for`.
        timeout: seconds for one attempt; this includes the time to read a slow response.
    """

    def __init__(self, url: str, proxy: SplitResult | None, headers: Mapping[str, str], timeout: float) -> None:
        self._url, self._address, self._timeout = url, urlsplit(url), timeout
        self._proxy, self._headers = proxy, dict(headers)
        self._target = self._address._replace(scheme="", netloc="").geturl()
        self._tls: Any = None
        if self._address.scheme == "https":
            import httpx2

            self._tls = httpx2.create_ssl_context()  # 20 ms: once, not for each connection
        elif self._proxy is not None:
            self._headers |= _credentials(self._proxy)
            self._target = url
        self._idle: list[HTTPConnection] = []

    def post(self, content: bytes) -> HttpReply:
        """Send one request.

        Raises:
            JudgeError: (transient) no answer in time, or the connection broke; (config) the address is not valid.
        """
        try:
            connection = self._take()
            try:
                answer = self._exchange(connection, content)
            except BaseException:
                connection.close()
                raise
        except TimeoutError:
            raise JudgeError(f"{self._url} gave no answer within {self._timeout:g} seconds", "transient") from None
        except ssl.SSLCertVerificationError as exc:
            reason = exc.verify_message
            raise JudgeError(
                f"the certificate of {self._url} is not trusted ({reason}): set SSL_CERT_FILE", "config"
            ) from exc
        except (InvalidURL, UnicodeError) as exc:
            raise JudgeError(f"{self._url} is not a valid address ({exc}): check judge.base_url", "config") from exc
        except (OSError, HTTPException) as exc:
            words = " ".join(str(exc).split())[:200] or type(exc).__name__
            raise JudgeError(
                f"the connection to {self._url} failed ({words}); is the server running?", "transient"
            ) from exc
        if connection.sock is not None:  # the server keeps it open
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close what is idle. The pool can be used again."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open()
            if not _is_readable(connection.sock):
                return connection
            connection.close()  # the server has closed it

    def _open(self) -> HTTPConnection:
        peer = self._address if self._proxy is None else self._proxy
        if self._tls is None:
            connection = HTTPConnection(peer.hostname or "", peer.port, timeout=self._timeout)
        else:
            connection = HTTPSConnection(peer.hostname or "", peer.port, timeout=self._timeout, context=self._tls)
            if self._proxy is not None:
                connection.set_tunnel(self._address.hostname or "", self._address.port, _credentials(self._proxy))
        connection.response_class = _Response
        connection.connect()
        return connection

    def _exchange(self, connection: HTTPConnection, content: bytes) -> HttpReply:
        connection.request("POST", self._target, content, self._headers)
        response = connection.getresponse()
        if (response.length or 0) > MAX_ANSWER:
            raise _too_long()
        body = response.read()
        return HttpReply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


class _Response(HTTPResponse):
    """A response that is bounded in time and size."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_BoundedSocket(self.fp.detach(), sock.gettimeout() or 0.0))


class _BoundedSocket(io.RawIOBase):
    """What a socket receives, headers and body, as long as neither time nor size is used up."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw, self._deadline = raw, time.monotonic() + seconds
        self._left = MAX_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TimeoutError
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise _too_long()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _too_long() -> JudgeError:
    return JudgeError(f"the server sent more than {MAX_ANSWER >> 20} MB: check judge.base_url", "config")


def _is_readable(sock: socket.socket) -> bool:
    """Whether there is something to read; between two requests that can only be the end of the connection."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def proxy_for(url: str) -> SplitResult | None:
    """The proxy that the environment names for an address (`https_proxy`, `all_proxy`, `no_proxy`).

    Raises:
        JudgeError: (config) it is of another kind than HTTP.
    """
    address, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise JudgeError(f"the environment's proxy {parts.hostname} has no address like http://host:port", "config")
    return parts


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    both = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}
