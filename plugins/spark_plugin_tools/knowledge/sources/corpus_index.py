"""The search tool's index of a corpus: one SQLite file, built once, rebuilt when the corpus has changed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from spark_framework.api import UserError

from .corpus import corpus_files, passages
from .database import OnDisk, build, damage, open_to_read
from .text_index import TextIndex, fill

FORMAT = 1  # of the index file


def index_path(corpus: Path, index: Path | None) -> Path:
    """Where the index is: the given path, else next to the corpus."""
    corpus = corpus.absolute()
    return index or corpus.with_name(corpus.name + ".index.sqlite")


def open_index(corpus: Path, index: Path | None) -> TextIndex:
    """The index of a corpus; it is built if it is missing or older than the corpus, with a progress bar on stderr.

    Raises:
        UserError: the corpus or the index cannot be read or written; the text names file and row.
    """
    path = index_path(corpus, index)
    build(path, lambda: _digest_if_fresh(corpus, path) is not None, lambda connection: _fill(connection, corpus))
    return TextIndex(OnDisk(path))


def digest(corpus: Path, index: Path | None) -> str:
    """Changes with the contents of the corpus. Fast if the index is up to date; otherwise all files are read.

    Raises:
        UserError: the corpus cannot be read.
    """
    return _digest_if_fresh(corpus, index_path(corpus, index)) or _digest(corpus_files(corpus))


def _digest_if_fresh(corpus: Path, path: Path) -> str | None:
    """The digest that the index was built with, or None if there is no index or the corpus has changed since."""
    if not path.exists():
        return None
    try:
        with closing(open_to_read(path)) as reader:
            kept = dict(reader.execute("SELECT key, value FROM about").fetchall())
    except sqlite3.DatabaseError as error:
        raise UserError(f"the search index {damage(path, error)}") from None
    return str(kept["digest"]) if kept.get("files") == _state(corpus) else None


def _state(corpus: Path) -> str:
    """What tells whether the corpus has changed: names, sizes and times of its files."""
    files = [(str(file.relative_to(corpus)), file.stat()) for file in corpus_files(corpus)]
    return json.dumps([FORMAT, [(name, info.st_size, info.st_mtime_ns) for name, info in files]])


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256(f"format {FORMAT}".encode())
    for file in files:
        digest.update(_digest_of(file))
    return digest.hexdigest()[:16]


def _digest_of(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise UserError(f"cannot read {file} of the search corpus: {error.strerror}") from None


def _fill(connection: sqlite3.Connection, corpus: Path) -> None:
    from tqdm import tqdm

    state, files = _state(corpus), corpus_files(corpus)
    size = sum(file.stat().st_size for file in files)
    with tqdm(total=size, unit="B", unit_scale=True, desc=f"indexing {corpus.name}", disable=None) as bar:
        fill(connection, _all_passages(files, bar))
    connection.execute("CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT)")
    connection.executemany("INSERT INTO about VALUES (?, ?)", {"files": state, "digest": _digest(files)}.items())


def _all_passages(files: list[Path], bar: Any) -> Iterator[tuple[str, str]]:
    for file in files:
        yield from passages(file, bar.update)
