"""Requests JSON from web services politely: with our User-Agent, one call at a time, and after the pauses they ask for.

Every failure is one `ToolError`. It is transient, and so never recorded, unless the service did answer the query.
"""

from __future__ import annotations

import html
import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from spark_framework.api import ComponentConfig, ToolError, exponential_delay, parse_retry_after

from .http_transfer import HttpResponse, send

if TYPE_CHECKING:
    import httpx2
    from anyio.from_thread import BlockingPortal

MAX_WAIT = 5.0
"""Longest pause between two attempts in seconds. If a service asks for more, no request is sent for that long."""
_DAY = 86_400.0
_PLACE = re.compile(r"(\[(?P<ipv6>[^]]+)\]|(?P<ipv4>[0-9.]+)|[A-Za-z0-9._-]{1,253})(:\d{1,5})?")

_TURNS: dict[str, threading.Lock] = {}
"""One lock for each host and port, shared by all tools: Wikimedia asks for one request at a time."""

Reply = TypeVar("Reply", bound=BaseModel)


def http_address(text: str) -> str:
    """The text without a closing slash. Errors do not quote the text: it may hold a password.

    Raises:
        ValueError: it is not an http:// or https:// address, or it holds user and password, a query or a fragment.
    """
    try:
        parts = urlsplit(text)
        place = _PLACE.fullmatch(parts.netloc)
        if place and (number := place["ipv6"] or place["ipv4"]):
            ip_address(number)
        good = parts.scheme in ("http", "https") and place and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[^!-~]|[?#]", text):
        raise ValueError("an address has to look like https://host or https://host/path, without user and password")
    return text.rstrip("/")


HttpAddress = Annotated[str, AfterValidator(http_address)]
"""An address in a tool's settings."""


class OnlineSettings(ComponentConfig):
    """Settings for requests to online sources."""

    contact: str = Field(default="", max_length=200, pattern=r"^[ -~]*$")
    """Your mail address or home page, for the User-Agent: Wikimedia asks for it and may refuse requests without it."""
    timeout: float = Field(default=20.0, gt=0, le=600)
    """Seconds for one call with all its attempts and pauses, from the time when it gets its turn."""
    attempts: int = Field(default=3, ge=1, le=10)
    """How often a call is tried while the service is busy or out of reach."""
    proxy: HttpAddress | None = None
    """Address of an HTTP proxy. Proxies from environment variables are ignored: a run depends on settings alone."""


class Refusal(ToolError):
    """The service answered with a status that a retry does not change."""

    def __init__(self, message: str, transient: bool = True, status: int = 0) -> None:
        super().__init__(message, transient)
        self.status = status


class _Busy(Exception):
    """A retry may help; `wait` is the pause in seconds that the service asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Client:
    """One connection pool for all threads of a tool. Nothing is opened before the first request.

    The requests run on an event loop in a thread of their own: only so can one deadline end everything, the look-up
    of the name and a reply that trickles in included.
    """

    def __init__(self, settings: OnlineSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._opened: tuple[ExitStack, BlockingPortal, httpx2.AsyncClient] | None = None
        self._closed_until: dict[str, float] = {}

    def close(self) -> None:
        """Release thread and connections. A later request opens them again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()

    def get_json(
        self,
        url: str,
        reply: type[Reply],
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        is_busy: Callable[[Reply], bool] = lambda reply: False,
    ) -> Reply:
        """The reply to a GET. The request is retried while `is_busy` is true of the reply.

        Raises:
            ToolError: there is no reply of the given shape.
        """
        return self._ask("GET", url, {"params": params, "headers": headers}, reply, is_busy)

    def post_json(
        self, url: str, reply: type[Reply], body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The reply to a POST of one JSON object.

        Raises:
            ToolError: there is no reply of the given shape.
        """
        return self._ask("POST", url, {"json": body, "headers": headers}, reply, lambda reply: False)

    def _ask(
        self, method: str, url: str, parts: dict[str, Any], reply: type[Reply], is_busy: Callable[[Reply], bool]
    ) -> Reply:
        try:
            host = urlsplit(http_address(url)).netloc.lower()
        except ValueError as error:
            raise ToolError(str(error)) from None
        with _TURNS.setdefault(host, threading.Lock()):
            self._respect_closing(host)
            self._open()  # before the clock starts
            deadline = time.monotonic() + self.settings.timeout
            for attempt in range(1, self.settings.attempts + 1):
                try:
                    answer = self._exchange(method, url, parts, host, deadline)
                    return _understood(host, answer, reply, is_busy)
                except _Busy as busy:
                    failure = busy
                wait = self._wait_after(failure, attempt, host)
                if attempt == self.settings.attempts or time.monotonic() + wait >= deadline:
                    break
                time.sleep(wait)
            raise ToolError(f"{host} {failure} (attempts: {attempt})", transient=True)

    def _respect_closing(self, host: str) -> None:
        left = self._closed_until.get(host, 0.0) - time.monotonic()
        if left > 0:
            raise ToolError(f"{host} wants no request for another {math.ceil(left)} s", transient=True)

    def _wait_after(self, failure: _Busy, attempt: int, host: str) -> float:
        """Seconds to wait: what the service asks for, else doubling from half a second."""
        if failure.wait is None:
            return exponential_delay(attempt, 0.5, MAX_WAIT)
        if failure.wait > MAX_WAIT:
            self._closed_until[host] = time.monotonic() + failure.wait
            raise ToolError(f"{host} {failure} and asks to wait {math.ceil(failure.wait)} s", transient=True)
        return failure.wait

    def _exchange(self, method: str, url: str, parts: dict[str, Any], host: str, deadline: float) -> HttpResponse:
        """One request and its response."""
        import httpx2

        portal, http = self._open()
        try:
            request = http.build_request(method, url, **parts)
        except ValueError:  # bad punycode
            raise ToolError(f"{host} is not the name of a host") from None
        try:
            answer: HttpResponse = portal.call(send, http, request, deadline - time.monotonic())
            return answer
        except TimeoutError:
            raise ToolError(f"{host} gave no answer within {self.settings.timeout:g} s", transient=True) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise _Busy("cannot be reached") from None
        except httpx2.ProxyError:
            raise _Busy("cannot be reached through the proxy") from None
        except httpx2.DecodingError:
            raise _Busy("sent a reply that cannot be decompressed") from None
        except httpx2.RequestError:  # its text may quote the request, so it is not shown
            raise _Busy("broke off the exchange") from None

    def _open(self) -> tuple[BlockingPortal, httpx2.AsyncClient]:
        import httpx2  # 0.2 s: only where an online source is used
        from anyio.from_thread import start_blocking_portal

        with self._lock:
            if self._opened is None:
                http = httpx2.AsyncClient(
                    headers=self._headers(),
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # calls are independent of each other
                    timeout=None,  # one deadline for everything: see _transfer
                    trust_env=False,
                    proxy=self.settings.proxy,
                )
                with ExitStack() as stack:
                    portal = stack.enter_context(start_blocking_portal())
                    stack.enter_context(portal.wrap_async_context_manager(http))
                    self._opened = stack.pop_all(), portal, http
            return self._opened[1:]

    def _headers(self) -> dict[str, str]:
        contact = f" (+{self.settings.contact})" if self.settings.contact else ""
        return {
            "User-Agent": f"spark-framework/{version('spark-framework')}{contact}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }


def _understood(host: str, answer: HttpResponse, reply: type[Reply], is_busy: Callable[[Reply], bool]) -> Reply:
    status = answer.status
    wait = _retry_after(answer.headers.get("retry-after"))
    if status in (408, 429) or status >= 500:
        raise _Busy(f"answered with status {status}", wait)
    if status != 200:
        hint = "give a contact in the settings" if status == 403 else "check its address"
        raise Refusal(f"{host} answered with status {status}: {hint}", status=status)
    try:
        understood = reply.model_validate_json(_repaired(answer.body))
    except ValidationError:
        raise ToolError(f"{host} answers like another service: check its address", transient=True) from None
    except (ValueError, RecursionError):
        raise ToolError(f"{host} answered with something that is not JSON", transient=True) from None
    if is_busy(understood):
        raise _Busy("is overloaded", wait)
    return understood


def _repaired(body: bytes) -> bytes:
    """The JSON with `?` for lone surrogates, which services make by cutting a text inside a character.

    Raises:
        ValueError, RecursionError: it is not JSON.
    """
    return json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")


def _retry_after(value: str | None) -> float | None:
    """Seconds from now, at most a day; None if the service names no time in the future."""
    seconds = parse_retry_after(value)
    return None if seconds is None else min(seconds, _DAY)


def plain(text: str, longest: int = 2000) -> str:
    """One line of visible characters, cut between words: no control characters, no lone surrogates."""
    text = text[: 8 * longest]
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable() or character.isspace())
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    start = line[: longest - 1]
    return (start.rpartition(" ")[0] or start) + "…"


def without_markup(text: str) -> str:
    """The text of an HTML fragment, without its style sheets."""
    text = re.sub(r"<(style|script)\b.*?(</\1>|$)", "", text[:20_000], flags=re.DOTALL | re.IGNORECASE)
    return html.unescape(re.sub(r"<[^>]*(>|$)", "", text))
