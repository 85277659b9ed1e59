"""Article openings from a MediaWiki, such as Wikipedia (https://www.mediawiki.org/wiki/API:Action_API)."""

from __future__ import annotations

import re

from pydantic import BaseModel, model_validator

from spark_framework.api import ToolError

from ...shared.http_client import Client, plain

CANDIDATES = 5
"""Articles asked for: the best one is shown, the others are named if its title is ambiguous."""

_PARAMETERS: dict[str, str | int] = {
    "action": "query",
    "format": "json",
    "formatversion": 2,
    "generator": "search",
    "gsrlimit": CANDIDATES,
    "prop": "extracts|pageprops",
    "exintro": 1,
    "explaintext": 1,
    "exlimit": CANDIDATES,
    "ppprop": "disambiguation",
    "redirects": 1,
    "maxlag": 5,  # seconds: yield to interactive users while the database lags
}
_PATIENCE = frozenset({"maxlag", "ratelimited", "readonly", "cirrussearch-too-busy-error"})


class _MediaWikiPage(BaseModel):
    title: str
    index: int
    """Rank in the search; the pages come in another order."""
    extract: str = ""
    pageprops: dict[str, object] = {}


class _Query(BaseModel):
    pages: list[_MediaWikiPage] = []


class _Error(BaseModel):
    code: str
    info: str = ""


class _Reply(BaseModel):
    query: _Query | None = None
    error: _Error | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_of_a_wiki(cls, reply: object) -> object:
        """`query` is missing if nothing is found."""
        if isinstance(reply, dict) and not reply.keys() & {"query", "error", "batchcomplete", "continue"}:
            raise ValueError("no reply of the action API")
        return reply


def lead(client: Client, api_url: str, query: str) -> str:
    """Title and opening of the article that the wiki's search ranks first.

    Args:
        api_url: the wiki's api.php, for example https://en.wikipedia.org/w/api.php

    Raises:
        ToolError: no article, one title with several meanings, or no usable answer (then `transient`).
    """
    words = _words(query)
    if not words:
        raise ToolError("empty query")
    reply = client.get_json(api_url, _Reply, {**_PARAMETERS, "gsrsearch": words}, is_busy=_asks_for_patience)
    if reply.error is not None:
        raise ToolError(
            f"the wiki refused the query: {plain(reply.error.info or reply.error.code, 200)}", transient=True
        )
    pages = sorted(reply.query.pages if reply.query else [], key=lambda page: page.index)
    if not pages:
        raise ToolError(f"no article found for {query[:60]!r}; try a shorter name")
    best, *others = pages
    if "disambiguation" in best.pageprops:
        names = ", ".join(plain(page.title, 80) for page in others) or "none found"
        raise ToolError(f"{plain(best.title, 80)!r} has several meanings; ask for one of them: {names}")
    text = plain(best.extract)
    if not text:
        raise ToolError(f"the article {plain(best.title, 80)!r} has no opening text")
    return f"{plain(best.title, 200)}: {text}"


def _asks_for_patience(reply: _Reply) -> bool:
    code = reply.error.code if reply.error else ""
    return code in _PATIENCE or code.startswith("internal_api_error")


def _words(query: str) -> str:
    """The query without the search engine's operators: a model's text is a list of words, not a search expression."""
    words = re.sub(r'["~*?\\/:]', " ", query)
    return plain(re.sub(r"(?<!\S)[-!]+", " ", words), 300)
