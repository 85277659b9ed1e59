"""The position slope against a regression with a column for every candidate."""

from __future__ import annotations

import numpy as np
import pytest

from spark_framework.stats.bootstrap import bootstrap_sums
from spark_framework.stats.position_bias import position_slope, position_terms

nan = np.nan


def orders(seed: int, states: int, times: int, slope: float, candidates: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    places = rng.permuted(np.broadcast_to(np.arange(candidates), (states, times, candidates)), axis=2).astype(float)
    worth, leniency = rng.normal(6, 2, size=(states, 1, candidates)), rng.normal(0, 1, size=(states, times, 1))
    return worth + leniency + slope * places + rng.normal(0, 0.3, size=places.shape), places


@pytest.mark.parametrize(("times", "missing"), [(2, 0.0), (3, 0.0), (3, 0.2)])
def test_position_slope_is_that_of_a_regression_with_a_constant_for_each_candidate(times: int, missing: float) -> None:
    scores, places = orders(2, 6, times, 0.2, candidates=5)
    scores[np.random.default_rng(0).random(scores.shape) < missing] = nan
    state, _, candidate = np.indices(scores.shape)
    known = ~np.isnan(scores)
    design = np.column_stack([places[known], np.eye(30)[(state * 5 + candidate)[known]]])
    expected = np.linalg.lstsq(design, scores[known], rcond=None)[0][0]
    assert position_slope(position_terms(scores, places).sum(axis=0)) == pytest.approx(expected, abs=1e-9)


def test_with_two_orders_the_slope_is_that_of_the_differences() -> None:
    scores, places = orders(3, 50, 2, -0.1)
    score, place = (x[:, 1] - x[:, 0] for x in (scores, places))
    expected = (score * place).sum() / (place**2).sum()
    assert position_slope(position_terms(scores, places).sum(axis=0)) == pytest.approx(expected)


def test_neither_worth_nor_leniency_passes_for_a_position() -> None:
    scores, places = orders(4, 2000, 2, 0.0)
    worth_only = np.round(scores.mean(axis=1, keepdims=True) + 0 * scores, 6)
    leniency_only = np.arange(4000.0).reshape(2000, 2, 1) + 0 * scores
    for plain in (worth_only, leniency_only):
        assert position_slope(position_terms(plain, places).sum(axis=0)) == pytest.approx(0, abs=1e-9)


def test_the_slopes_interval_finds_the_planted_slope() -> None:
    scores, places = orders(5, 200, 2, 0.05)
    terms = position_terms(scores, places)
    interval = bootstrap_sums(terms, np.arange(200), position_slope, rng=np.random.default_rng(0), resamples=500)
    assert interval.low < 0.05 < interval.high
    assert interval.high - interval.low < 0.04


def test_one_order_has_no_slope() -> None:
    scores, places = orders(6, 10, 1, 0.5)
    assert np.isnan(position_slope(position_terms(scores, places).sum(axis=0)))
    same = np.repeat(places, 2, axis=1)
    assert np.isnan(position_slope(position_terms(np.repeat(scores, 2, axis=1), same).sum(axis=0)))
    with pytest.raises(ValueError, match="but places of shape"):
        position_terms(scores, places[:, :, :5])
