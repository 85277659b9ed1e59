"""What the knowledge tools share: they ask sources one after the other, and the first that has an answer gives it."""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from spark_framework.api import ComponentConfig, Tool, ToolError, UserError

Ask = Callable[..., str | None]
"""The answer to a query, or None. A ToolError too says that there is none."""


def _nothing(*query: Any) -> None:
    """Never has an answer, and nothing to release."""


@dataclass(frozen=True)
class Source:
    """One source, ready for use. Both ways to ask it are thread-safe."""

    strict: Ask = _nothing
    """Gives what was asked for and nothing else: an article with this title. Asked of all sources first."""
    loose: Ask = _nothing
    """Gives what comes near. Asked where no source had a strict answer."""
    close: Callable[[], None] = _nothing


class SourcedTool(Tool):
    """A tool whose settings have `sources`. They are opened together, by `prepare` or the first call."""

    ONLINE: ClassVar[frozenset[str]]
    """The sources that need the network."""
    PLACES: ClassVar[frozenset[str]]
    """Settings that only say where something is; what is there counts."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._opened: list[Source] | None = None

    @abstractmethod
    def source_names(self) -> Sequence[str]:
        """The sources to ask, in order: those of the settings, else what is there."""

    @abstractmethod
    def open_source(self, name: str) -> Source:
        """Make a source ready.

        Raises:
            UserError: it is not there; the text says what to install or to set.
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
            ToolError: there is none. One that may pass ends the search: what a later source says would hide it.
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
        """Covers the data of the offline sources, wherever they are: other data has another fingerprint. How patiently
        and through which proxy online sources are asked is not covered; it changes no answer."""
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


def one_line(text: str, what: str) -> str:
    """The argument of a call on one line, without lone surrogates.

    Raises:
        ToolError: it is empty.
    """
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    if not line:
        raise ToolError(f"empty {what}")
    return line
