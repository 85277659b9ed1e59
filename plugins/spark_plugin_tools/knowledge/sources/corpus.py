"""Reads a user's corpus into passages for the search tool: files of any size, one piece at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spark_framework.api import UserError

PASSAGE_CHARACTERS = 600
SUFFIXES = (".txt", ".md", ".jsonl", ".parquet")
_BLOCK = 1 << 16
_ROWS = 256

Passages = Iterator[tuple[str, str]]
Advance = Callable[[float], Any]
"""Called with the number of bytes read since the last call."""


def corpus_files(corpus: Path) -> list[Path]:
    """The files of a corpus, in a fixed order: the file itself, or all below the folder.

    Raises:
        UserError: there is none.
    """
    below = sorted(corpus.rglob("*")) if corpus.is_dir() else [corpus]
    files = [file for file in below if file.suffix in SUFFIXES and file.is_file()]
    if not files:
        raise UserError(
            f"search: there is no {', '.join(SUFFIXES)} file at {corpus}; set `corpus` to one or to a folder"
        )
    return files


def passages(file: Path, advance: Advance) -> Passages:
    """(title, text) of each passage of one file: rows with `text` and maybe `title`, or the paragraphs of plain text.

    Raises:
        UserError: a row cannot be read; the text names file and row.
    """
    read = {".jsonl": _json_rows, ".parquet": _parquet_rows}.get(file.suffix, _paragraphs)
    try:
        for title, text in read(file, advance):
            for part in _parts(_one_line(text)):
                yield _one_line(title), part
    except OSError as error:
        raise UserError(f"cannot read {file} of the search corpus: {error}") from None


def _paragraphs(file: Path, advance: Advance) -> Passages:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            rest = ""
            while block := stream.read(_BLOCK):
                *paragraphs, rest = re.split(r"\n\s*\n", rest + block)
                if len(rest) > _BLOCK:  # no blank line for pages: cut at the last space
                    cut = rest.rfind(" ") + 1 or len(rest)
                    paragraphs.append(rest[:cut])
                    rest = rest[cut:]
                yield from ((file.stem, paragraph) for paragraph in paragraphs)
                advance(len(block.encode()))
            yield file.stem, rest
    except UnicodeDecodeError as error:
        raise UserError(f"{file} of the search corpus is not UTF-8 text: {error.reason}") from None


def _json_rows(file: Path, advance: Advance) -> Passages:
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            advance(len(line))
            if line.strip():
                try:
                    row = json.loads(line.decode("utf-8-sig"))
                except (ValueError, RecursionError):
                    row = None
                yield _row(row, file, f"line {number}")


def _parquet_rows(file: Path, advance: Advance) -> Passages:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, memory_map=True) as table:
            columns = [name for name in ("title", "text") if name in table.schema_arrow.names]
            number = 0
            for group in range(table.num_row_groups):
                for batch in table.iter_batches(_ROWS, row_groups=[group], columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        yield _row(row, file, f"row {number}")
                advance(file.stat().st_size / table.num_row_groups)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{file} of the search corpus is not a readable parquet file: {error}") from None


def _row(row: Any, file: Path, place: str) -> tuple[str, str]:
    """(title, text) of one row; the file's name is the title of rows without one."""
    text, title = (row.get("text"), row.get("title")) if isinstance(row, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(title, str | None):
        raise UserError(
            f"{file} {place} of the search corpus should have a field text, and maybe title, with text in it"
        )
    return title or file.stem, text


def _one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())  # SQLite takes no lone surrogates


def _parts(words: str) -> Iterator[str]:
    """The text in pieces of at most 600 characters, cut between words."""
    start = 0
    while len(words) - start > PASSAGE_CHARACTERS:
        cut = words.rfind(" ", start, start + PASSAGE_CHARACTERS + 1)
        cut = cut if cut > start else start + PASSAGE_CHARACTERS
        yield words[start:cut]
        start = cut + (words[cut] == " ")
    if start < len(words):
        yield words[start:]
