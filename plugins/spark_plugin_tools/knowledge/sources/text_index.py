"""Full-text search over short titled passages (SQLite FTS5), ranked by how much of the query they hold.

FTS5's own bm25 ranks, but does not tell what share of the query a passage holds, nor whether it names a full title.
"""

from __future__ import annotations

import heapq
import math
import re
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from .database import Database, InMemory

MAX_WORDS = 32
SAME_TITLE = 50  # shortest titles that hold a query; only these are compared with it
SEEN = 50_000
"""Most passages read for one word. In a large corpus, a word found in more yields no candidates if the query has rarer
ones, and a query of common words alone sees the first passages only."""
RANKED = 1_000
"""Candidates that are scored in full."""
KEPT, KEPT_PLACES = 2_000, 1_000
"""Words and rows that are kept; not the places of a word that has more."""

_FUNCTION_WORDS = (
    "a about an and are as at by define definition did do does find for from give had has have how in is it its me "
    "mean meaning of on or s tell that the these this those to was were what when where which who whom whose why with"
)
_STOPWORDS = frozenset(_FUNCTION_WORDS.split())
_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"[^\W_]+")


Key = TypeVar("Key")
Value = TypeVar("Value")
Places = dict[str, frozenset[int]]


class QueryCache(NamedTuple):
    """Results of earlier queries. The words of a run's queries repeat."""

    places: Places
    """Where a word is."""
    rows: dict[int, tuple[str, str]]
    """Titles and texts."""


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    text: str
    coverage: float
    """Share of the query that the passage holds, from 0 to 1; rare words count more."""
    in_title: float
    """Share of the query that the title holds."""
    named: float
    """Share of the title's words that the query holds; 1 if it names the complete title. Articles do not count."""

    @property
    def score(self) -> float:
        """Coverage, and as much again if the query names the complete title."""
        return self.coverage + self.named * self.in_title


