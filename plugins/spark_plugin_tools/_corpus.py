"""Reads a user's corpus into passages for the search tool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

PASSAGE_CHARACTERS = 600
SUFFIXES = (".txt", ".md", ".jsonl")


class CorpusError(ValueError):
    """A file of the corpus cannot be read. The message names it."""


def corpus_files(path: Path) -> list[Path]:
    """The text files of a corpus, in a fixed order: the file itself, or all below the folder."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())


def passages(path: Path) -> Iterator[tuple[str, str]]:
    """(title, text) of each passage: JSON lines with `text` and perhaps `title`, or paragraphs of plain text."""
    for file in corpus_files(path):
        try:
            yield from _lines(file) if file.suffix == ".jsonl" else _paragraphs(file)
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"cannot read {file.name} of the search corpus: {error}") from None


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                title, text = str(row.get("title", file.stem)), str(row["text"])
            except (ValueError, KeyError, AttributeError):
                raise CorpusError(f"{file.name} line {number} is not a JSON object with the field text") from None
            for part in _parts(text):
                yield title, part


def _paragraphs(file: Path) -> Iterator[tuple[str, str]]:
    for paragraph in file.read_text(encoding="utf-8").split("\n\n"):
        for part in _parts(paragraph):
            yield file.stem, part


def _parts(text: str) -> Iterator[str]:
    """The text in pieces of at most 600 characters, cut between words."""
    words = " ".join(text.split())
    while len(words) > PASSAGE_CHARACTERS:
        cut = words.rfind(" ", 0, PASSAGE_CHARACTERS)
        cut = cut if cut > 0 else PASSAGE_CHARACTERS
        yield words[:cut]
        words = words[cut:].strip()
    if words:
        yield words
