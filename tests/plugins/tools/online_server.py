"""A server on loopback that speaks like MediaWiki, Wiktionary, Tavily and Brave, and misbehaves on demand."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "tvly-test-very-secret"
PATIENCE = 10.0
"""Seconds after which a misbehaviour ends in a good answer: a client that would wait for ever fails its test."""

Act = Callable[["Handler"], None]


@dataclass
class Request:
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: Any


class _Http(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no fault of the server's."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class OnlineServer:
    """Takes one planned misbehaviour for each request; without a plan it answers as the real services do."""

    def __init__(self) -> None:
        self.plan: list[Act] = []
        self.requests: list[Request] = []
        self.articles: list[dict[str, Any]] = []
        """What MediaWiki's search finds, best first: title, extract, perhaps pageprops."""
        self.entries: dict[str, Any] = {}
        """Wiktionary's pages by title."""
        self.results: list[dict[str, Any]] = []
        """What Tavily and Brave find, best first."""
        self.busy: set[Handler] = set()
        """Those whose client waits for the reply. One is done before its last byte goes: its client may ask at once."""
        self.most_at_once = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.http = _Http(("127.0.0.1", 0), type("Bound", (Handler,), {"site": self}))
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.http.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/w/api.php"

    def stop(self) -> None:
        self.stopping.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    site: OnlineServer
    seen: Request
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(None)

    def do_POST(self) -> None:
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_CONNECT(self) -> None:
        """As a proxy that reaches nobody."""
        self.note(None)
        self.send(502, b"")

    def answer(self, body: Any) -> None:
        request = self.seen = self.note(body)
        with self.site.lock:
            act = self.site.plan.pop(0) if self.site.plan else None
            self.site.busy.add(self)
            self.site.most_at_once = max(self.site.most_at_once, len(self.site.busy))
        try:
            if act is None:
                status, reply = answer(self.site, request)
                self.send(status, json.dumps(reply).encode())
            else:
                act(self)
        except OSError:
            self.close_connection = True  # the client has gone away
        finally:
            self.done()

    def note(self, body: Any) -> Request:
        parts = urlsplit(self.path)
        params = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, params, headers, body)
        with self.site.lock:
            self.site.requests.append(request)
        return request

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "seen=yes; Path=/")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.done()
        self.wfile.write(body)

    def done(self) -> None:
        with self.site.lock:
            self.site.busy.discard(self)

    def log_message(self, *args: Any) -> None:
        pass


# -- the services ------------------------------------------------------------------------------------------------------


def answer(site: OnlineServer, request: Request) -> tuple[int, Any]:
    if request.path == "/w/api.php":
        return 200, mediawiki(site, request)
    if request.path.startswith("/api/rest_v1/page/definition/"):
        title = unquote(request.path.rpartition("/")[2]).replace("_", " ")
        return (200, site.entries[title]) if title in site.entries else (404, {"title": "Not found."})
    if (request.method, request.path) == ("POST", "/search"):
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"detail": {"error": "Unauthorized: missing or invalid API key."}}
        return 200, tavily(site, request)
    if request.path == "/res/v1/web/search":
        if request.headers.get("x-subscription-token") != KEY:
            return 422, {"type": "ErrorResponse", "error": {"code": "SUBSCRIPTION_TOKEN_INVALID", "status": 422}}
        return 200, brave(site, request)
    return 404, {}


def mediawiki(site: OnlineServer, request: Request) -> Any:
    wanted = {"action": "query", "generator": "search", "exintro": "1", "explaintext": "1", "formatversion": "2"}
    wrong = {
        name for name, value in (wanted | {"maxlag": "5", "format": "json"}).items() if request.params[name] != value
    }
    if wrong or set(request.params["prop"].split("|")) != {"extracts", "pageprops"}:
        return {"error": {"code": "badvalue", "info": f"Unrecognized value for parameters {wrong}"}}
    if not site.articles:
        return {"batchcomplete": True}
    ranked = [
        {"pageid": 1000 - rank, "ns": 0, "index": rank, **page} for rank, page in enumerate(site.articles, start=1)
    ]
    pages = sorted(ranked[: int(request.params["gsrlimit"])], key=lambda page: page["pageid"])
    return {"batchcomplete": True, "continue": {"gsroffset": 5, "continue": "gsroffset||"}, "query": {"pages": pages}}


def tavily(site: OnlineServer, request: Request) -> Any:
    hits = [
        {"title": hit["title"], "url": hit["url"], "content": hit["text"], "score": 0.9, "raw_content": None}
        for hit in site.results
    ]
    found = hits[: request.body["max_results"]]
    return {"query": request.body["query"], "answer": None, "images": [], "results": found, "response_time": 0.1}


def brave(site: OnlineServer, request: Request) -> Any:
    reply: dict[str, Any] = {"type": "search", "query": {"original": request.params["q"]}}
    hits = [{"title": hit["title"], "url": hit["url"], "description": hit["text"]} for hit in site.results]
    if hits:
        reply["web"] = {"type": "search", "results": hits[: int(request.params["count"])]}
    return reply


# -- misbehaviour ------------------------------------------------------------------------------------------------------


def status(code: int, **headers: str) -> Act:
    return lambda handler: handler.send(code, b'{"error": "no"}', **headers)


def body(raw: bytes, **headers: str) -> Act:
    return lambda handler: handler.send(200, raw, **headers)


def reply(value: Any, **headers: str) -> Act:
    return body(json.dumps(value).encode(), **headers)


def redirect(location: str, code: int = 302) -> Act:
    return status(code, Location=location)


def bomb(megabytes: int) -> bytes:
    """Zeros, compressed about a thousandfold."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def zipped(value: Any) -> Act:
    return body(gzip.compress(json.dumps(value).encode()), Content_Encoding="gzip")


def endless(handler: Handler) -> None:
    """A body without a length that goes on as long as somebody reads it."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    for _ in range(2000):
        handler.wfile.write(b" " * 65_536)


def hang(handler: Handler) -> None:
    _answer_after(PATIENCE, handler)


def slow(handler: Handler) -> None:
    """Takes long enough for another request to arrive meanwhile."""
    _answer_after(0.004, handler)


def drip_body(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    _drip(handler, b" " * 1000)


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    _drip(handler, b"X-Slow: yes\r\n" * 100)


def _drip(handler: Handler, raw: bytes) -> None:
    handler.close_connection = True
    for place in range(len(raw)):
        handler.wfile.write(raw[place : place + 1])
        if handler.site.stopping.wait(PATIENCE / 100):
            return


def reset(handler: Handler) -> None:
    """Close with a TCP reset in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"batch')
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def garbled(handler: Handler) -> None:
    handler.wfile.write(b"220 mail.example.org ESMTP\r\n")
    handler.close_connection = True


def _answer_after(seconds: float, handler: Handler) -> None:
    handler.site.stopping.wait(seconds)
    code, value = answer(handler.site, handler.seen)
    handler.send(code, json.dumps(value).encode())