class TextIndex:
    """Passages in the order given; equal ones rank in that order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache = QueryCache({}, {})
        with database.reading() as reader:
            self._size = int(reader.execute("SELECT coalesce(max(id), 0) FROM passage_content").fetchone()[0])

    @classmethod
    def of(cls, passages: Iterable[tuple[str, str]]) -> TextIndex:
        """An index in memory."""
        return cls(InMemory(lambda connection: fill(connection, passages)))

    def close(self) -> None:
        """Release the connections."""
        self._database.close()

    def find(self, query: str, k: int, least: float = 0.0) -> list[Hit]:
        """The k best passages that hold any word of the query; empty where none does.

        Args:
            least: share of the best one's score that the others have to reach.
        """
        words = content_words(query)
        if not words:
            return []
        with self._database.reading() as reader:
            return _Search(reader, self._cache, self._size, words, k, least).hits(_plain(query))

    def titled(self, query: str) -> str | None:
        """The passage whose title is the query, but for endings and function words."""
        words = content_words(query)
        if not words:
            return None
        in_title = " AND ".join(f'title : "{word}"' for word in words)
        with self._database.reading() as reader:
            rows = reader.execute(
                "SELECT title, text FROM passage WHERE passage MATCH ? ORDER BY length(title), rowid LIMIT ?",
                (in_title, SAME_TITLE),
            ).fetchall()
        asked = set(_words(query))
        same = [row for row in rows if _length(row[0], asked) == len(words)]
        exact = [row for row in same if _plain(row[0]) == _plain(query)]
        return next((str(text) for _, text in exact + same), None)


def fill(connection: sqlite3.Connection, passages: Iterable[tuple[str, str]]) -> None:
    """Write (title, text) rows into the table that TextIndex reads."""
    connection.execute(
        "CREATE VIRTUAL TABLE passage USING fts5(title, text, tokenize = 'porter unicode61 remove_diacritics 2')"
    )
    connection.execute("INSERT INTO passage(passage, rank) VALUES ('hashsize', ?)", (16 << 20,))
    connection.executemany("INSERT INTO passage VALUES (?, ?)", passages)


class _Search:
    """One query. BM25 reads every passage that it ranks, so it is used only to break ties.

    Args:
        cache: new results are added to it.
        size: number of passages.
        words: of the query, without duplicates.
        k, least: of the hits; see `TextIndex.find`.
    """

    def __init__(
        self, reader: sqlite3.Connection, cache: QueryCache, size: int, words: list[str], k: int, least: float
    ) -> None:
        self._reader, self._cache, self._k, self._least = reader, cache, k, least
        places = {word: self._places(f'"{word}"') for word in words}
        self._rarity = {word: math.log(1 + size / (len(found) or 0.5)) for word, found in places.items()}
        rare = [word for word in words if len(places[word]) < SEEN]
        if rare:  # then, a word that is nearly everywhere yields no candidates
            for word in set(words).difference(rare):
                places[word] = self._places(f'"{word}" AND ({_any(rare)})')
        self._match = _any(rare or words)
        self._weight = self._weights(places)

    def hits(self, asked: str) -> list[Hit]:
        """The best passages, best first."""
        if not self._weight:
            return []
        in_titles = {word: self._places(f'title : "{word}"') for word in self._rarity}
        title_weight: dict[int, float] = {}
        for word, found in in_titles.items():
            for place in self._weight.keys() & found:
                title_weight[place] = title_weight.get(place, 0.0) + self._rarity[word]
        candidates = self._candidates(title_weight)
        rows = self._rows([place for place in candidates if place in title_weight])
        words_held = Counter(place for found in in_titles.values() for place in rows.keys() & found)
        total, asked_words = sum(self._rarity.values()), set(_words(asked))
        named = {place: min(1.0, words_held[place] / _length(rows[place][0], asked_words)) for place in rows}
        scores = {at: self._weight[at] + named.get(at, 0.0) * title_weight.get(at, 0.0) for at in candidates}
        needed = self._least * max(scores.values())
        other = {place for place in scores if place not in rows or _plain(rows[place][0]) != asked}
        best = self._in_order({at: (at in other, -score) for at, score in scores.items() if score >= needed})
        rows |= self._rows([place for place in best if place not in rows])
        share = {place: (self._weight[place] / total, title_weight.get(place, 0.0) / total) for place in best}
        return [Hit(*rows[place], *share[place], named.get(place, 0.0)) for place in best]

    def _candidates(self, title_weight: dict[int, float]) -> list[int]:
        """Places that can be among the hits: a title at most adds its weight once more."""
        needed, title = self._needed(self._weight), title_weight.get
        places = [place for place, weight in self._weight.items() if weight + title(place, 0.0) >= needed]
        if len(places) <= RANKED:
            return places
        return heapq.nlargest(RANKED, places, key=lambda place: self._weight[place] + title(place, 0.0))

    def _needed(self, weights: dict[int, float]) -> float:
        """What a place has to weigh with its title, going by the places that are known."""
        best = heapq.nlargest(self._k, weights.values())
        return max(best[-1] if len(best) == self._k else 0.0, self._least * best[0]) if best else 0.0

    def _in_order(self, ranks: dict[int, tuple[bool, float]]) -> list[int]:
        """The places of lowest rank; among equals BM25 decides, then the order of the passages."""
        ordered = sorted(ranks, key=ranks.__getitem__)
        last = ranks[ordered[: self._k][-1]]
        head = [place for place in ordered if ranks[place] <= last]
        if len({ranks[place] for place in head}) < len(head):
            select = "SELECT rowid, bm25(passage, 5.0, 1.0) FROM passage WHERE passage MATCH ? AND rowid IN "
            bm25 = dict(self._reader.execute(select + _list(head), (self._match,)))
            head.sort(key=lambda place: (ranks[place], bm25.get(place, 0.0), place))
        return head[: self._k]

    def _places(self, match: str) -> frozenset[int]:
        """Of the first SEEN passages that match."""
        places = self._cache.places.get(match)
        if places is None:
            select = "SELECT rowid FROM passage WHERE passage MATCH ? LIMIT ?"
            places = frozenset(place for (place,) in self._reader.execute(select, (match, SEEN)))
            if len(places) <= KEPT_PLACES:
                _keep(self._cache.places, {match: places})
        return places

    def _weights(self, places: Places) -> dict[int, float]:
        """How much of the query's rarity each place holds; places that cannot be among the hits may be left out."""
        weights: dict[int, float] = {}
        left = sum(self._rarity.values())
        for word in sorted(places, key=self._rarity.__getitem__, reverse=True):
            rarity, found = self._rarity[word], places[word]
            for place in found & weights.keys():
                weights[place] += rarity
            if 2 * left >= self._needed(weights):
                weights |= dict.fromkeys(found.difference(weights), rarity)
            left -= rarity
        return weights

    def _rows(self, places: list[int]) -> dict[int, tuple[str, str]]:
        """Titles and texts."""
        rows = {place: row for place in places if (row := self._cache.rows.get(place)) is not None}
        if missing := [place for place in places if place not in rows]:
            select = f"SELECT id, c0, c1 FROM passage_content WHERE id IN {_list(missing)}"
            read = {place: (title, text) for place, title, text in self._reader.execute(select)}
            _keep(self._cache.rows, read)
            rows |= read
        return rows


def _keep(kept: dict[Key, Value], more: dict[Key, Value]) -> None:
    if len(kept) >= KEPT:
        kept.clear()
    kept.update(more)


def _any(words: list[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def _list(places: list[int]) -> str:
    return f"({','.join(map(str, places))})"


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" ?.!")


def _length(title: str, asked: set[str]) -> int:
    """The number of words that a query of these words has to hold to name a title: `war` does not name `On War`."""
    words = _words(title)
    ignored = (asked | _ARTICLES) & _STOPWORDS
    return sum(word not in ignored for word in words) or len(words) or 1


def content_words(text: str) -> list[str]:
    """Lower-case words without duplicates, at most 32; function words only if there are no others."""
    words = _words(text)
    return ([word for word in words if word not in _STOPWORDS] or list(words))[:MAX_WORDS]


@lru_cache(maxsize=10_000)  # titles repeat
def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_WORD.findall(unicodedata.normalize("NFC", text).lower())))
