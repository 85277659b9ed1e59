"""Compares two judges on the same states, and each of them with itself when it is asked again.

Shapes (docs/explanation/notation.md): S states, C candidates, P pairs, M measures, A actions, G groups, E trajectories,
F figures, J passes of judges, X any other axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from ...records import Verdict
from ...stats.agreement import binary_agreement, icc, krippendorff_alpha, quadratic_weighted_kappa
from ...stats.arrays import Bools, Floats, Ints, divide
from ...stats.bootstrap import Interval, bootstrap_mean, bootstrap_states, bootstrap_sums
from ...stats.entropy import conditional_jensen_shannon
from ...stats.intervals import EstimateWithInterval
from ...stats.viability import repeat_sd
from ..replayed_selection import Choices


@dataclass(frozen=True, eq=False)
class JudgingPass:
    """A judge's verdicts on all states, each asked for once. Arrays hold nan where it failed."""

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
        """At which place the judge saw each candidate; nan where it does not say."""
        orders = [None if v is None or not v.order else v.order for v in self.verdicts]
        return _padded([None if order is None else np.argsort(order) for order in orders], self.width)


@dataclass(frozen=True, eq=False)
class JudgeRecord:
    """A judge in a study, with everything it said. The first pass is compared with those of other judges."""

    label: str
    judge: str
    """The component behind the label."""
    oracle: bool
    """It reads the stored answers."""
    passes: tuple[JudgingPass, ...]
    order_S: Floats
    """How often the replayed choice in a state changes when the questions come in another order."""
    requests: frozenset[str]
    """Keys of the API requests behind its verdicts."""

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
    """Which of the pairs are the two judges with themselves, as far as they were asked again."""


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


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: whole questions are drawn, the same ones for every figure."""

    clusters: Sequence[str]
    """The question of each state, or of each trajectory."""
    resamples: int

    def _settings(self) -> tuple[np.random.Generator, int]:
        return np.random.default_rng(0), self.resamples

    def mean(self, values_SF: Floats) -> Interval:
        """Of the mean over states where a value is defined."""
        rng, resamples = self._settings()
        return bootstrap_mean(values_SF, self.clusters, rng=rng, resamples=resamples)

    def sums(self, rows_SF: Floats, statistic: Callable[[Floats], Floats]) -> Interval:
        """Of a statistic of sums over states."""
        rng, resamples = self._settings()
        return bootstrap_sums(rows_SF, self.clusters, statistic, rng=rng, resamples=resamples)

    def states(self, statistic: Callable[[Ints], Floats]) -> Interval:
        """Of any statistic of the drawn states."""
        rng, resamples = self._settings()
        return bootstrap_states(statistic, self.clusters, rng=rng, resamples=resamples)


def mean_figures(
    pairs: Sequence[Pair], measures: Sequence[Measure], bootstrap: Bootstrap
) -> list[list[EstimateWithInterval]]:
    """For each pair the means of some measures, marked where they differ from the noise."""
    values_SPM = np.stack([[side_mean(m, pair) for m in measures] for pair in pairs]).transpose(2, 0, 1)
    interval = bootstrap.mean(_beside_noise(pairs, values_SPM))
    return _marked(interval, [m.sign for m in measures])


def side_mean(measure: Measure, pair: Pair) -> Floats:
    """A measure of a pair, the mean of its sides where they are defined."""
    values_XS = np.stack([measure.of(a, b) for a, b in pair.sides])
    known_XS = ~np.isnan(values_XS)
    return divide(np.where(known_XS, values_XS, 0.0).sum(axis=0), known_XS.sum(axis=0))


POOLED = (
    "alpha (interval)", "alpha (ordinal)", "ICC (agreement)", "ICC (consistency)", "quadratic kappa",
    "process_ok kappa",
)  # fmt: skip
"""Figures that have no value in a single state."""


def pooled_figures(pairs: Sequence[Pair], bootstrap: Bootstrap) -> list[list[EstimateWithInterval]]:
    """For each pair the figures of `POOLED`, marked where they differ from the noise."""
    shared = [_judged_by_all(pair, pairs) for pair in pairs]

    def statistic(states: Ints) -> Floats:
        figures_PM = np.array([_pooled(pair, states) for pair in pairs])
        (beside_3PM,) = _beside_noise(pairs, figures_PM[None])
        for p, pair in enumerate(pairs):
            if not shared[p].all():  # a judge and its noise have to be compared on the same states
                rest = states[shared[p][states]]
                for k, noise in enumerate(pair.noise, start=1):
                    beside_3PM[k, p] = np.subtract(_pooled(pair, rest), _pooled(pairs[noise], rest))
        return np.asarray(beside_3PM)

    return _marked(bootstrap.states(statistic), [-1] * len(POOLED))


def mix_figures(
    pairs: Sequence[Pair], weights: Callable[[JudgingPass], Floats], group_S: Ints, bootstrap: Bootstrap
) -> list[EstimateWithInterval]:
    """For each pair the Jensen-Shannon divergence in bits of what `weights` counts, within groups.

    Args:
        weights: of a pass, one row a state and one column an action.
        group_S: each state's group, from 0.
    """
    member_SG = np.eye(int(group_S.max()) + 1)[group_S]
    figures = []
    for pair in pairs:
        compared = [pair.sides, *(pairs[k].sides for k in pair.noise)]
        passes = list(
            {id(judging_pass): judging_pass for sides in compared for side in sides for judging_pass in side}.values()
        )
        place = {id(judging_pass): t for t, judging_pass in enumerate(passes)}
        index = [[(place[id(a)], place[id(b)]) for a, b in sides] for sides in compared]
        of_SG = member_SG * _judged_by_all(pair, pairs)[:, None]
        rows_SJGA = np.stack([of_SG[:, :, None] * weights(judging_pass)[:, None, :] for judging_pass in passes], axis=1)
        rows_SF = np.concatenate([rows_SJGA.reshape(len(group_S), -1), of_SG], axis=1)
        interval = bootstrap.sums(rows_SF, _divergence(rows_SJGA.shape[1:], index))
        figures += [row[0] for row in _marked(Interval(*(part[:, None, None] for part in interval)), [1])]
    return figures


def _divergence(shape: tuple[int, ...], index: Sequence[Sequence[tuple[int, int]]]) -> Callable[[Floats], Floats]:
    """The divergence of the first sides, and what is left of it without that of each of the others."""

    def statistic(sums_XF: Floats) -> Floats:
        groups = shape[1]
        sums_XJGA, sizes_XG = sums_XF[:, :-groups].reshape(-1, *shape), sums_XF[:, -groups:]
        value_X, *noise = (
            np.mean([conditional_jensen_shannon(sums_XJGA[:, i], sums_XJGA[:, j], sizes_XG) for i, j in sides], axis=0)
            for sides in index
        )
        return np.stack([value_X, *(value_X - noise_X for noise_X in noise)], axis=1)

    return statistic


def _judged_by_all(pair: Pair, pairs: Sequence[Pair]) -> Bools:
    """The states on which neither a judge of the pair failed nor one of its repeats, shape (S,)."""
    sides = [*pair.sides, *(side for k in pair.noise for side in pairs[k].sides)]
    return np.asarray(
        np.all([~np.isnan(judging_pass.scores_SC).all(axis=1) for side in sides for judging_pass in side], axis=0)
    )


def _pooled(pair: Pair, states: Ints) -> tuple[float, ...]:
    a_SC, b_SC, ok_a_SC, ok_b_SC = (
        np.concatenate([getattr(side[k], name)[states] for side in pair.sides])
        for name in ("scores_SC", "ok_SC") for k in (0, 1)
    )  # fmt: skip
    both_SJC = np.stack([a_SC, b_SC], axis=1)
    return (
        krippendorff_alpha(both_SJC), krippendorff_alpha(both_SJC, "ordinal"), *icc(both_SJC),
        quadratic_weighted_kappa(a_SC, b_SC), binary_agreement(ok_a_SC, ok_b_SC).kappa,
    )  # fmt: skip


def _beside_noise(pairs: Sequence[Pair], values_SPM: Floats) -> Floats:
    """The values, then their differences from the noise of the first and of the second judge, shape (S, 3, P, M); nan
    where a judge was asked once."""
    beside_S3PM = np.full((len(values_SPM), 3, *values_SPM.shape[1:]), np.nan)
    beside_S3PM[:, 0] = values_SPM
    for p, pair in enumerate(pairs):
        for k, noise in enumerate(pair.noise, start=1):
            beside_S3PM[:, k, p] = values_SPM[:, p] - values_SPM[:, noise]
    return beside_S3PM


def _marked(interval: Interval, signs: Sequence[int]) -> list[list[EstimateWithInterval]]:
    """Estimates from intervals of shape (X, P, M): the values, then their differences from noise."""
    return [
        [
            interval.at(0, p, m, beyond_noise=exceeds_noise(interval.low[1:, p, m], interval.high[1:, p, m], sign))
            for m, sign in enumerate(signs)
        ]
        for p in range(interval.value.shape[1])
    ]


def exceeds_noise(low_X: Floats, high_X: Floats, sign: int = 1) -> bool | None:
    """Whether all differences from noise, as far as they are known, lie on one side of 0: above it for a `sign` of 1,
    below it for -1, either for 0. None where none is known."""
    known_X = ~np.isnan(low_X)
    if not known_X.any():
        return None
    above, below = bool((low_X[known_X] > 0).all()), bool((high_X[known_X] < 0).all())
    return (above and sign >= 0) or (below and sign <= 0)


def _padded(rows: Sequence[Sequence[float] | Ints | None], width: int) -> Floats:
    padded = np.full((len(rows), width), np.nan)
    for i, row in enumerate(rows):
        if row is not None:
            padded[i, : len(row)] = row
    return padded
