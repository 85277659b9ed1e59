"""The greedy selector: quality only, the baseline for diversity."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from spark_framework.api import Candidate, Selector, hookimpl

from .choice import first_by


class TopScore(Selector):
    """Takes the candidate with the highest score; ties by fewer uses so far, then by a draw."""

    name = "top_score"

    def select(
        self,
        candidates: Sequence[Candidate],
        scores: Sequence[float],
        *,
        threshold: float,
        usage: Mapping[str, int],
        rng: random.Random,
    ) -> int:
        def rank(k: int) -> tuple[float, int]:
            return -scores[k], usage.get(candidates[k].action, 0)

        return first_by(range(len(candidates)), rank, rng)


@hookimpl
def spark_selectors() -> list[type[Selector]]:
    return [TopScore]
