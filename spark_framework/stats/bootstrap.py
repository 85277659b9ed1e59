"""Cluster bootstrap over questions: the states of a question are not independent, so questions are resampled.

Percentile intervals (Efron & Tibshirani, 1993, chapter 13; of clusters: Davison & Hinkley, 1997, section 3.8). Shapes
stand in the names: S states, Q questions, R resamples, K columns, X any leading axis. With generators of one seed,
every function draws the same questions, so that the figures of a study rest on the same resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Ints, divide
from .intervals import EstimateWithInterval

_CHUNK = 4_000_000
"""Drawn questions held at once (32 MB)."""


class Interval(NamedTuple):
    """A figure and its interval, each of the statistic's own shape (a number is an array of shape ())."""

    value: Floats
    low: Floats
    """nan, like `high`, where the figure is not defined or fewer than two questions are there to resample."""
    high: Floats
    undefined: Floats
    """Share of resamples in which the figure is not defined; the interval comes from the others."""

    def at(self, *index: int, beyond_noise: bool | None = None) -> EstimateWithInterval:
        """One entry, or without an index the only one."""
        value, low, high = (float(part[index]) for part in (self.value, self.low, self.high))
        return EstimateWithInterval(value, low, high, beyond_noise)


def bootstrap_sums(
    rows_SK: ArrayLike,
    question_S: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Interval of a statistic of sums over states, all resamples in one matrix product.

    Args:
        rows_SK: one row a state, without nan.
        question_S: the question of each state, as any label.
        statistic: from sums of shape (X, K) to figures of shape (X, …), X being 1 or R; nan where it is not defined.
    """
    rows_SK = np.asarray(rows_SK, dtype=np.float64)
    if np.isnan(rows_SK).any():
        raise ValueError("rows with nan have no sum: give a missing value as 0 and count the others in a column")
    question_S, n = _numbered(question_S, len(rows_SK))
    sums_QK = np.zeros((n, rows_SK.shape[1]))
    np.add.at(sums_QK, question_S, rows_SK)
    sums_RK = [_times_drawn(drawn_RQ, n) @ sums_QK for drawn_RQ in _draws(n, resamples, rng)]
    value = np.asarray(statistic(sums_QK.sum(axis=0, keepdims=True)))[0]
    return _interval(value, statistic(np.concatenate(sums_RK)) if sums_RK else None, level)


def bootstrap_mean(
    values_SK: ArrayLike,
    question_S: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Interval of the mean over states where a per-state figure is defined (nan is left out).

    `values_SK` has shape (S,) or, for a curve or several judges at once, (S, K); so have the results, without S.
    """
    values_SK = np.asarray(values_SK, dtype=np.float64)
    shape = values_SK.shape[1:]
    known_SK = ~np.isnan(values_SK)
    rows_S2K = np.stack([np.where(known_SK, values_SK, 0.0), known_SK * 1.0], axis=1)

    def mean(sums_X2K: Floats) -> Floats:
        sum_XK, n_XK = sums_X2K.reshape(-1, 2, *shape).swapaxes(0, 1)
        return divide(sum_XK, n_XK)

    rows_SK = rows_S2K.reshape(len(values_SK), 2 * int(np.prod(shape)))
    return bootstrap_sums(rows_SK, question_S, mean, rng=rng, resamples=resamples, level=level)


def estimate_over_questions(
    rows_QK: ArrayLike, statistic: Callable[[Floats], Floats], *, resamples: int = 2000, seed: int = 0
) -> EstimateWithInterval:
    """A statistic of means over questions, with its 95 % interval; for one question the interval is the value.

    Args:
        rows_QK: one row a question, shape (Q,) or (Q, K), without nan.
        statistic: from means of shape (X, K) to figures of shape (X,), X being 1 or R.

    Raises:
        ValueError: there are no questions.
    """
    rows_QK = np.asarray(rows_QK, dtype=np.float64)
    n = len(rows_QK)
    if n == 0:
        raise ValueError("no question to resample")
    interval = bootstrap_sums(
        rows_QK.reshape(n, -1), np.arange(n), lambda sums_XK: statistic(sums_XK / n),
        rng=np.random.default_rng(seed), resamples=resamples,
    )  # fmt: skip
    value = float(interval.value)
    return EstimateWithInterval(value, value, value) if n == 1 else interval.at()


def bootstrap_states(
    statistic: Callable[[Ints], Any],
    question_S: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Interval of any statistic, one call a resample: for those that are no functions of sums, like an ordinal alpha.

    `statistic` gets the indices of the states that were drawn, with repetitions, and returns a number or an array of
    fixed shape: `lambda states: krippendorff_alpha(scores_SJC[states])`.
    """
    question_S = np.asarray(question_S)
    question_S, n = _numbered(question_S, len(question_S))
    states_Q = np.split(np.argsort(question_S, kind="stable"), np.cumsum(np.bincount(question_S, minlength=n))[:-1])
    figures = [
        statistic(np.concatenate([states_Q[q] for q in drawn_Q]))
        for drawn_RQ in _draws(n, resamples, rng)
        for drawn_Q in drawn_RQ
    ]
    value = np.asarray(statistic(np.arange(len(question_S))), dtype=np.float64)
    return _interval(value, np.asarray(figures, dtype=np.float64) if figures else None, level)


def _numbered(question_S: ArrayLike, states: int) -> tuple[Ints, int]:
    """Questions as numbers from 0, and how many there are."""
    labels_Q, number_S = np.unique(np.asarray(question_S), return_inverse=True)
    if number_S.shape != (states,):
        raise ValueError(f"{states} states but {number_S.size} question labels")
    return number_S, len(labels_Q)


def _draws(n: int, resamples: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Resamples of n questions with replacement, in chunks of shape (up to R, n). Of one question there are none."""
    chunk = max(1, _CHUNK // max(n, 1))
    for start in range(0, resamples if n > 1 else 0, chunk):
        yield rng.integers(n, size=(min(chunk, resamples - start), n))


def _times_drawn(drawn_RQ: Ints, n: int) -> Ints:
    """How often each of the n questions was drawn in each resample, shape (R, n)."""
    size = len(drawn_RQ)
    shifted_RQ = drawn_RQ + n * np.arange(size)[:, None]  # a range of numbers of its own for each resample
    return np.bincount(shifted_RQ.ravel(), minlength=size * n).reshape(size, n)


def _interval(value: Floats, figures_RX: Floats | None, level: float) -> Interval:
    """Percentiles of the resamples, widened to hold the figure: resampling biases entropies and divergences."""
    nothing = np.full(value.shape, np.nan)
    if figures_RX is None:
        return Interval(value, nothing, nothing, nothing)
    undefined_RX = np.isnan(figures_RX)
    known = ~undefined_RX.all(axis=0)
    tails = (1 - level) / 2, (1 + level) / 2
    low, high = np.nanquantile(np.where(known, figures_RX, 0.0), tails, axis=0)
    return Interval(
        value,
        np.where(known, np.minimum(low, value), np.nan),
        np.where(known, np.maximum(high, value), np.nan),
        np.asarray(undefined_RX.mean(axis=0)),
    )
