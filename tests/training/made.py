"""The trainers that a stage makes, for tests that look at their state."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from spark_framework.training.trainers.base import StageTrainer

T = TypeVar("T", bound=StageTrainer)


def watched(monkeypatch: pytest.MonkeyPatch, kind: type[T]) -> list[T]:
    """The trainers of a kind that are made from now on."""
    made: list[T] = []
    plain = kind.__init__

    def init(self: T, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(kind, "__init__", init)
    return made
