"""One server on loopback that speaks as OpenAI (chat completions, files, batches) and as Anthropic (messages, batches).

It scores by a digest of what it is shown, and misbehaves as planned. As a process of its own, for benchmarks and kills:

    python tests/plugins/judges/server.py --port 0 --latency 0.05     prints its URL

OpenAI's protocol is at URL/v1, Anthropic's at URL; GET URL/stats says what was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import socket
import struct
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

PATIENCE = 10.0
"""Seconds after which a server that hangs or drips gives up: a client that would wait for ever fails its test."""
Provider = Literal["openai", "anthropic"]
_CLAUDE_WORDS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


@dataclass(frozen=True)
class Answer:
    """How one judging is answered, over the wire or as a row of a batch. Without arguments: well."""

    text: str | None = None
    """The model's words; None scores by the digest."""
    finish: str = "stop"
    """OpenAI's finish_reason; it is translated for Anthropic."""
    refusal: str | None = None
    status: int = 200
    error: dict[str, Any] = field(default_factory=dict)
    """Code, type and message of a status that is no success."""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    """The whole body as it is."""
    usage: bool = True
    model: str | None = None
    """The model that claims to have answered; None is the one that was asked."""
    manner: Literal["whole", "cut", "hang", "reset", "drip"] = "whole"

    def body(self, asked: dict[str, Any], provider: Provider) -> dict[str, Any]:
        if self.status != 200:
            return error_body(provider, **self.error)
        text = scores_of(asked) if self.text is None else self.text
        return (_completion if provider == "openai" else _message)(self, asked, text)


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


@dataclass
class Batch:
    """A batch at either provider."""

    id: str
    rows: list[tuple[str, dict[str, Any]]]
    """custom_id and request."""
    answers: list[Answer]
    polls: int
    end: str
    metadata: dict[str, str] | None = None


