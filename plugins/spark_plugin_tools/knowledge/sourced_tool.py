"""Base class of the knowledge tools: sources are queried in order, and the first answer counts."""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from spark_framework.api import ComponentConfig, Tool, ToolError, UserError

Ask = Callable[..., str | None]
"""The answer to a query, or None. A ToolError, too, means that there is none."""


def _nothing(*query: Any) -> None:
    """Never has an answer; also a `close` with nothing to release."""


@dataclass(frozen=True)
class Source:
    """One source, ready for use. Both look-ups are thread-safe."""

    strict: Ask = _nothing
    """Exact matches only: an article with this title. All sources are queried strictly first."""
    loose: Ask = _nothing
    """Near matches. Queried if no source had an exact one."""
    close: Callable[[], None] = _nothing


class SourcedTool(Tool):
    """A tool whose settings have `sources`. They are opened together, by `prepare` or the first call."""

    ONLINE: ClassVar[frozenset[str]]
    """The sources that need the network."""
    PLACES: ClassVar[frozenset[str]]
    """Settings that only name a location; the fingerprint covers the content instead."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._opened: list[Source] | None = None

    @abstractmethod
    def source_names(self) -> Sequence[str]:
        """The sources to query, in order: those of the settings, else those available."""

    @abstractmethod
    def open_source(self, name: str) -> Source:
        """Make a source ready.

        Raises:
            UserError: it is missing; the text says what to install or set.
        """

    @abstractmethod
    def digest_source(self, name: str) -> str:
        """Changes with the data of an offline source. Raises like `open_source`."""

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"network"}) if self.ONLINE & set(self.config.sources) else frozenset()

    def prepare(self) -> None:
        self._sources()

    def _sources(self) -> list[Source]:
        with self._lock:
            if self._opened is None:
                self._opened = [self.open_source(name) for name in self.source_names()]
            return self._opened

    def ask(self, *query: Any, nothing: str) -> str:
        """The first answer.

        Raises:
            ToolError: there is none. A transient error ends the search: a later source's answer would hide it.
        """
        try:
            sources = self._sources()
        except UserError as error:
            raise ToolError(str(error), transient=True) from None
        failure = ToolError(nothing)
        for ask in [source.strict for source in sources] + [source.loose for source in sources]:
            try:
                answer = ask(*query)
            except ToolError as error:
                if error.transient:
                    raise
                failure = error
            else:
                if answer is not None:
                    return answer
        raise failure

    def fingerprint(self) -> str:
        """Covers the data of the offline sources, not their location. Retry and proxy settings of online sources are
        not covered: they change no answer."""
        settings = self.config.model_dump_json(exclude=set(self.PLACES | {"sources", "online"}))
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        names = self.source_names()
        sources = [name if name in self.ONLINE else f"{name} {self.digest_source(name)}" for name in names]
        parts = [kind, self.name, settings, *sources]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
        for source in opened or ():
            source.close()


def argument_line(text: str, what: str) -> str:
    """The argument of a call on one line, without lone surrogates.

    Raises:
        ToolError: it is empty.
    """
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    if not line:
        raise ToolError(f"empty {what}")
    return line
