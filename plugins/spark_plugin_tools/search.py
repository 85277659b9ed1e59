"""`search`: the best passages of a corpus."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, ToolError, hookimpl

from . import _knowledge
from ._corpus import SUFFIXES, CorpusError, corpus_files, passages
from ._textindex import TextIndex

LEAST_SCORE = 0.8
"""Passages are shown that score at least this share of the best one."""


class Search(Tool):
    """Searches the user's corpus where one is set, else the articles of the encyclopedia. The index is in memory."""

    name = "search"
    description = "Searches texts and returns the passages that fit a query best."

    class Config(ComponentConfig):
        corpus: Path | None = None
        """A .txt, .md or .jsonl file (fields text, title) or a folder of such files. Default: the packaged facts."""

        @field_validator("corpus")
        @classmethod
        def _has_texts(cls, corpus: Path | None) -> Path | None:
            if corpus is not None and not corpus_files(corpus):
                raise ValueError(f"there is no {', '.join(SUFFIXES)} file at {corpus}")
            return corpus

    class Args(ToolArgs):
        query: str = Field(max_length=200, description="a few words")
        k: int = Field(default=3, ge=1, le=5, description="number of passages")

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._own_index: TextIndex | None = None

    def call(self, args: Any, context: ToolContext) -> str:
        if not args.query.strip():
            raise ToolError("empty query")
        hits = self._index().find(args.query, args.k)
        if not hits:
            raise ToolError(f"nothing found for {args.query[:60]!r}; try other words")
        shown = [hit.text for hit in hits if hit.score >= LEAST_SCORE * hits[0].score]
        return shown[0] if len(shown) == 1 else "\n".join(f"{rank}. {text}" for rank, text in enumerate(shown, 1))

    def _index(self) -> TextIndex:
        if self.config.corpus is None:
            return _knowledge.encyclopedia()
        with self._lock:
            if self._own_index is None:
                try:
                    self._own_index = TextIndex(passages(self.config.corpus))
                except CorpusError as error:
                    raise ToolError(str(error)) from None
            return self._own_index

    def fingerprint(self) -> str:
        """Covers the corpus: its files' contents."""
        digest = hashlib.sha256(super().fingerprint().encode())
        if self.config.corpus is not None:
            for file in corpus_files(self.config.corpus):
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()[:16]


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Search]
