"""Cluster bootstrap over questions: the states of a question are not independent, so questions are resampled.

Percentile intervals (Efron & Tibshirani, 1993, chapter 13; of clusters: Davison & Hinkley, 1997, section 3.8). Shapes
(docs/explanation/notation.md): S states, I questions, R resamples, F figures, X any leading axis. With generators of
one seed, every function draws the same questions, so that the figures of a study rest on the same resamples.
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
    rows_SF: ArrayLike,
    question_S: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Interval of a statistic of sums over states, all resamples in one matrix product.

    Args:
        rows_SF: one row a state, without nan.
        question_S: the question of each state, as any label.
        statistic: from sums of shape (X, F) to figures of shape (X, …), X being 1 or R; nan where it is not defined.
    """
    rows_SF = np.asarray(rows_SF, dtype=np.float64)
    if np.isnan(rows_SF).any():
        raise ValueError("rows with nan have no sum: give a missing value as 0 and count the others in a column")
    question_S, n = _numbered(question_S, len(rows_SF))
    sums_IF = np.zeros((n, rows_SF.shape[1]))
    np.add.at(sums_IF, question_S, rows_SF)
    sums_RF = [_times_drawn(drawn_RI, n) @ sums_IF for drawn_RI in _draws(n, resamples, rng)]
    value = np.asarray(statistic(sums_IF.sum(axis=0, keepdims=True)))[0]
    return _interval(value, statistic(np.concatenate(sums_RF)) if sums_RF else None, level)


def bootstrap_mean(
    values_SF: ArrayLike,
    question_S: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Interval of the mean over states where a per-state figure is defined (nan is left out).

    `values_SF` has shape (S,) or, for a curve or several judges at once, (S, F); so have the results, without S.
    """
    values_SF = np.asarray(values_SF, dtype=np.float64)
    shape = values_SF.shape[1:]
    known_SF = ~np.isnan(values_SF)
    rows_S2F = np.stack([np.where(known_SF, values_SF, 0.0), known_SF * 1.0], axis=1)

    def mean(sums_X2F: Floats) -> Floats:
        sum_XF, n_XF = sums_X2F.reshape(-1, 2, *shape).swapaxes(0, 1)
        return divide(sum_XF, n_XF)

    rows_SF = rows_S2F.reshape(len(values_SF), 2 * int(np.prod(shape)))
    return bootstrap_sums(rows_SF, question_S, mean, rng=rng, resamples=resamples, level=level)


def estimate_over_questions(
    rows_IF: ArrayLike, statistic: Callable[[Floats], Floats], *, resamples: int = 2000, seed: int = 0
) -> EstimateWithInterval:
    """A statistic of means over questions, with its 95 % interval; for one question the interval is the value.

    Args:
        rows_IF: one row a question, shape (I,) or (I, F), without nan.
        statistic: from means of shape (X, F) to figures of shape (X,), X being 1 or R.

    Raises:
        ValueError: there are no questions.
    """
    rows_IF = np.asarray(rows_IF, dtype=np.float64)
    n = len(rows_IF)
    if n == 0:
        raise ValueError("no question to resample")
    interval = bootstrap_sums(
        rows_IF.reshape(n, -1), np.arange(n), lambda sums_XF: statistic(sums_XF / n),
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
    states_I = np.split(np.argsort(question_S, kind="stable"), np.cumsum(np.bincount(question_S, minlength=n))[:-1])
    figures = [
        statistic(np.concatenate([states_I[q] for q in drawn_I]))
        for drawn_RI in _draws(n, resamples, rng)
        for drawn_I in drawn_RI
    ]
    value = np.asarray(statistic(np.arange(len(question_S))), dtype=np.float64)
    return _interval(value, np.asarray(figures, dtype=np.float64) if figures else None, level)


def _numbered(question_S: ArrayLike, states: int) -> tuple[Ints, int]:
    """Questions as numbers from 0, and how many there are."""
    labels_I, number_S = np.unique(np.asarray(question_S), return_inverse=True)
    if number_S.shape != (states,):
        raise ValueError(f"{states} states but {number_S.size} question labels")
    return number_S, len(labels_I)


def _draws(n: int, resamples: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Resamples of n questions with replacement, in chunks of shape (up to R, n). Of one question there are none."""
    chunk = max(1, _CHUNK // max(n, 1))
    for start in range(0, resamples if n > 1 else 0, chunk):
        yield rng.integers(n, size=(min(chunk, resamples - start), n))


def _times_drawn(drawn_RI: Ints, n: int) -> Ints:
    """How often each of the n questions was drawn in each resample, shape (R, n)."""
    size = len(drawn_RI)
    shifted_RI = drawn_RI + n * np.arange(size)[:, None]  # a range of numbers of its own for each resample
    return np.bincount(shifted_RI.ravel(), minlength=size * n).reshape(size, n)


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
