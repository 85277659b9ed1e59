"""A selector that evens out how often the tools are used."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from spark_framework.api import Candidate, Selector, hookimpl

from .choice import eligible, first_by


class LeastUsed(Selector):
    """Takes the viable candidate whose action was used least; ties by lower score, then by a draw.

    Where none is viable, it takes the best-scoring one, with ties broken in the same way.
    """

    name = "least_used"

    def select(
        self,
        candidates: Sequence[Candidate],
        scores: Sequence[float],
        *,
        threshold: float,
        usage: Mapping[str, int],
        rng: random.Random,
    ) -> int:
        def rank(k: int) -> tuple[int, float]:
            return usage.get(candidates[k].action, 0), scores[k]

        return first_by(eligible(scores, threshold), rank, rng)


@hookimpl
def spark_selectors() -> list[type[Selector]]:
    return [LeastUsed]
