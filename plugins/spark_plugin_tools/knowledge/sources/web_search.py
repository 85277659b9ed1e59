"""Web search through Tavily (https://docs.tavily.com) and Brave (https://api-dashboard.search.brave.com)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel

from spark_framework.api import ToolError

from ...shared.http_client import Client, Refusal, plain, without_markup

BENCHMARK_MIRRORS: tuple[str, ...] = (
    # copies of the benchmark's data, its leaderboards and its code
    "github.com",
    "github.io",
    "githubusercontent.com",
    "gitee.com",
    "hf.co",
    "hf-mirror.com",
    "huggingface.co",
    "kaggle.com",
    "modelscope.ai",
    "modelscope.cn",
    "opencompass.org.cn",
    "opendatalab.com",
    "opendatalab.org.cn",
    "openxlab.org.cn",
    "paperswithcode.com",
    # where its questions came from, or are repeated word for word with their answers
    "brainly.com",
    "chegg.com",
    "coursehero.com",
    "numerade.com",
    "quizlet.com",
    "stemez.com",
    "studocu.com",
)
"""Hosts, with all their subdomains, whose pages hold questions of the benchmarks together with the answers."""

PASSAGE_CHARACTERS = 600
_MOST_RESULTS = 20  # of one request to Brave
_MOST_EXCLUDED = 150  # of one request to Tavily
_REFUSED = {
    401: "refused the key",
    402: "wants to be paid",
    403: "refused the key",
    422: "refused the key or the query",
    432: "has reached the limit of the account's plan",
    433: "has reached the limit of the account's spending",
}

Result = tuple[str, str, str]
"""Title, address and text."""


class _TavilyResult(BaseModel):
    title: str | None = None
    url: str
    content: str | None = None


class _TavilyReply(BaseModel):
    results: list[_TavilyResult]


class _BraveResult(BaseModel):
    title: str | None = None
    url: str
    description: str | None = None


class _BraveResults(BaseModel):
    results: list[_BraveResult] = []


class _BraveReply(BaseModel):
    type: Literal["search"]
    web: _BraveResults | None = None
    """Missing if nothing was found."""


def tavily(client: Client, base_url: str, key: str, query: str, k: int, exclude: tuple[str, ...]) -> list[Result]:
    """At most k results in Tavily's order, none of an excluded host.

    Args:
        base_url: https://api.tavily.com, or a server that speaks the same protocol
        exclude: hosts, with their subdomains

    Raises:
        ToolError: nothing found, or no usable answer (then `transient`).
    """
    headers = {"Authorization": f"Bearer {_checked(key, 'Tavily')}"}
    body = {"query": _words(query), "max_results": k, "exclude_domains": list(exclude[:_MOST_EXCLUDED])}
    try:
        reply = client.post_json(f"{base_url}/search", _TavilyReply, body, headers)
    except Refusal as refusal:
        raise _explained(refusal, "Tavily") from None
    return _shown(((hit.title or "", hit.url, hit.content or "") for hit in reply.results), query, k, exclude)


def brave(client: Client, base_url: str, key: str, query: str, k: int, exclude: tuple[str, ...]) -> list[Result]:
    """At most k results in Brave's order, none of an excluded host: like `tavily`, of https://api.search.brave.com."""
    headers = {"X-Subscription-Token": _checked(key, "Brave")}
    # Brave cannot exclude hosts: ask for all that one call gives, and drop theirs.
    parameters: dict[str, str | int] = {
        "q": _words(query),
        "count": _MOST_RESULTS,
        "result_filter": "web",
        "text_decorations": "false",
    }
    try:
        reply = client.get_json(f"{base_url}/res/v1/web/search", _BraveReply, parameters, headers)
    except Refusal as refusal:
        raise _explained(refusal, "Brave") from None
    hits = reply.web.results if reply.web else []
    rows = ((without_markup(hit.title or ""), hit.url, without_markup(hit.description or "")) for hit in hits)
    return _shown(rows, query, k, exclude)


def _checked(key: str, service: str) -> str:
    key = key.strip()  # a key read from a file often ends with a line break
    if not re.fullmatch(r"[!-~]+", key):
        raise ToolError(f"the key for {service} is empty or holds characters that no key has", transient=True)
    return key


def _words(query: str) -> str:
    """Both services take 400 characters; Brave takes 50 words."""
    words = " ".join(plain(query, 400).split()[:50])
    if not words:
        raise ToolError("empty query")
    return words


def _explained(refusal: Refusal, service: str) -> ToolError:
    meaning = _REFUSED.get(refusal.status)
    return ToolError(f"{service} {meaning} (status {refusal.status})", transient=True) if meaning else refusal


def _shown(rows: Iterable[Result], query: str, k: int, exclude: tuple[str, ...]) -> list[Result]:
    found = [
        (plain(title, 200), plain(url, 500), plain(text, PASSAGE_CHARACTERS))
        for title, url, text in rows
        if text.strip() and _may_be_shown(url, exclude)
    ]
    if not found:
        raise ToolError(f"nothing found for {query[:60]!r}; try other words")
    return found[:k]


def _may_be_shown(url: str, exclude: tuple[str, ...]) -> bool:
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    return bool(host) and not any(f".{host}".endswith(f".{other.lower().strip('.')}") for other in exclude)
