"""The paper's selector: the action that is barely worth doing, so that rare tools are tried (SPaRK, section 3)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from spark_framework.api import Candidate, Selector, hookimpl

from .choice import eligible, first_by


class RarityFirst(Selector):
    """Takes the viable candidate with the lowest score; ties by fewer uses so far, then by a draw.

    Where none is viable, it takes the best-scoring one, with ties broken in the same way.
    """

    name = "rarity_first"

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
            return scores[k], usage.get(candidates[k].action, 0)

        return first_by(eligible(scores, threshold), rank, rng)


@hookimpl
def spark_selectors() -> list[type[Selector]]:
    return [RarityFirst]
