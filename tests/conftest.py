"""What several test folders share: no network, and distributions that exist only for one test."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

FakeDistribution = Callable[..., Path]


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


@pytest.fixture
def fake_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDistribution]:
    """`fake_distribution(name, entries, modules, version="1.0", group="spark_framework.v1")`: installed for one test.

    `entries` maps entry names to targets, or is the whole text of entry_points.txt. `modules` maps names to source.
    Every distribution gets a folder of its own at the front of `sys.path`; the folder is returned.
    """
    made: set[str] = set()

    def make(
        name: str,
        entries: dict[str, str] | str,
        modules: dict[str, str] | None = None,
        version: str = "1.0",
        group: str = "spark_framework.v1",
    ) -> Path:
        folder = tmp_path / f"site{len(list(tmp_path.glob('site*')))}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if isinstance(entries, dict):
            entries = "\n".join([f"[{group}]", *(f"{entry} = {target}" for entry, target in entries.items())])
        (info / "entry_points.txt").write_text(entries)
        for module, source in (modules or {}).items():
            (folder / f"{module}.py").write_text(dedent(source))
            made.add(module)
        monkeypatch.syspath_prepend(folder)
        return folder

    yield make
    for module in made:
        sys.modules.pop(module, None)


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
def demonstrations(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`demonstrations(folder, **changes)`: a run in that folder whose demonstrations are done (see tests/runs.py)."""
    from tests.runs import stored_run

    cache = tmp_path_factory.mktemp("demonstrations") / "run"
    return lambda folder, **changes: stored_run(tiny, cache, folder, **changes)
