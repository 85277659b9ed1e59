"""Questions to the online sources, and what a well-behaved server answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spark_framework.api import ToolError
from spark_plugin_tools.knowledge.sources.mediawiki import lead
from spark_plugin_tools.knowledge.sources.web_search import BENCHMARK_MIRRORS, brave, tavily
from spark_plugin_tools.knowledge.sources.wiktionary import definition
from spark_plugin_tools.shared.http_client import Client
from tests.plugins.tools.online_server import KEY, OnlineServer

ENTROPY = {"title": "Entropy", "extract": "Entropy is a scientific concept.\n\nIt was named in 1865."}
ENTROPY_TEXT = "Entropy: Entropy is a scientific concept. It was named in 1865."
PAGES = [
    {"title": "Entropy", "url": "https://en.wikipedia.org/wiki/Entropy", "text": "A scientific concept."},
    {"title": "MMLU-Pro", "url": "https://huggingface.co/datasets/TIGER-Lab/MMLU-Pro", "text": "answer: B"},
    {"title": "Heat", "url": "http://example.org:8080/heat", "text": "A form of energy."},
]
RESULTS = [
    ("Entropy", "https://en.wikipedia.org/wiki/Entropy", "A scientific concept."),
    ("Heat", "http://example.org:8080/heat", "A form of energy."),
]

Ask = Callable[[Client, OnlineServer], object]

SOURCES: dict[str, Ask] = {
    "mediawiki": lambda client, server: lead(client, server.api_url, "entropy"),
    "wiktionary": lambda client, server: definition(client, server.url, "entropy"),
    "tavily": lambda client, server: tavily(client, server.url, KEY, "entropy", 3, BENCHMARK_MIRRORS),
    "brave": lambda client, server: brave(client, server.url, KEY, "entropy", 3, BENCHMARK_MIRRORS),
}
every_source = pytest.mark.parametrize("ask", SOURCES.values(), ids=SOURCES.keys())


def entry(part: str, *senses: str, language: str = "English") -> dict[str, Any]:
    return {"partOfSpeech": part, "language": language, "definitions": [{"definition": sense} for sense in senses]}


def failure(ask: Callable[[], object]) -> ToolError:
    """The one clear line that a call ends with."""
    with pytest.raises(ToolError) as caught:
        ask()
    text = str(caught.value)
    assert text.isprintable()
    assert 0 < len(text) < 250
    assert KEY not in text
    return caught.value
