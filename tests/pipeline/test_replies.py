"""A run whose tools reach the network is replayed from what the network said."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from spark_framework import RunConfig, generate
from spark_framework.api import ComponentConfig, Tool, ToolArgs
from spark_framework.errors import ConfigError, RunError, UserError
from tests.runs import settings

ROUND = {"name": "demonstrations", "proposer": "scripted", "questions": 2, "wave_size": 2}


class Clock(Tool):
    """Asks a server for the next number."""

    name = "science"
    description = "Counts."
    needs = frozenset({"network"})

    class Config(ComponentConfig):
        url: str

    class Args(ToolArgs, extra="allow"):
        pass

    def call(self, args: Any, context: Any) -> str:
        with urlopen(self.config.url) as reply:
            return str(reply.read().decode())


@pytest.fixture
def url() -> Any:
    count = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal count
            count += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{count} g/mol".encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(tiny: Path, folder: Path, url: str, **changes: Any) -> RunConfig:
    tools = ["calculator", {"use": f"{__name__}:Clock", "url": url}]
    allowed = {"plugins": {"allow": ["network"]}, "tools": tools, "rollouts": [ROUND], "stages": {}}
    return RunConfig.model_validate({**settings(tiny, folder, **allowed), **changes})


def test_a_run_is_replayed_without_the_network(tiny: Path, tmp_path: Path, url: str) -> None:
    first = generate(run(tiny, tmp_path / "first", url))
    replies = {"mode": "only", "file": str(first / "replies.sqlite")}
    second = generate(run(tiny, tmp_path / "second", url, replies=replies))
    assert b"g/mol" in (first / "trajectories.jsonl").read_bytes()
    assert (first / "trajectories.jsonl").read_bytes() == (second / "trajectories.jsonl").read_bytes()
    third = generate(run(tiny, tmp_path / "third", url))  # the network says something else by now
    assert (first / "trajectories.jsonl").read_bytes() != (third / "trajectories.jsonl").read_bytes()


def test_a_replay_never_guesses(tiny: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match=r"holds no reply of science to .* replies\.mode is `only`"):
        generate(run(tiny, tmp_path / "run", url, replies={"mode": "only"}))


def test_a_run_may_go_on_without_asking(tiny: Path, tmp_path: Path, url: str) -> None:
    first = generate(run(tiny, tmp_path / "run", url))
    done = (first / "trajectories.jsonl").read_bytes()
    assert generate(run(tiny, tmp_path / "run", url, replies={"mode": "only"})) == first
    assert (first / "trajectories.jsonl").read_bytes() == done


def test_the_network_has_to_be_allowed(tiny: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"science needs network; allow it with"):
        run(tiny, tmp_path / "run", url, plugins={})


def test_the_tools_of_a_run_do_not_change_under_it(
    tiny: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(run(tiny, tmp_path / "run", url))
    monkeypatch.setattr(Clock, "description", "Counts, and more.")
    with pytest.raises(RunError, match=r"was created with other tools \(science\)"):
        generate(run(tiny, tmp_path / "run", url))
