"""A server for the online sources, and clients that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spark_plugin_tools.shared import http_client
from spark_plugin_tools.shared.http_client import Client, OnlineSettings
from tests.plugins.tools.online_calls import ENTROPY, PAGES, entry
from tests.plugins.tools.online_server import OnlineServer


@pytest.fixture
def server() -> Iterator[OnlineServer]:
    running = OnlineServer()
    running.articles = [ENTROPY]
    running.entries["entropy"] = {"en": [entry("Noun", "A measure of disorder.")]}
    running.results = list(PAGES)
    yield running
    running.stop()


@pytest.fixture
def new_client() -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(**settings: Any) -> Client:
        clients.append(Client(OnlineSettings(**settings)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    return new_client(timeout=30)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for, without waiting."""
    asked: list[float] = []
    monkeypatch.setattr(http_client.time, "sleep", asked.append)
    return asked
