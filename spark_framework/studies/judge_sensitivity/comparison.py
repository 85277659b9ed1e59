"""The judges of a study and the pairs that are compared: two judges, or a judge and its own repeats.

Shapes (docs/explanation/notation.md): S states, R passes, C candidates, E trajectories, X sides of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from ...records import Verdict
from ...stats.arrays import Floats, Ints, divide
from ...stats.viability import repeat_sd
from ..replayed_selection import Choices


@dataclass(frozen=True, eq=False)
class JudgingPass:
    """A judge's verdicts on all states, one each. Arrays hold nan where it failed."""

    label: str
    repeat: int
    verdicts: tuple[Verdict | None, ...]
    width: int
    """C: the most candidates of any state."""
    frozen: Choices
    """What the run's selector chooses from its scores with the run's usage counters."""
    replayed: Choices
    """The same with counters of its own."""
    returns_E: Floats
    """Sum of the step rewards of each stored trajectory under its verdicts; nan where one of them is missing."""

    @cached_property
    def scores_SC(self) -> Floats:
        return _padded([None if v is None else v.scores for v in self.verdicts], self.width)

    @cached_property
    def ok_SC(self) -> Floats:
        """process_ok: 1 and 0."""
        return _padded([None if v is None else v.process_ok for v in self.verdicts], self.width)

    @cached_property
    def place_SC(self) -> Floats:
        """The place at which the judge saw each candidate; nan where unknown."""
        orders = [None if v is None or not v.order else v.order for v in self.verdicts]
        return _padded([None if order is None else np.argsort(order) for order in orders], self.width)


@dataclass(frozen=True, eq=False)
class JudgeRecord:
    """A judge in a study, with all its passes. The first one is compared with those of other judges."""

    label: str
    judge: str
    """Name of the component with this label."""
    oracle: bool
    """It reads the stored answers."""
    passes: tuple[JudgingPass, ...]
    order_S: Floats
    """How often the replayed choice in a state changes when the questions come in another order."""
    requests: frozenset[str]
    """Keys of the API requests for its verdicts."""

    @cached_property
    def noise(self) -> float:
        """Standard deviation of a score when the judge is asked again, in points; nan where it was asked once."""
        return repeat_sd(self.stacked("scores_SC")) if len(self.passes) > 1 else np.nan

    def stacked(self, name: str) -> Floats:
        """An array of all passes, shape (S, R, C)."""
        return np.stack([getattr(judging_pass, name) for judging_pass in self.passes], axis=1)


@dataclass(frozen=True)
class Pair:
    """Two judges, or a judge and itself. `sides` are the passes that are compared; several count as one comparison."""

    a: str
    b: str
    sides: tuple[tuple[JudgingPass, JudgingPass], ...]
    noise: tuple[int, ...] = ()
    """Which of the pairs are the two judges with themselves, for those that were asked again."""


@dataclass(frozen=True)
class Measure:
    """A figure of two passes."""

    name: str
    of: Callable[[JudgingPass, JudgingPass], Floats]
    """One value a state (or a trajectory); nan where it is not defined."""
    sign: int
    """1 where more means less agreement, -1 where less does, 0 where any change does."""


def pairs_of(records: Sequence[JudgeRecord]) -> list[Pair]:
    """Every judge that was asked again with itself, then every two judges by their first passes."""
    repeated = [record for record in records if len(record.passes) > 1]
    place = {record.label: k for k, record in enumerate(repeated)}
    pairs = [Pair(v.label, v.label, tuple(combinations(v.passes, 2))) for v in repeated]
    for a, b in combinations(records, 2):
        noise = tuple(place[record.label] for record in (a, b) if record.label in place)
        pairs.append(Pair(a.label, b.label, ((a.passes[0], b.passes[0]),), noise))
    return pairs


def side_mean(measure: Measure, pair: Pair) -> Floats:
    """A measure of a pair, the mean of its sides where they are defined."""
    values_XS = np.stack([measure.of(a, b) for a, b in pair.sides])
    known_XS = ~np.isnan(values_XS)
    return divide(np.where(known_XS, values_XS, 0.0).sum(axis=0), known_XS.sum(axis=0))


def _padded(rows: Sequence[Sequence[float] | Ints | None], width: int) -> Floats:
    padded = np.full((len(rows), width), np.nan)
    for i, row in enumerate(rows):
        if row is not None:
            padded[i, : len(row)] = row
    return padded
