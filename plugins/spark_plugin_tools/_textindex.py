"""Full-text search over short titled passages: SQLite FTS5 in memory, read from many threads."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

MAX_WORDS = 32
CANDIDATES = 50  # best by BM25; only these are looked at more closely

_FUNCTION_WORDS = (
    "a about an and are as at by define definition did do does find for from give had has have how in is it its me "
    "mean meaning of on or s tell that the these this those to was were what when where which who whom whose why with"
)
_STOPWORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    text: str
    coverage: float
    """Share of the query that the passage holds, from 0 to 1; rare words count more."""
    score: float
    """Coverage, and as much again where the query names the whole title."""
    is_named: bool
    """Every word of the title is in the query."""


class TextIndex:
    """Passages in the order given; equal ones rank in that order."""

    def __init__(self, passages: Iterable[tuple[str, str]]) -> None:
        self._lock = Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(
            "CREATE VIRTUAL TABLE passage USING fts5(title, text, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        self._database.executemany("INSERT INTO passage VALUES (?, ?)", passages)
        self._database.commit()
        self._size = int(self._database.execute("SELECT count(*) FROM passage").fetchone()[0])

    def find(self, query: str, k: int) -> list[Hit]:
        """The k best passages that hold any word of the query; empty where none does."""
        words = content_words(query)
        if not words:
            return []
        with self._lock:
            return self._find(query, words, k)

    def _find(self, query: str, words: list[str], k: int) -> list[Hit]:
        any_word = " OR ".join(f'"{word}"' for word in words)
        rows = self._database.execute(
            "SELECT rowid, title, text FROM passage WHERE passage MATCH ? "
            "ORDER BY bm25(passage, 5.0, 1.0), rowid LIMIT ?",
            (any_word, CANDIDATES),
        ).fetchall()
        places = ",".join(str(int(row[0])) for row in rows)
        total = 0.0
        anywhere = dict.fromkeys((row[0] for row in rows), 0.0)
        in_title = dict(anywhere)
        named = dict.fromkeys(anywhere, 0)
        for word in words:
            weight = self._rarity(word)
            total += weight
            for found in self._holding(f'"{word}"', places):
                anywhere[found] += weight
            for found in self._holding(f'title : "{word}"', places):
                in_title[found] += weight
                named[found] += 1
        hits = []
        for row, title, text in rows:
            complete = min(1.0, named[row] / max(1, len(content_words(title))))
            coverage = anywhere[row] / total
            hits.append(Hit(title, text, coverage, coverage + complete * in_title[row] / total, complete == 1))
        exact = query.strip(" ?.!").lower()
        hits.sort(key=lambda hit: (hit.title.lower() != exact, -hit.score))  # stable: BM25 decides among equals
        return hits[:k]

    def _rarity(self, word: str) -> float:
        """How much a word says: the fewer passages hold it, the more."""
        select = "SELECT count(*) FROM passage WHERE passage MATCH ?"
        (count,) = self._database.execute(select, (f'"{word}"',)).fetchone()
        return math.log(1 + self._size / (count or 0.5))

    def _holding(self, match: str, places: str) -> list[int]:
        """Which of the candidates at `places` match."""
        select = f"SELECT rowid FROM passage WHERE passage MATCH ? AND rowid IN ({places})"
        return [row for (row,) in self._database.execute(select, (match,))]


def content_words(text: str) -> list[str]:
    """Lower-case words without doublets, at most 32; function words only where there is nothing else."""
    words = list(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))
    return ([word for word in words if word not in _STOPWORDS] or words)[:MAX_WORDS]
