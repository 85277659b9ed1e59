"""`dictionary`: the definition of a term, and its relations."""

from __future__ import annotations

from functools import partial
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, UserError, hookimpl

from . import _knowledge, _wiktionary, _wordnet
from ._online import Client, HttpAddress, OnlineSettings
from ._sources import Source, SourcedTool, one_line


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
        """Asked in this order. Empty: `glossary`, and `wordnet` where it is installed."""
        wordnet: Path | None = None
        """The folder with WordNet's `data.noun` and so on. Default: where its packages put it."""
        wiktionary_url: HttpAddress = "https://en.wiktionary.org"
        """The wiki that `wiktionary` asks."""
        online: OnlineSettings = OnlineSettings()
        """How `wiktionary` is asked."""

    class Args(ToolArgs):
        term: str = Field(max_length=80, description="for example opportunity cost")

    def source_names(self) -> tuple[str, ...]:
        if self.config.sources:
            return tuple(self.config.sources)
        return ("glossary", "wordnet") if _wordnet.find(self.config.wordnet) else ("glossary",)

    def open_source(self, name: str) -> Source:
        if name == "wiktionary":
            client = Client(self.config.online)
            return Source(partial(_wiktionary.definition, client, self.config.wiktionary_url), close=client.close)
        if name == "wordnet":
            wordnet = _wordnet.open_wordnet(self._wordnet_folder())
            return Source(wordnet.entry, close=wordnet.close)
        glossary = _knowledge.dictionary()
        return Source(glossary.titled, glossary.named)

    def digest_source(self, name: str) -> str:
        return _wordnet.digest(self._wordnet_folder()) if name == "wordnet" else _knowledge.digest()

    def _wordnet_folder(self) -> Traversable:
        folder = _wordnet.find(self.config.wordnet)
        if folder is None:
            raise UserError(f"dictionary: source wordnet is not installed; {_wordnet.HOW_TO_INSTALL}")
        return folder

    def call(self, args: Any, context: ToolContext) -> str:
        term = one_line(args.term, "term")
        return self.ask(term, nothing=f"no entry for {term[:40]!r}; give one term")


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Dictionary]
