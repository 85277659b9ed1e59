"""A judge that asks a real HTTP server, and the server; run as a program it is one of several writers of a store.

python asking.py STORE URL COUNT: judges COUNT steps and prints each question's id when its verdict is stored
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spark_framework.api import (
    ApiReply,
    ApiRequest,
    Candidate,
    ComponentConfig,
    JudgeError,
    JudgeRequest,
    Price,
    Question,
    RemoteJudge,
    Usage,
    Verdict,
)
from spark_framework.config.judging import JudgingSection
from spark_framework.host.manager import Host
from spark_framework.judging.runner import JudgeRunner, open_judging


class Asking(RemoteJudge):
    """Scores every candidate with what the server says; a dollar for a million tokens, a thousand tokens a call."""

    name = "asking"

    class Config(ComponentConfig):
        url: str = ""
        model: str = "m"
        prompt: str = "p"

    @property
    def price(self) -> Price:
        return Price(input=1000.0, output=0.0)

    @property
    def priced_model(self) -> str:
        return self.config.model

    def most_tokens(self, api_request: ApiRequest) -> Usage:
        return Usage(input_tokens=1000)

    def request(self, request: JudgeRequest) -> ApiRequest:
        body = {
            "model": self.config.model,
            "prompt": self.config.prompt,
            "id": request.question.id,
            "seed": request.seed,
        }
        return ApiRequest(endpoint=self.config.url, body=body)

    def send(self, api_request: ApiRequest) -> ApiReply:
        connection = http.client.HTTPConnection(urlsplit(api_request.endpoint).netloc, timeout=10)
        try:
            connection.request("POST", "/", json.dumps(api_request.body))
            response = connection.getresponse()
            text = response.read()
        except OSError as exc:
            raise JudgeError(f"out of reach: {exc}", "transient") from exc
        finally:
            connection.close()
        if response.status != 200:
            raise JudgeError(f"status {response.status}", response.headers["X-Kind"], retry_after=0.0)
        return ApiReply(body=json.loads(text), usage=Usage(input_tokens=1000), model=self.config.model)

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        score = reply.body["score"]
        if not isinstance(score, int):
            raise JudgeError("the score is no whole number", "invalid")
        n = len(request.candidates)
        return Verdict(scores=(score,) * n, process_ok=(True,) * n, judge=self.name, fingerprint=self.fingerprint())

    def repaired(self, api_request: ApiRequest, reply: ApiReply, fault: JudgeError) -> ApiRequest | None:
        return api_request.model_copy(update={"body": {**api_request.body, "again": True}})


class Server:
    """Says 7, or what was planned for a question's id: kinds of failure and scores, used up in turn."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.plan: dict[str, list[Any]] = {}
        self.latency = 0.0
        self.at_once = self.most_at_once = 0
        lock, server = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.asked[body["id"]] += 1
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                    planned = server.plan.get(body["id"]) or [7]
                    step = planned.pop(0) if len(planned) > 1 or body["id"] in server.plan else 7
                time.sleep(server.latency)
                with lock:
                    server.at_once -= 1
                failed = isinstance(step, str)
                text = b"" if failed else json.dumps({"score": step}).encode()
                self.send_response(503 if failed else 200)
                if failed:
                    self.send_header("X-Kind", step)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def steps(count: int, first: int = 0) -> list[JudgeRequest]:
    candidates = tuple(
        Candidate(action=f"tool{k}", arguments={"text": "x"}, observation="y" * 40, ok=True) for k in range(9)
    )
    return [
        JudgeRequest(
            question=Question(id=f"q{i}", text=f"Q{i}?", options=("a", "b"), answer=0, category="c", source="s"),
            steps=(), candidates=candidates, seed=i,
        )
        for i in range(first, first + count)
    ]  # fmt: skip


@contextmanager
def session(path: Path, judge: RemoteJudge, **terms: Any) -> Iterator[JudgeRunner]:
    with open_judging(Host().calls, path, JudgingSection(**terms), "run", [judge]) as opened:
        yield opened


def write(path: str, url: str, count: str) -> None:
    """One of several writers: all want the same verdicts."""
    judge = Asking(Asking.Config(url=url))
    with session(Path(path), judge, concurrency=4) as asking, ThreadPoolExecutor(4) as pool:

        def one(request: JudgeRequest) -> None:
            (verdict,) = asking.judge_all(judge, [request])
            assert isinstance(verdict, Verdict)
            sys.stdout.write(request.question.id + "\n")  # one write, so that lines stay whole
            sys.stdout.flush()

        list(pool.map(one, steps(int(count))))


if __name__ == "__main__":
    write(*sys.argv[1:])
