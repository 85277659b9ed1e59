"""Articles of a ZIM file: all of Wikipedia offline, for example (https://wiki.openzim.org, package `libzim`)."""

from __future__ import annotations

import hashlib
import math
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from spark_framework.api import UserError

from ...shared.http_client import plain
from .articles import LEAST_COVERAGE
from .text_index import content_words

MAX_CHARACTERS = 1200
CANDIDATES = 5  # of a full-text search; the first with text in it is taken
_HEADER_BYTES = 80
_BLOCK = 1 << 16
_HIDDEN = frozenset({"table", "style", "script", "sup", "figure", "math"})
"""Boxes, footnote marks, captions; of a formula its plain text is shown instead."""


def zim_digest(path: Path) -> str:
    """Changes with the file: its header holds an id that is new for every ZIM file. Raises UserError without one."""
    try:
        with path.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"cannot read the ZIM file {path}: {error.strerror}; set `zim` to one") from None
    return hashlib.sha256(header + str(size).encode()).hexdigest()[:16]


class Zim:
    """An open ZIM file. Its searches take turns: libzim's are not thread-safe.

    Raises:
        UserError: libzim is not installed, or the file is none of its kind.
    """

    def __init__(self, path: Path) -> None:
        try:
            from libzim.reader import Archive
        except ImportError:
            raise UserError("source zim: libzim is not installed; `pip install libzim`") from None
        zim_digest(path)  # libzim does not name the missing file
        try:
            self._archive: Any = Archive(path)
        except RuntimeError as error:
            raise UserError(f"{path} is not a ZIM file: {error}") from None
        self._lock = threading.Lock()

    def about(self, query: str) -> str | None:
        """The lead of the article with this title, or a redirect from it; else of the best one with all words."""
        words = content_words(query)
        with self._lock:
            return self._titled(query, words) or self._first_with(words)

    def near(self, query: str) -> str | None:
        """The lead of the best article with the query's rarest words, which make up half of it at least."""
        words = content_words(query)
        with self._lock:
            rarity = {word: self._rarity(word) for word in words}
            while words and sum(map(rarity.__getitem__, words)) >= LEAST_COVERAGE * sum(rarity.values()):
                lead = self._first_with(words)
                if lead:
                    return lead
                words.remove(min(words, key=rarity.__getitem__))
        return None

    def _titled(self, query: str, words: list[str]) -> str | None:
        asked = query.strip(" ?.!")
        for title in dict.fromkeys((asked, asked[:1].upper() + asked[1:])):
            if self._archive.has_entry_by_title(title):
                return self._lead(self._archive.get_entry_by_title(title))
        for path in self._suggested(words):  # capitals do not matter here
            entry = self._archive.get_entry_by_path(path)
            if content_words(entry.title) == words:
                return self._lead(entry)
        return None

    def _first_with(self, words: list[str]) -> str | None:
        """The lead of the best article that holds all the words and has a lead."""
        leads = (self._lead(self._archive.get_entry_by_path(path)) for path in self._found(words))
        return next(filter(None, leads), None)

    def _rarity(self, word: str) -> float:
        """The weight of a word: the fewer articles hold it, the higher."""
        from libzim.search import Query, Searcher

        if not self._archive.has_fulltext_index:
            return 1.0
        count = Searcher(self._archive).search(Query().set_query(word)).getEstimatedMatches()
        return math.log(1 + self._archive.article_count / (count or 0.5))

    def _suggested(self, words: list[str]) -> list[str]:
        """Paths of articles by title."""
        from libzim.suggestion import SuggestionSearcher

        return list(SuggestionSearcher(self._archive).suggest(" ".join(words)).getResults(0, CANDIDATES))

    def _found(self, words: list[str]) -> list[str]:
        """Paths of articles by full text; by title where the file has no index of it."""
        if not self._archive.has_fulltext_index:
            return self._suggested(words)
        from libzim.search import Query, Searcher

        return list(Searcher(self._archive).search(Query().set_query(" ".join(words))).getResults(0, CANDIDATES))

    def _lead(self, entry: Any) -> str | None:
        item = entry.get_item()  # of a redirect: its target's
        if not item.mimetype.startswith("text/html"):
            return None
        lead = lead_of(bytes(item.content).decode("utf-8", "replace"))
        return f"{item.title}: {lead}" if lead and item.title.lower() not in lead.lower() else lead or None


def lead_of(page: str) -> str:
    """The first paragraphs of an HTML page as plain text, at most 1,200 characters; empty where it has none."""
    reader = _Paragraphs()
    for start in range(0, len(page), _BLOCK):
        try:
            reader.feed(page[start : start + _BLOCK])
        except AssertionError:  # html.parser on broken declarations
            break
        if reader.is_done:
            break
    return plain(re.sub(r"\s+([,.;:)])", r"\1", " ".join(reader.text.split())), MAX_CHARACTERS)


class _Paragraphs(HTMLParser):
    """Collects the text of `<p>` elements up to the first section heading after them."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.is_done = False
        self._in_paragraph = False
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            if tag in _HIDDEN:
                self._hidden.append(tag)
        elif tag in _HIDDEN:
            if tag == "math":
                self._add(dict(attributes).get("alttext") or "")
            self._hidden.append(tag)
        elif tag == "p":
            self._in_paragraph = True
            self._add(" ")
        elif tag in ("h2", "h3") and self.text.strip():
            self.is_done = True

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.pop()
        elif tag == "p":
            self._in_paragraph = False
            self.is_done = self.is_done or len(self.text) >= MAX_CHARACTERS

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._add(data)

    def _add(self, text: str) -> None:
        if self._in_paragraph and not self.is_done:
            self.text += text
