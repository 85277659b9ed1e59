"""Reads WordNet's database files (wndb(5WN)) into the tables that look-ups read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from spark_framework.api import UserError

PARTS_OF_SPEECH = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
"""How the files call them, and how people do; in the order of an entry."""
FILES = tuple(f"{kind}.{part}" for part in PARTS_OF_SPEECH for kind in ("data", "index"))
"""Required files. The lists of irregular forms, `noun.exc` and so on, may be absent."""

MAX_SENSES = 4  # of each part of speech, the most frequent ones
MAX_WORDS = 4  # of each relation

_LETTERS = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
_RELATIONS = {"@": "kind of", "@i": "instance of", "!": "opposite", "#p": "part of", "#m": "member of"}
_TABLES = """
CREATE TABLE entry (lemma TEXT, place INTEGER, part TEXT, text TEXT, PRIMARY KEY (lemma, place)) WITHOUT ROWID;
CREATE TABLE exception (form TEXT, part TEXT, base TEXT);
CREATE INDEX exception_by_form ON exception (form, part);
"""


@dataclass(frozen=True, slots=True)
class Synset:
    """Words that share one meaning."""

    words: list[str]
    definition: str
    relations: list[tuple[str, tuple[str, str], int, int]]
    """(relation, key of the other synset, number of our word, number of theirs); words count from 1, 0 means all."""


def fill(connection: sqlite3.Connection, folder: Traversable) -> None:
    """Write all entries.

    Raises:
        UserError: a line cannot be read; the text names file and line.
    """
    synsets = {key: synset for part in PARTS_OF_SPEECH for key, synset in _synsets(folder, part)}
    connection.executescript(_TABLES)
    for place, part in enumerate(PARTS_OF_SPEECH):
        entries = ((lemma, place, part, text) for lemma, text in _entries(folder, part, synsets))
        connection.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?)", entries)
        connection.executemany("INSERT INTO exception VALUES (?, ?, ?)", _exceptions(folder, part))


def _lines(folder: Traversable, name: str) -> Iterator[tuple[str, str]]:
    """(place for an error, line) of one file without its licence, which is indented by two spaces."""
    with (folder / name).open("r", encoding="utf-8") as stream:
        try:
            for number, line in enumerate(stream, 1):
                if line.strip() and not line.startswith("  "):
                    yield f"{folder / name} line {number}", line.rstrip()
        except UnicodeDecodeError as error:
            raise UserError(f"{folder / name} is not a WordNet file: {error}") from None


def _synsets(folder: Traversable, part: str) -> Iterator[tuple[tuple[str, str], Synset]]:
    for place, line in _lines(folder, f"data.{part}"):
        try:
            yield (part, line[:8]), _synset(line)
        except (ValueError, IndexError, KeyError):
            raise UserError(f"{place} is not a line of WordNet's data files") from None


def _synset(line: str) -> Synset:
    """`offset file type count (word id)* count (symbol offset type source-target)* … | definition; "example"`."""
    fields, _, gloss = line.partition("|")
    parts = fields.split()
    count = int(parts[3], 16)
    words = [_word(word) for word in parts[4 : 4 + 2 * count : 2]]
    position = 4 + 2 * count
    relations = []
    for number in range(int(parts[position])):
        symbol, offset, kind, ends = parts[position + 1 + 4 * number : position + 5 + 4 * number]
        if symbol in _RELATIONS:
            relations.append((_RELATIONS[symbol], (_LETTERS[kind], offset), int(ends[:2], 16), int(ends[2:], 16)))
    return Synset(words, gloss.partition('; "')[0].strip().rstrip(";"), relations)


def _word(text: str) -> str:
    """`physical_entity`, and an adjective without its marker: `galore(ip)`."""
    return text.partition("(")[0].replace("_", " ")


def _entries(folder: Traversable, part: str, synsets: dict[tuple[str, str], Synset]) -> Iterator[tuple[str, str]]:
    """(lemma, text) of the index: `lemma pos count relations… senses tagged offset offset …`."""
    for place, line in _lines(folder, f"index.{part}"):
        fields = line.split()
        try:
            found = [synsets[part, offset] for offset in fields[-int(fields[2]) :]]
        except (ValueError, IndexError, KeyError):
            raise UserError(
                f"{place} is not a line of WordNet's index, or of another version than data.{part}"
            ) from None
        lemma = fields[0].replace("_", " ")
        senses = [_sense(lemma, synset, synsets) for synset in found[:MAX_SENSES]]
        if len(senses) > 1:
            senses = [f"{number}. {sense}" for number, sense in enumerate(senses, 1)]
        title = next((word for word in found[0].words if word.lower() == lemma), lemma)  # DNA, Adam Smith
        yield lemma, f"{title} ({PARTS_OF_SPEECH[part]}): {'; '.join(senses)}."


def _sense(lemma: str, synset: Synset, synsets: dict[tuple[str, str], Synset]) -> str:
    """`definition (synonyms: …; kind of: …; opposite: …; part of: …)`."""
    related: dict[str, list[str]] = {"synonyms": [word for word in synset.words if word.lower() != lemma]}
    for relation, key, ours, theirs in synset.relations:
        if ours == 0:
            related.setdefault(relation, []).append(synsets[key].words[0])
        elif synset.words[ours - 1].lower() == lemma:
            related.setdefault(relation, []).append(synsets[key].words[theirs - 1])
    shown = [f"{name}: {', '.join(words[:MAX_WORDS])}" for name, words in related.items() if words]
    return f"{synset.definition} ({'; '.join(shown)})" if shown else synset.definition


def _exceptions(folder: Traversable, part: str) -> Iterator[tuple[str, str, str]]:
    """(irregular form, part of speech, base): `mice mouse`."""
    if (folder / f"{part}.exc").is_file():
        for _, line in _lines(folder, f"{part}.exc"):
            form, *bases = map(_word, line.split())
            yield from ((form, part, base) for base in bases)
