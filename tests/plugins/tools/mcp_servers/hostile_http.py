"""The misbehaving servers over HTTP, in a thread of the test: `http://127.0.0.1:PORT/BEHAVIOUR`."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .hostile import BEHAVIOURS, Server

TOKEN = "open-sesame"


class Handler(BaseHTTPRequestHandler):
    """The initialize handshake and one JSON reply for each request; misbehaves when a tool is called."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        behaviour = self.path.strip("/")
        if behaviour == "token" and self.headers["authorization"] != f"Bearer {TOKEN}":
            self.reply(b"", status=401)
        elif behaviour == "elsewhere":
            self.reply(b"", status=307, location="http://127.0.0.2:9/")
        elif request["method"] == "tools/call" and hasattr(self, behaviour):
            with suppress(ConnectionError):
                getattr(self, behaviour)(request)
        else:
            server = BEHAVIOURS.get(behaviour, Server)()
            answers = [json.dumps(answer).encode() for answer in server.answers(request)]
            self.reply(answers[0]) if answers else self.reply(b"", status=202)

    def do_GET(self) -> None:
        self.reply(b"", status=405)

    def reply(self, body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def packed(self, request: dict[str, Any]) -> None:
        """200 MB in 200 kB."""
        self.reply(gzip.compress(b" " * 200_000_000, compresslevel=1), content_encoding="gzip")

    def broken(self, request: dict[str, Any]) -> None:
        self.reply(b"<h1>Oops</h1>", status=503, kind="text/html")

    def page(self, request: dict[str, Any]) -> None:
        self.reply(b"<h1>Log in</h1>", kind="text/html")

    def endless(self, request: dict[str, Any]) -> None:
        """A JSON document that never ends."""
        self.stream("application/json", b" " * 65536)

    def events(self, request: dict[str, Any]) -> None:
        """One event that never ends."""
        self.stream("text/event-stream", b"data: " + b"x" * 65536 + b"\n")

    def late(self, request: dict[str, Any]) -> None:
        self.server.ended.wait()  # type: ignore[attr-defined]

    def stream(self, kind: str, chunk: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        while True:
            self.wfile.write(chunk)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """The address to put a behaviour behind."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.ended = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()
        server.server_close()
