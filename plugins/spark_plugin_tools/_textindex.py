"""Full-text search over short titled passages (SQLite FTS5), ranked by how much of the query they hold."""

from __future__ import annotations

import math
import re
import sqlite3
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from ._database import Database, InMemory

MAX_WORDS = 32
CANDIDATES = 50  # best by BM25; only these are looked at more closely
RANKED = 100_000
"""Passages that BM25 ranks for one query, about a tenth of a second: in a large corpus common words alone are not
enough to become a candidate, and a query of nothing else sees the first passages only."""

_FUNCTION_WORDS = (
    "a about an and are as at by define definition did do does find for from give had has have how in is it its me "
    "mean meaning of on or s tell that the these this those to was were what when where which who whom whose why with"
)
_STOPWORDS = frozenset(_FUNCTION_WORDS.split())
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    text: str
    coverage: float
    """Share of the query that the passage holds, from 0 to 1; rare words count more."""
    in_title: float
    """Share of the query that the title holds."""
    named: float
    """Share of the title's words that the query holds; 1 where it names the whole title. Articles do not count."""

    @property
    def score(self) -> float:
        """Coverage, and as much again where the query names the whole title."""
        return self.coverage + self.named * self.in_title


class TextIndex:
    """Passages in the order given; equal ones rank in that order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.reading() as reader:
            self._size = int(reader.execute("SELECT coalesce(max(id), 0) FROM passage_content").fetchone()[0])

    @classmethod
    def of(cls, passages: Iterable[tuple[str, str]]) -> TextIndex:
        """An index in memory."""
        return cls(InMemory(lambda connection: fill(connection, passages)))

    def close(self) -> None:
        """Release the connections."""
        self._database.close()

    def find(self, query: str, k: int) -> list[Hit]:
        """The k best passages that hold any word of the query; empty where none does."""
        words = content_words(query)
        if not words:
            return []
        with self._database.reading() as reader:
            return _Search(reader, self._size, words).hits(_plain(query))[:k]

    def titled(self, query: str) -> str | None:
        """The passage whose title is the query, but for endings and function words."""
        words = content_words(query)
        if not words:
            return None
        in_title = " AND ".join(f'title : "{word}"' for word in words)
        with self._database.reading() as reader:
            rows = reader.execute(
                "SELECT title, text FROM passage WHERE passage MATCH ? ORDER BY length(title), rowid LIMIT ?",
                (in_title, CANDIDATES),
            ).fetchall()
        same = [row for row in rows if _length(row[0], query) == len(words)]
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
    """One query. What it costs depends on RANKED and CANDIDATES, hardly on the number of passages."""

    def __init__(self, reader: sqlite3.Connection, size: int, words: list[str]) -> None:
        self._reader = reader
        self._frequency = {word: self._frequency_of(word) for word in words}
        self._rarity = {word: math.log(1 + size / (count or 0.5)) for word, count in self._frequency.items()}

    def _frequency_of(self, word: str) -> int:
        """How many passages hold a word; RANKED where it is more."""
        select = "SELECT count(*) FROM (SELECT 1 FROM passage WHERE passage MATCH ? LIMIT ?)"
        return int(self._reader.execute(select, (f'"{word}"', RANKED)).fetchone()[0])

    def hits(self, asked: str) -> list[Hit]:
        """The candidates, best first."""
        rows = self._candidates()
        places = ",".join(str(int(row[0])) for row in rows)
        total = sum(self._rarity.values())
        anywhere = dict.fromkeys((row[0] for row in rows), 0.0)
        in_title = dict(anywhere)
        named = dict.fromkeys(anywhere, 0)
        for word, weight in self._rarity.items():
            for found in self._holding(f'"{word}"', places):
                anywhere[found] += weight
            for found in self._holding(f'title : "{word}"', places):
                in_title[found] += weight
                named[found] += 1
        hits = []
        for row, title, text in rows:
            share = min(1.0, named[row] / max(1, _length(title, asked)))
            hits.append(Hit(title, text, anywhere[row] / total, in_title[row] / total, share))
        hits.sort(key=lambda hit: (_plain(hit.title) != asked, -hit.score))  # stable: BM25 decides among equals
        return hits

    def _candidates(self) -> list[tuple[int, str, str]]:
        """(place, title, text), best by BM25 first: passages with a rare word, those with a common one too before."""
        rarest_first = sorted(self._frequency, key=lambda word: self._frequency[word])
        rare, total = rarest_first[:1], self._frequency[rarest_first[0]]
        for word in rarest_first[1:]:
            total += self._frequency[word]
            if total > RANKED:
                break
            rare.append(word)
        common = rarest_first[len(rare) :]
        rows = self._best(f"({_any(rare)}) AND ({_any(common)})") if common else []
        if len(rows) < CANDIDATES:
            seen = {row[0] for row in rows}
            rows += [row for row in self._best(_any(rare)) if row[0] not in seen]
        return rows[:CANDIDATES]

    def _best(self, match: str) -> list[tuple[int, str, str]]:
        place_of_last = "SELECT rowid FROM passage WHERE passage MATCH ? LIMIT 1 OFFSET ?"
        (last,) = self._reader.execute(place_of_last, (match, RANKED)).fetchone() or (1 << 62,)
        return self._reader.execute(
            "SELECT rowid, title, text FROM passage WHERE passage MATCH ? AND rowid < ? "
            "ORDER BY bm25(passage, 5.0, 1.0), rowid LIMIT ?",
            (match, last, CANDIDATES),
        ).fetchall()

    def _holding(self, match: str, places: str) -> list[int]:
        """Which of the candidates at `places` match."""
        select = f"SELECT rowid FROM passage WHERE passage MATCH ? AND rowid IN ({places})"
        return [row for (row,) in self._reader.execute(select, (match,))]


def _any(words: list[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" ?.!")


def _length(title: str, query: str) -> int:
    """The number of words that a query has to hold to name a title: `war` does not name `On War`."""
    missing = _STOPWORDS.intersection(_words(title)).difference(_words(query), _ARTICLES)
    return len(missing.union(content_words(title)))


def content_words(text: str) -> list[str]:
    """Lower-case words without doublets, at most 32; function words only where there is nothing else."""
    words = _words(text)
    return ([word for word in words if word not in _STOPWORDS] or words)[:MAX_WORDS]


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text).lower())))
