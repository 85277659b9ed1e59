"""A selector without preference: the control for every other."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from spark_framework.api import Candidate, ComponentConfig, Selector, hookimpl

from .choice import eligible


class Uniform(Selector):
    """Draws a candidate, each with the same probability."""

    name = "uniform"

    class Config(ComponentConfig):
        viable_only: bool = True
        """Draw among the viable candidates (where there is none, among the best-scoring); else among all."""

    def select(
        self,
        candidates: Sequence[Candidate],
        scores: Sequence[float],
        *,
        threshold: float,
        usage: Mapping[str, int],
        rng: random.Random,
    ) -> int:
        return rng.choice(eligible(scores, threshold) if self.config.viable_only else range(len(candidates)))


@hookimpl
def spark_selectors() -> list[type[Selector]]:
    return [Uniform]
