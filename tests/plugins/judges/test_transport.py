"""The judges' HTTP, byte by byte: slow, endless and closed connections, proxies of the environment, certificates."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import pytest

from spark_framework.api import JudgeError
from spark_plugin_judges.llm.gpt4o import GPT4o
from tests.plugins.judges.calls import GOOD, KEY, N, a_request

BODY = json.dumps(
    {
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": GOOD}}],
    }
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
Speak = Callable[[socket.socket], object]


class Peer:
    """A port that answers every request by a function. `heads` are the requests' first lines and headers."""

    def __init__(self, speak: Speak, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._speak, self._tls = speak, tls
        self._port = socket.create_server(("127.0.0.1", 0))
        self.port = self._port.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._port.shutdown(socket.SHUT_RDWR)
        self._port.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._port.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as file:
                while lines := list(takewhile(lambda line: line.strip(), file)):  # none: closed
                    head = b"".join(lines).decode()
                    length = [line.split(":")[1] for line in head.splitlines() if line.startswith("Content-Length")]
                    file.read(int(length[0]) if length else 0)
                    self.heads.append(head)
                    self._speak(connection)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def open_peer(speak: Speak, tls: ssl.SSLContext | None = None) -> Peer:
        peers.append(Peer(speak, tls))
        return peers[-1]

    yield open_peer
    for one in peers:
        one.close()


def judge_at(address: str, timeout: float = 10.0) -> GPT4o:
    return GPT4o(GPT4o.Config(base_url=f"{address}/v1", timeout=timeout))


def judge_of(peer: Peer, timeout: float = 10.0) -> GPT4o:
    return judge_at(f"http://127.0.0.1:{peer.port}", timeout)


def fault_of(judge: GPT4o) -> JudgeError:
    with pytest.raises(JudgeError) as caught:
        judge.score(a_request())
    return caught.value


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# -- how answers come ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        CHUNKED + chunks(BODY[:7], BODY[7:], b""),
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    ],
)
def test_an_answer_may_come_in_any_form_of_http(peer: Callable[..., Peer], answer: bytes) -> None:
    judge = judge_of(peer(lambda connection: connection.sendall(answer)))
    for _ in range(2):
        assert len(judge.score(a_request()).scores) == N


def test_an_answer_may_end_with_its_connection(peer: Callable[..., Peer]) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)
        connection.shutdown(socket.SHUT_RDWR)

    judge = judge_of(peer(speak))
    for _ in range(2):
        assert len(judge.score(a_request()).scores) == N


def test_a_connection_serves_many_judgings(peer: Callable[..., Peer]) -> None:
    server = peer(lambda connection: connection.sendall(WHOLE))
    judge = judge_of(server)
    for seed in range(5):
        judge.score(a_request(seed))
    assert (server.connections, len(server.heads)) == (1, 5)


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(peer: Callable[..., Peer]) -> None:
    closed = threading.Event()

    def speak(connection: socket.socket) -> None:
        connection.sendall(WHOLE)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    server = peer(speak)
    judge = judge_of(server)
    for _ in range(3):
        judge.score(a_request())
        assert closed.wait(10)
        closed.clear()
    assert server.connections == 3


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\r\n\r\n", WHOLE[: -len(BODY) // 2]])
def test_what_is_no_answer_is_transient(peer: Callable[..., Peer], answer: bytes) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    assert fault_of(judge_of(peer(speak))).kind == "transient"


def test_headers_that_drip_are_given_up(peer: Callable[..., Peer]) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(400):
            connection.sendall(b"x")
            time.sleep(0.025)

    fault = fault_of(judge_of(peer(speak), timeout=0.3))
    assert fault.kind == "transient"
    assert "no answer within 0.3 seconds" in str(fault)


def test_an_endless_answer_is_refused(peer: Callable[..., Peer]) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(CHUNKED)
        while True:
            connection.sendall(chunks(b" " * (1 << 20)))

    def announced(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 10**15)

    for speak in (endless, announced):
        fault = fault_of(judge_of(peer(speak)))
        assert fault.kind == "config"
        assert "more than 16 MB" in str(fault)


# -- proxies -------------------------------------------------------------------------------------------------------


def test_a_plain_address_is_asked_through_the_environment_s_proxy(
    peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = peer(lambda connection: connection.sendall(WHOLE))
    monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    judge_at("http://judge.example:8000").score(a_request())
    (head,) = proxy.heads
    assert head.startswith("POST http://judge.example:8000/v1/chat/completions HTTP/1.1\r\n")
    assert "\r\nHost: judge.example:8000\r\n" in head
    assert "\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in head  # me:p@ss


def test_a_tls_address_is_asked_through_a_tunnel(peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = peer(lambda connection: connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"))
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
    fault = fault_of(judge_at("https://judge.example"))
    assert proxy.heads[0].startswith("CONNECT judge.example:443 HTTP/1.")
    assert KEY not in "".join(proxy.heads)
    assert "407" in str(fault)


def test_no_proxy_is_left_out(peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    server = peer(lambda connection: connection.sendall(WHOLE))
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert len(judge_of(server).score(a_request()).scores) == N


def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:secret@127.0.0.1:1080")
    fault = fault_of(judge_at("http://judge.example"))
    assert fault.kind == "config"
    assert "secret" not in str(fault)


# -- certificates --------------------------------------------------------------------------------------------------


def test_a_certificate_has_to_be_trusted(
    peer: Callable[..., Peer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -out {certificate} -keyout {key}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = peer(lambda connection: connection.sendall(WHOLE), context)
    address = f"https://localhost:{server.port}"
    fault = fault_of(judge_at(address))
    assert fault.kind == "config"
    assert "SSL_CERT_FILE" in str(fault)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    judge = judge_at(address)
    for _ in range(2):
        assert len(judge.score(a_request()).scores) == N
    assert len(server.heads) == 2
