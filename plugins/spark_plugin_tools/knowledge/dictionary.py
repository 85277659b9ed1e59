"""`dictionary`: the definition of a term, and its relations."""

from __future__ import annotations

from functools import partial
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, UserError, hookimpl

from ..shared.http_client import Client, HttpAddress, OnlineSettings
from .sourced_tool import Source, SourcedTool, argument_line
from .sources import packaged_facts, wiktionary, wordnet


class Dictionary(SourcedTool):
    """Looks a term up by headword; endings and function words do not matter.

    Sources: `glossary` (the project's own technical terms and formulas), `wordnet` (general English, with relations,
    where its files are installed), `wiktionary` (on the network).
    """

    name = "dictionary"
    description = "Defines a term of science, law, economics, psychology, philosophy or history, with related terms."
    ONLINE = frozenset({"wiktionary"})
    PLACES = frozenset({"wordnet"})

    class Config(ComponentConfig):
        sources: tuple[Literal["glossary", "wordnet", "wiktionary"], ...] = ()
        """Queried in this order. Empty: `glossary`, and `wordnet` where it is installed."""
        wordnet: Path | None = None
        """The folder with WordNet's `data.noun` and so on. Default: where its packages install it."""
        wiktionary_url: HttpAddress = "https://en.wiktionary.org"
        """The wiki that `wiktionary` queries."""
        online: OnlineSettings = OnlineSettings()
        """Request settings of `wiktionary`."""

    class Args(ToolArgs):
        term: str = Field(max_length=80, description="for example opportunity cost")

    def source_names(self) -> tuple[str, ...]:
        if self.config.sources:
            return tuple(self.config.sources)
        return ("glossary", "wordnet") if wordnet.find(self.config.wordnet) else ("glossary",)

    def open_source(self, name: str) -> Source:
        if name == "wiktionary":
            client = Client(self.config.online)
            return Source(partial(wiktionary.definition, client, self.config.wiktionary_url), close=client.close)
        if name == "wordnet":
            opened = wordnet.open_wordnet(self._wordnet_folder())
            return Source(opened.entry, close=opened.close)
        glossary = packaged_facts.dictionary()
        return Source(glossary.titled, glossary.named)

    def digest_source(self, name: str) -> str:
        return wordnet.digest(self._wordnet_folder()) if name == "wordnet" else packaged_facts.digest()

    def _wordnet_folder(self) -> Traversable:
        folder = wordnet.find(self.config.wordnet)
        if folder is None:
            raise UserError(f"dictionary: source wordnet is not installed; {wordnet.HOW_TO_INSTALL}")
        return folder

    def call(self, args: Any, context: ToolContext) -> str:
        term = argument_line(args.term, "term")
        return self.ask(term, nothing=f"no entry for {term[:40]!r}; give one term")


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Dictionary]
