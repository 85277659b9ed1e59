"""How judges are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Terms:
    """How judges are asked. The meaning of each is in `config.JudgingSection`."""

    mode: Literal["use", "refresh", "only"] = "use"
    concurrency: int = 8
    attempts: int = 6
    budget: float | None = None
    batch: bool = False
    batch_poll: float = 30.0