class JudgeServer:
    """Takes one planned answer for each judging; without a plan it answers well.

    Args:
        latency: seconds between a judging and its answer.
    """

    def __init__(self, port: int = 0, latency: float = 0.0) -> None:
        self.latency = latency
        self.plan: list[Answer] = []
        self.requests: deque[Asked] = deque(maxlen=5000)
        self.asked: Counter[str] = Counter()
        """How often each exact judging was asked over the wire, by digest."""
        self.at_once = self.most_at_once = 0
        self.batches: list[Batch] = []
        self.files: dict[str, bytes] = {}
        self.polls = 1
        """How often a batch is looked at before it has ended."""
        self.batch_end = "completed"
        """How batches end: completed, expired, cancelled, failed."""
        self.unfinished = 0
        """Rows at a batch's end that were not reached."""
        self.connections: set[Connection] = set()
        self.loop = asyncio.new_event_loop()
        self.stopping = self.loop.create_future()
        self.server = self.loop.run_until_complete(
            self.loop.create_server(lambda: Connection(self), "127.0.0.1", port, backlog=1024)
        )
        self.port: int = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.stopping,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> JudgeServer:
        self.thread.start()
        return self

    def stop(self) -> None:
        """Close the port and all connections."""
        self.loop.call_soon_threadsafe(self._stop)
        self.thread.join()
        self.loop.close()

    def _stop(self) -> None:
        self.server.close()
        for connection in tuple(self.connections):
            connection.transport.abort()
        self.loop.call_later(0.01, self.stopping.set_result, None)

    # -- what is asked -------------------------------------------------------------------------------------------------

    def answered(self, asked: Asked, connection: Connection) -> None:
        """Send the answer to a request, now or later."""
        self.requests.append(asked)
        path = urlsplit(asked.path).path
        if asked.method == "POST" and path == "/v1/chat/completions":
            return self._judge(asked, "openai", connection)
        if asked.method == "POST" and path == "/v1/messages":
            return self._judge(asked, "anthropic", connection)
        status, body = self._served(asked, path)
        connection.send(status, body)

    def _judge(self, asked: Asked, provider: Provider, connection: Connection) -> None:
        due = self.loop.time() + self.latency
        self.asked[hashlib.sha256(asked.body).hexdigest()] += 1
        answer = self.plan.pop(0) if self.plan else Answer()
        body = answer.raw if answer.raw is not None else json.dumps(answer.body(asked.json, provider)).encode()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.loop.call_at(due, self._send, connection, answer, body)

    def _send(self, connection: Connection, answer: Answer, body: bytes) -> None:
        self.at_once -= 1
        connection.send(answer.status, body, answer.headers, answer.manner)

    def _served(self, asked: Asked, path: str) -> tuple[int, bytes]:
        parts = path.strip("/").split("/")
        match (asked.method, *parts):
            case ("GET", "stats"):
                return 200, _json(self.stats())
            case ("POST", "v1", "files"):
                name = f"file-{len(self.files)}"
                self.files[name] = _uploaded(asked)
                return 200, _json({"id": name, "object": "file", "purpose": "batch"})
            case ("GET", "v1", "files", name, "content") if name in self.files:
                return 200, self.files[name]
            case ("POST", "v1", "batches"):
                rows = [json.loads(line) for line in self.files[asked.json["input_file_id"]].splitlines()]
                batch = self._begin([(row["custom_id"], row["body"]) for row in rows], asked.json.get("metadata"))
                return 200, _json(self._openai_batch(batch))
            case ("GET", "v1", "batches"):
                return 200, _json(self._page(parse_qs(urlsplit(asked.path).query)))
            case ("GET", "v1", "batches", name) if batch := self._batch(name):
                batch.polls -= 1
                return 200, _json(self._openai_batch(batch))
            case ("POST", "v1", "messages", "batches"):
                batch = self._begin([(row["custom_id"], row["params"]) for row in asked.json["requests"]], None)
                return 200, _json(self._anthropic_batch(batch))
            case ("GET", "v1", "messages", "batches", name) if batch := self._batch(name):
                batch.polls -= 1
                return 200, _json(self._anthropic_batch(batch))
            case ("GET", "v1", "messages", "batches", name, "results") if batch := self._batch(name):
                return 200, _lines(self._shuffled([_claude_row(*row) for row in self._ended(batch)]))
        return 404, _json(error_body("openai", message=f"no such address: {path}", code=None))

    def stats(self) -> dict[str, int]:
        return {
            "requests": self.asked.total(),
            "distinct": len(self.asked),
            "most_at_once": self.most_at_once,
            "batches": len(self.batches),
            "batch_rows": sum(len(batch.rows) for batch in self.batches),
        }

    # -- batches -------------------------------------------------------------------------------------------------------

    def _begin(self, rows: list[tuple[str, dict[str, Any]]], metadata: dict[str, str] | None) -> Batch:
        answers = [self.plan.pop(0) if self.plan else Answer() for _ in rows]
        batch = Batch(f"batch_{len(self.batches)}", rows, answers, self.polls, self.batch_end, metadata)
        self.batches.append(batch)
        return batch

    def _batch(self, name: str) -> Batch | None:
        return next((batch for batch in self.batches if batch.id == name), None)

    def _ended(self, batch: Batch) -> list[tuple[str, dict[str, Any], Answer | None]]:
        """custom_id, request and answer of each row; None for a row that was not reached."""
        reached = len(batch.rows) - self.unfinished
        return [
            (*row, answer if k < reached else None)
            for k, (row, answer) in enumerate(zip(batch.rows, batch.answers, strict=True))
        ]

    @staticmethod
    def _shuffled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        random.Random(7).shuffle(rows)
        return rows

    def _openai_batch(self, batch: Batch) -> dict[str, Any]:
        about = {
            "id": batch.id, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file-0",
            "completion_window": "24h", "status": "in_progress", "created_at": 1, "metadata": batch.metadata,
            "output_file_id": None, "error_file_id": None, "errors": None,
        }  # fmt: skip
        if batch.polls > 0:
            return about
        about["status"] = batch.end
        if batch.end == "failed":
            fault = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}
            return about | {"errors": {"object": "list", "data": [fault]}}
        rows = [_openai_row(*row) for row in self._ended(batch)]
        for name, failed in (("output", False), ("error", True)):
            if kept := [row for row in rows if _is_failed(row) is failed]:
                about[f"{name}_file_id"] = f"{batch.id}-{name}"
                self.files[f"{batch.id}-{name}"] = _lines(self._shuffled(kept))
        return about

    def _page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """Newest first."""
        newest = [self._openai_batch(batch) for batch in reversed(self.batches)]
        if after := query.get("after"):
            newest = newest[[batch["id"] for batch in newest].index(after[0]) + 1 :]
        limit = int(query.get("limit", ["20"])[0])
        return {"object": "list", "data": newest[:limit], "has_more": len(newest) > limit}

    def _anthropic_batch(self, batch: Batch) -> dict[str, Any]:
        counts = dict.fromkeys(("canceled", "errored", "expired", "processing", "succeeded"), 0)
        return {
            "id": batch.id, "type": "message_batch", "created_at": "2026-11-21T00:00:00Z",
            "expires_at": "2026-11-22T00:00:00Z", "request_counts": counts,
            "processing_status": "in_progress" if batch.polls > 0 else "ended",
            "results_url": None if batch.polls > 0 else f"{self.url}/v1/messages/batches/{batch.id}/results",
        }  # fmt: skip


