"""How far judges agree on scores: ranks within a state, reliability over all states, and how each judge scores.

Shapes (docs/explanation/notation.md): S states, J judges, C candidates, U = S·C scored units, L different scores, X any
other axis. A missing score is nan, and so is a figure that is not defined (one judge, nothing shared, all ties, no
variance); it is never 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Ints, divide, shared
from .entropy import entropy

LEVELS = 11
"""Integer scores from 0 to 10."""
_ROUND_OFF = 1e-24
"""A mean square below this share of the scores' own mean square is round-off, not variance."""


class StateMean(NamedTuple):
    """A figure of single states, averaged over the states in which it is defined."""

    mean: float
    undefined: float
    """Share of states in which it is not defined; nan without states."""


class Icc(NamedTuple):
    """Intraclass correlations of single ratings. Their gap is leniency: judges who rank alike at different levels."""

    agreement: float
    """ICC(A,1): the same numbers."""
    consistency: float
    """ICC(C,1): the same numbers but for a constant of each judge."""


class BinaryAgreement(NamedTuple):
    """Agreement of two judges on a yes or no. Kappa falls as the base rates become extreme: read them together."""

    kappa: float
    agreement: float
    rate_a: float
    rate_b: float


class ScoreProfile(NamedTuple):
    """Summary of one judge's scores."""

    n: int
    mean: float
    sd: float
    """Sample standard deviation (n - 1)."""
    entropy: float
    """Of the histogram, in bits: 0 for a judge who gives one score only, log2(11) = 3.46 for one who uses all alike."""
    histogram: Ints
    """Scores at each level 0 … 10; a score in between counts at the nearest level, halves upwards."""


def over_states(values_S: ArrayLike) -> StateMean:
    """Mean over the states where a per-state figure is defined, and the share of states where it is not (nan)."""
    values_S = np.asarray(values_S, dtype=np.float64)
    known_S = ~np.isnan(values_S)
    mean = values_S[known_S].mean() if known_S.any() else np.nan
    return StateMean(float(mean), 1 - float(known_S.mean()) if len(values_S) else np.nan)


def spearman(a_SC: ArrayLike, b_SC: ArrayLike) -> Floats:
    """Spearman's rho of two judges in each state, shape (S,), tied scores at their mid-rank (Spearman, 1904).

    nan in a state where fewer than two candidates are shared, or where one judge scores all of them alike.
    """
    a_SCC, b_SCC = _signs(a_SC, b_SC)
    return _correlation(a_SCC.sum(axis=2), b_SCC.sum(axis=2))  # candidates below minus above: a centred mid-rank, twice


def kendall(a_SC: ArrayLike, b_SC: ArrayLike) -> Floats:
    """Kendall's tau-b of two judges in each state, shape (S,), nan in the same states as `spearman` (Kendall, 1945).

    (concordant - discordant pairs) / sqrt(pairs not tied by A · pairs not tied by B).
    """
    return _correlation(*_signs(a_SC, b_SC))


def krippendorff_alpha(scores_SJC: ArrayLike, level: Literal["interval", "ordinal"] = "interval") -> float:
    """Krippendorff's alpha over all judges: 1 - observed / expected disagreement (Krippendorff, 2004, chapter 11).

    A unit is a candidate in a state. Pairs in a unit of m >= 2 scores weigh 1 / (m - 1); units of fewer do not count.
    Squared distances of pairs add up to sums of squares, so no pair and no coincidence matrix is built; the ordinal
    distance is the squared distance of mid-ranks among all scores that count.

    1 is perfect, 0 is chance, disagreement is negative; nan where no unit has two scores or all scores are equal.
    """
    scores_UJ = _units(scores_SJC)
    scores_UJ = scores_UJ[(~np.isnan(scores_UJ)).sum(axis=1) >= 2]
    known_UJ = ~np.isnan(scores_UJ)
    if level == "ordinal":
        scores_UJ[known_UJ] = _mid_ranks(scores_UJ[known_UJ])
    values_X = scores_UJ[known_UJ]
    if not len(values_X):
        return np.nan
    m_U = known_UJ.sum(axis=1)
    observed = (m_U**2 / (m_U - 1) * np.nanvar(scores_UJ, axis=1)).sum() / len(values_X)
    return 1.0 - _quotient(observed, values_X.var(ddof=1), values_X)


