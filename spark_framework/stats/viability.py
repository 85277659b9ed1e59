"""How far judges agree on what a selector does with their scores: the best candidate, the viable set, the threshold.

Shapes (docs/explanation/notation.md): S states, R repeats, C candidates, L thresholds, X any other axis. A missing
score is nan, and so is a figure that is not defined. Figures of single states go to `agreement.over_states` and to
`bootstrap.bootstrap_mean`. A candidate is viable when its score lies above the threshold. Two judges are compared on
the candidates that both scored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Bools, Floats, divide, shared

THRESHOLD = 6.0
"""Scores above it are viable (SPaRK, section 3)."""


class ViableOverlap(NamedTuple):
    """Overlap of two judges' viable sets in each state, shape (S,), or (S, L) for a row of thresholds."""

    jaccard: Floats
    """|A ∩ B| / |A ∪ B|; 1 where both are empty."""
    both_empty: Floats
    """1 where both sets are empty, else 0: how much of the overlap is agreement on empty sets."""


class MatchedThreshold(NamedTuple):
    """Judge B's threshold at which it is as lenient as judge A. Counts differ where B's scores are coarse."""

    threshold: float
    count_a: float
    """Mean number of viable candidates in a state by judge A."""
    count_b: float
    """The same by judge B at the matched threshold."""


def top_shares(scores_SC: ArrayLike) -> Floats:
    """Chance of each candidate to be a judge's pick when ties for the best score are broken evenly, shape (S, C).

    A row sums to 1; it is nan in a state without scores. Summed by action, this is the judge's mix of best actions.
    """
    scores_SC = np.asarray(scores_SC, dtype=np.float64)
    known_SC = ~np.isnan(scores_SC)
    best_S1 = np.where(known_SC, scores_SC, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    top_SC = known_SC & (scores_SC == best_S1)
    return divide(top_SC, top_SC.sum(axis=1, keepdims=True))


def top1_agreement(a_SC: ArrayLike, b_SC: ArrayLike) -> Floats:
    """Chance that two judges pick the same best candidate when each breaks ties at random, shape (S,).

    |A ∩ B| / (|A| |B|) for the sets of best candidates: a judge who ties all nine agrees with anybody in 1 of 9 states.
    nan in a state where no candidate is shared.
    """
    a_SC, b_SC = shared(a_SC, b_SC)
    return np.asarray((top_shares(a_SC) * top_shares(b_SC)).sum(axis=1))


def viable_overlap(
    a_SC: ArrayLike, b_SC: ArrayLike, threshold: ArrayLike = THRESHOLD, threshold_b: ArrayLike | None = None
) -> ViableOverlap:
    """Jaccard index of two judges' viable sets (Jaccard, 1912). nan in a state where no candidate is shared.

    Args:
        threshold: one, or a row of T of them for a curve.
        threshold_b: judge B's own, where leniency is matched; of the same shape.
    """
    a_SC, b_SC = shared(a_SC, b_SC)
    viable_a, viable_b = _viable(a_SC, threshold), _viable(b_SC, threshold if threshold_b is None else threshold_b)
    both, either = (viable_a & viable_b).sum(axis=1), (viable_a | viable_b).sum(axis=1)
    judged = _judged(a_SC).reshape(-1, *(1,) * (both.ndim - 1))
    empty = either == 0
    jaccard = np.where(empty, 1.0, divide(both, either))
    return ViableOverlap(np.where(judged, jaccard, np.nan), np.where(judged, empty * 1.0, np.nan))


def empty_viable(scores_SC: ArrayLike, threshold: float = THRESHOLD) -> Floats:
    """1 in a state where a judge leaves no candidate viable, else 0, shape (S,); nan in a state without scores."""
    scores_SC = np.asarray(scores_SC, dtype=np.float64)
    return np.where(_judged(scores_SC), ~_viable(scores_SC, threshold).any(axis=1) * 1.0, np.nan)


def leniency_matched_threshold(a_SC: ArrayLike, b_SC: ArrayLike, threshold: float = THRESHOLD) -> MatchedThreshold:
    """The threshold at which judge B has the same mean number of viable candidates as judge A at `threshold`.

    B's count only changes at B's own scores, so those are tried, one below them all, and `threshold` itself. The
    closest count wins; among equally close ones, the threshold nearest to A's. All nan where no candidate is shared.
    """
    a_SC, b_SC = shared(a_SC, b_SC)
    a_X, b_X = a_SC[~np.isnan(a_SC)], np.sort(b_SC[~np.isnan(b_SC)])
    if not len(b_X):
        return MatchedThreshold(np.nan, np.nan, np.nan)
    levels_L = np.unique([b_X[0] - 1, *b_X, threshold])
    viable_a, viable_L = (a_X > threshold).sum(), len(b_X) - np.searchsorted(b_X, levels_L, side="right")
    k = np.lexsort([np.abs(levels_L - threshold), np.abs(viable_L - viable_a)])[0]
    states = _judged(a_SC).sum()
    return MatchedThreshold(float(levels_L[k]), float(viable_a / states), float(viable_L[k] / states))


def repeat_sd(scores_SRC: ArrayLike) -> float:
    """A judge's own noise in points: the pooled standard deviation of a candidate's scores (Bland & Altman, 1996).

    The repeats axis replaces the judges axis of other functions. nan where no candidate was scored twice.
    """
    scores_SRC = np.asarray(scores_SRC, dtype=np.float64)
    known_SRC = ~np.isnan(scores_SRC)
    times_S1C = known_SRC.sum(axis=1, keepdims=True)
    mean_S1C = np.where(known_SRC, scores_SRC, 0.0).sum(axis=1, keepdims=True) / np.maximum(times_S1C, 1)
    squares = np.where(known_SRC, (scores_SRC - mean_S1C) ** 2, 0.0).sum()
    freedom = np.maximum(times_S1C - 1, 0).sum()
    return float(np.sqrt(squares / freedom)) if freedom else np.nan


def near_threshold(picked_S: ArrayLike, band: float, threshold: float = THRESHOLD) -> Floats:
    """1 in a state where the picked candidate's score lies within a band of the threshold, else 0, shape (S,).

    nan where it is missing. With the judge's noise (`repeat_sd`) as the band, the mean is the share of picks that the
    same judge might reverse when asked again.
    """
    picked_S = np.asarray(picked_S, dtype=np.float64)
    return np.where(np.isnan(picked_S), np.nan, (np.abs(picked_S - threshold) <= band) * 1.0)


def _viable(scores_SC: Floats, threshold: ArrayLike) -> Bools:
    """Shape (S, C), or (S, C, T) for a row of thresholds. A missing score is not viable."""
    threshold = np.asarray(threshold, dtype=np.float64)
    return np.asarray(scores_SC.reshape(*scores_SC.shape, *(1,) * threshold.ndim) > threshold)


def _judged(scores_SC: Floats) -> Bools:
    return np.asarray((~np.isnan(scores_SC)).any(axis=1))