class Connection(asyncio.Protocol):
    """One connection, kept alive; one request at a time."""

    def __init__(self, server: JudgeServer) -> None:
        self.server = server
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = end + 4 + int(headers.get("content-length", 0))
        if len(self.buffer) < length:
            return
        body, self.buffer = self.buffer[end + 4 : length], self.buffer[length:]
        method, path, _ = first.split(" ")
        self.server.answered(Asked(method, path, headers, body), self)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None, manner: str = "whole") -> None:
        kind = "text/html" if body.startswith(b"<") else "application/json"
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        match manner:
            case "whole":
                self.transport.write(head + body)
            case "cut":
                self.transport.write(head + body[: len(body) // 2])
                self.transport.close()
            case "hang":
                self.server.loop.call_later(PATIENCE, self.transport.abort)
            case "reset":
                linger = struct.pack("ii", 1, 0)
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.transport.abort()
            case "drip":
                self.transport.write(head)
                self._drip(body, int(PATIENCE / 0.05))

    def _drip(self, body: bytes, times: int) -> None:
        if times and not self.transport.is_closing():
            self.transport.write(body[:1])
            self.server.loop.call_later(0.05, self._drip, body[1:], times - 1)


# -- what a good model says --------------------------------------------------------------------------------------------


def scores_of(asked: dict[str, Any]) -> str:
    """A verdict that follows from the messages alone, in the form that the schema or the reminder asks for."""
    form = asked.get("response_format", {}).get("json_schema") or asked.get("output_config", {}).get("format") or {}
    schema = form.get("schema", {}).get("properties", {})
    shown = json.dumps(asked["messages"])
    names = list(schema["scores"]["properties"]) if schema else _reminded(shown)
    digest = hashlib.sha256(shown.encode()).digest()
    verdict: dict[str, dict[str, Any]] = {
        "scores": {name: digest[k] % 11 for k, name in enumerate(names)},
        "process_ok": {name: digest[k] % 5 != 0 for k, name in enumerate(names)},
        "reasons": {name: f"because of byte {digest[k]}" for k, name in enumerate(names)},
    }
    return json.dumps({part: verdict[part] for part in (schema or ("scores", "process_ok"))})


def _reminded(shown: str) -> list[str]:
    last = re.findall(r"Score c1 to c(\d+)", shown)[-1]
    return [f"c{k + 1}" for k in range(int(last))]


def _completion(answer: Answer, asked: dict[str, Any], text: str) -> dict[str, Any]:
    content = None if answer.refusal else text
    message = {"role": "assistant", "content": content, "refusal": answer.refusal}
    usage = {
        "prompt_tokens": 2000, "completion_tokens": 90, "total_tokens": 2090,
        "prompt_tokens_details": {"cached_tokens": 1024},
    }  # fmt: skip
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": answer.model or asked["model"],
        "choices": [{"index": 0, "finish_reason": answer.finish, "message": message, "logprobs": None}],
    }  # fmt: skip
    return body | ({"usage": usage} if answer.usage else {})


def _message(answer: Answer, asked: dict[str, Any], text: str) -> dict[str, Any]:
    stopped = "refusal" if answer.refusal else _CLAUDE_WORDS.get(answer.finish, answer.finish)
    usage = {"input_tokens": 900, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 100}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": answer.model or asked["model"],
        "content": [] if answer.refusal else [{"type": "text", "text": text}],
        "stop_reason": stopped, "stop_sequence": None, "usage": usage | {"output_tokens": 90},
    }  # fmt: skip


def error_body(provider: Provider, **error: Any) -> dict[str, Any]:
    if provider == "openai":
        return {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None} | error}
    return {"type": "error", "request_id": "req_1", "error": {"type": "api_error", "message": "no"} | error}


# -- the form of things ------------------------------------------------------------------------------------------------


def _openai_row(key: str, asked: dict[str, Any], answer: Answer | None) -> dict[str, Any]:
    row = {"id": f"batch_req_{key[:6]}", "custom_id": key, "response": None, "error": None}
    if answer is None:
        return row | {"error": {"code": "batch_expired", "message": "This request could not be executed in time."}}
    response = {"status_code": answer.status, "request_id": "req_1", "body": answer.body(asked, "openai")}
    return row | {"response": response}


def _is_failed(row: dict[str, Any]) -> bool:
    return row["error"] is not None or row["response"]["status_code"] != 200


def _claude_row(key: str, asked: dict[str, Any], answer: Answer | None) -> dict[str, Any]:
    if answer is None:
        return {"custom_id": key, "result": {"type": "expired"}}
    body = answer.body(asked, "anthropic")
    result = {"type": "succeeded", "message": body} if answer.status == 200 else {"type": "errored", "error": body}
    return {"custom_id": key, "result": result}


def _uploaded(asked: Asked) -> bytes:
    """The part of a form that has a file name."""
    boundary = asked.headers["content-type"].partition("boundary=")[2].strip('"').encode()
    part = next(part for part in asked.body.split(b"--" + boundary) if b"filename=" in part)
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(_json(row) + b"\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    options = parser.parse_args()
    server = JudgeServer(options.port, options.latency).start()
    print(server.url, flush=True)
    server.thread.join()


if __name__ == "__main__":
    main()