def icc(scores_SJC: ArrayLike) -> Icc:
    """ICC(A,1) and ICC(C,1) over all judges, two-way model, from mean squares (McGraw & Wong, 1996).

    Only units that every judge scored count. Both are nan with fewer than two judges or units, and where the scores do
    not vary; with judges who are each constant, consistency is nan and agreement 0 (all variance is between judges).
    """
    scores_UJ = _units(scores_SJC)
    scores_UJ = scores_UJ[~np.isnan(scores_UJ).any(axis=1)]
    n, k = scores_UJ.shape
    if n < 2 or k < 2:
        return Icc(np.nan, np.nan)
    units_U1, judges_1J = scores_UJ.mean(axis=1, keepdims=True), scores_UJ.mean(axis=0, keepdims=True)
    between_units = k * units_U1.var(ddof=1)
    between_judges = n * judges_1J.var(ddof=1)
    error = ((scores_UJ - units_U1 - judges_1J + scores_UJ.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    consistency = between_units + (k - 1) * error
    agreement = consistency + k / n * (between_judges - error)
    return Icc(*(_quotient(between_units - error, whole, scores_UJ) for whole in (agreement, consistency)))


def quadratic_weighted_kappa(a: ArrayLike, b: ArrayLike) -> float:
    """Cohen's kappa of two judges with quadratic weights (Cohen, 1968), over all scores both gave; shapes equal, any.

    Weights are squared distances of the scores themselves, so scores need not be integers; then kappa is
    2 cov / (var + var + (mean - mean)²), Lin's concordance (Lin, 1989). nan with fewer than two shared scores, or where
    both judges give one and the same score; 0 where only one of them is constant.
    """
    a_U, b_U = _pairs(a, b)
    if len(a_U) < 2:
        return np.nan
    by_chance = a_U.var() + b_U.var() + (a_U.mean() - b_U.mean()) ** 2
    return 1.0 - _quotient(((a_U - b_U) ** 2).mean(), by_chance, np.concatenate([a_U, b_U]))


def binary_agreement(a: ArrayLike, b: ArrayLike) -> BinaryAgreement:
    """Cohen's kappa of two judges' yes and no (1 and 0, nan where missing), such as process_ok, and both base rates.

    Kappa is (observed - chance) / (1 - chance) (Cohen, 1960), which quadratic weights do not change for two categories.
    """
    a_U, b_U = _pairs(a, b)
    if not np.isin([a_U, b_U], [0.0, 1.0]).all():
        raise ValueError("a yes is 1, a no is 0, a missing value is nan")
    if not len(a_U):
        return BinaryAgreement(*[np.nan] * 4)
    kappa = quadratic_weighted_kappa(a_U, b_U)
    return BinaryAgreement(kappa, float((a_U == b_U).mean()), float(a_U.mean()), float(b_U.mean()))


def score_profile(scores: ArrayLike) -> ScoreProfile:
    """Histogram, mean, spread and entropy of one judge's scores (any shape, from 0 to 10, nan where missing)."""
    scores = np.asarray(scores, dtype=np.float64)
    scores_X = scores[~np.isnan(scores)]
    if not ((scores_X >= 0) & (scores_X <= LEVELS - 1)).all():
        raise ValueError(f"scores lie between 0 and {LEVELS - 1}")
    histogram = np.bincount(np.floor(scores_X + 0.5).astype(np.int64), minlength=LEVELS)
    mean = float(scores_X.mean()) if len(scores_X) else np.nan
    sd = float(scores_X.std(ddof=1)) if len(scores_X) > 1 else np.nan
    return ScoreProfile(len(scores_X), mean, sd, float(entropy(histogram)), histogram)


def _signs(a_SC: ArrayLike, b_SC: ArrayLike) -> tuple[Floats, Floats]:
    """For both judges, whether each candidate scores above (1), below (-1) or like (0) each other; 0 where missing."""
    a_SCC, b_SCC = (np.sign(x_SC[:, :, None] - x_SC[:, None, :]) for x_SC in shared(a_SC, b_SC))
    return np.nan_to_num(a_SCC), np.nan_to_num(b_SCC)


def _correlation(a_SX: Floats, b_SX: Floats) -> Floats:
    """Correlation within each state of values centred at 0; nan where one side is all 0."""
    within = tuple(range(1, a_SX.ndim))
    return divide((a_SX * b_SX).sum(within), np.sqrt((a_SX**2).sum(within) * (b_SX**2).sum(within)))


def _units(scores_SJC: ArrayLike) -> Floats:
    scores_SCJ = np.asarray(scores_SJC, dtype=np.float64).swapaxes(1, 2)
    states, candidates, judges = scores_SCJ.shape
    return scores_SCJ.reshape(states * candidates, judges)


def _mid_ranks(values_X: Floats) -> Floats:
    _, place_X, count_L = np.unique(values_X, return_inverse=True, return_counts=True)
    return (np.cumsum(count_L) - count_L / 2)[place_X]


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    a, b = shared(a, b)
    return a[~np.isnan(a)], b[~np.isnan(b)]


def _quotient(part: float, whole: float, scores: Floats) -> float:
    """part / whole, or nan where the whole, a mean square of these scores, is only round-off."""
    return float(part / whole) if whole > _ROUND_OFF * (scores**2).mean() else np.nan
