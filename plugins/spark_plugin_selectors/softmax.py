"""A selector between greedy and uniform."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from pydantic import Field

from spark_framework.api import Candidate, ComponentConfig, Selector, hookimpl

from .choice import eligible


class Softmax(Selector):
    """Draws a viable candidate with probability proportional to exp(score / temperature).

    Where none is viable, it draws among the best-scoring ones.
    """

    name = "softmax"

    class Config(ComponentConfig):
        temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
        """In points of score: near 0 is greedy, large is uniform."""

    def select(
        self,
        candidates: Sequence[Candidate],
        scores: Sequence[float],
        *,
        threshold: float,
        usage: Mapping[str, int],
        rng: random.Random,
    ) -> int:
        choices = eligible(scores, threshold)
        best = max(scores)
        weights = [math.exp((scores[k] - best) / self.config.temperature) for k in choices]
        return rng.choices(choices, weights)[0]


@hookimpl
def spark_selectors() -> list[type[Selector]]:
    return [Softmax]
