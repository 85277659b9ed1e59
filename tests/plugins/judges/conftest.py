"""A server that speaks the providers' wire formats, for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.judges.server import JudgeServer


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    running = JudgeServer().start()
    yield running
    running.stop()
