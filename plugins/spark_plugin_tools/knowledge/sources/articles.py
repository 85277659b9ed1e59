"""Titled texts in memory, as a source of the encyclopedia and the dictionary."""

from __future__ import annotations

from collections.abc import Iterable

from .text_index import TextIndex, content_words

LEAST_COVERAGE = 0.5
"""Share of the query that a text has to hold to be an answer: `capital of Atlantis` must not find another capital."""
SURE_COVERAGE = 0.9
"""With this share, and a title that the query names, it is the answer: `capital of Peru` is about Peru."""


class Articles:
    """Shared by all tools of a process. Equal articles rank in the order given."""

    def __init__(self, passages: Iterable[tuple[str, str]]) -> None:
        self.index = TextIndex.of(passages)

    def titled(self, query: str) -> str | None:
        """The article whose title this is; endings and function words do not matter."""
        return self.index.titled(query)

    def about(self, query: str) -> str | None:
        """The article whose title this is, or which is named in the query and holds nearly all of it."""
        if (titled := self.titled(query)) is not None:
            return titled
        hits = self.index.find(query, 1)
        return hits[0].text if hits and hits[0].named == 1 and hits[0].coverage >= SURE_COVERAGE else None

    def best(self, query: str) -> str | None:
        """The article that holds most of the query, or None where none holds half of it."""
        hits = self.index.find(query, 1)
        return hits[0].text if hits and hits[0].coverage >= LEAST_COVERAGE else None

    def named(self, query: str) -> str | None:
        """The article whose complete title is half of the query or more: `tort law` finds the article on torts."""
        words = set(content_words(query))  # endings matter: `tort reform` is not about the Reformation
        hits = [hit for hit in self.index.find(query, 5) if words.issuperset(content_words(hit.title))]
        return next((hit.text for hit in hits if hit.in_title >= LEAST_COVERAGE), None)
