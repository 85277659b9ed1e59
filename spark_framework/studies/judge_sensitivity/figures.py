"""Figures of pairs of judges, with bootstrap intervals and a mark where they differ from the judges' noise.

Shapes (docs/explanation/notation.md): S states, P pairs, M measures, A actions, J passes, G groups, F figures,
X resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...stats.agreement import binary_agreement, icc, krippendorff_alpha, quadratic_weighted_kappa
from ...stats.arrays import Bools, Floats, Ints
from ...stats.bootstrap import Interval, bootstrap_mean, bootstrap_states, bootstrap_sums
from ...stats.entropy import conditional_jensen_shannon
from ...stats.intervals import EstimateWithInterval
from .comparison import JudgingPass, Measure, Pair, side_mean


@dataclass(frozen=True)
class Bootstrap:
    """Settings of intervals: questions are resampled, with the same draws for every figure."""

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
    interval = bootstrap.mean(_with_excess(pairs, values_SPM))
    return _marked(interval, [m.sign for m in measures])


POOLED = (
    "alpha (interval)", "alpha (ordinal)", "ICC (agreement)", "ICC (consistency)", "quadratic kappa",
    "process_ok kappa",
)  # fmt: skip
"""Figures that are not defined for a single state."""


def pooled_figures(pairs: Sequence[Pair], bootstrap: Bootstrap) -> list[list[EstimateWithInterval]]:
    """For each pair the figures of `POOLED`, marked where they differ from the noise."""
    shared = [_judged_by_all(pair, pairs) for pair in pairs]

    def statistic(states: Ints) -> Floats:
        figures_PM = np.array([_pooled(pair, states) for pair in pairs])
        (excess_3PM,) = _with_excess(pairs, figures_PM[None])
        for p, pair in enumerate(pairs):
            if not shared[p].all():  # compare a judge and its noise on the same states
                rest = states[shared[p][states]]
                for k, noise in enumerate(pair.noise, start=1):
                    excess_3PM[k, p] = np.subtract(_pooled(pair, rest), _pooled(pairs[noise], rest))
        return np.asarray(excess_3PM)

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
    """The divergence of the first sides, and its excess over that of each of the others."""

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


def _with_excess(pairs: Sequence[Pair], values_SPM: Floats) -> Floats:
    """The values, then their excess over the noise of the first and of the second judge, shape (S, 3, P, M); nan
    where a judge was asked once."""
    excess_S3PM = np.full((len(values_SPM), 3, *values_SPM.shape[1:]), np.nan)
    excess_S3PM[:, 0] = values_SPM
    for p, pair in enumerate(pairs):
        for k, noise in enumerate(pair.noise, start=1):
            excess_S3PM[:, k, p] = values_SPM[:, p] - values_SPM[:, noise]
    return excess_S3PM


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
