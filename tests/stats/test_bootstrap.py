"""Intervals against resampling by hand, against theory, and in how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spark_framework.stats.agreement import krippendorff_alpha
from spark_framework.stats.bootstrap import (
    Interval,
    bootstrap_mean,
    bootstrap_states,
    bootstrap_sums,
    estimate_over_questions,
)

nan = np.nan


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def figures(interval: Interval) -> list[float]:
    return np.concatenate([np.ravel(part) for part in interval]).tolist()


def test_sums_and_states_are_two_ways_to_one_interval() -> None:
    values = rng(1).normal(size=(60, 3))
    values[rng(2).random(values.shape) < 0.2] = nan
    question = rng(3).integers(15, size=60)  # questions of unequal length, in mixed order
    fast = bootstrap_mean(values, question, rng=rng(), resamples=200)
    plain = bootstrap_states(lambda states: np.nanmean(values[states], axis=0), question, rng=rng(), resamples=200)
    assert figures(fast) == pytest.approx(figures(plain), abs=1e-9)
    assert fast.value.tolist() == pytest.approx(np.nanmean(values, axis=0).tolist())


def test_whole_questions_are_drawn() -> None:
    question = np.array(["b", "a", "b", "c", "a"])
    drawn: list[list[str]] = []
    bootstrap_states(lambda states: drawn.append(sorted(question[states])) or 0.0, question, rng=rng(), resamples=50)
    assert len(drawn) == 51
    for labels in drawn:
        whole = {label: labels.count(label) / (question == label).sum() for label in labels}
        assert all(times == int(times) for times in whole.values())
        assert sum(whole.values()) == 3


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = rng(4).exponential(size=120)
    ours = bootstrap_mean(values, np.arange(120), rng=rng(), resamples=4000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=rng(9)).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    narrow = bootstrap_mean(values, np.arange(120), rng=rng(), resamples=4000, level=0.5)
    assert ours.low < narrow.low < narrow.value < narrow.high < ours.high


def test_repeating_a_question_five_times_adds_no_certainty() -> None:
    values = rng(5).normal(size=80)
    once = bootstrap_mean(values, np.arange(80), rng=rng())
    five = bootstrap_mean(np.repeat(values, 5), np.repeat(np.arange(80), 5), rng=rng())
    naive = bootstrap_mean(np.repeat(values, 5), np.arange(400), rng=rng())
    assert figures(five) == pytest.approx(figures(once), abs=1e-9)
    assert (five.high - five.low) / (naive.high - naive.low) == pytest.approx(np.sqrt(5), rel=0.1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draws, held = rng(6), 0
    for _ in range(400):
        values = draws.normal(size=(40, 1)) + draws.normal(size=(40, 5))  # five steps share their question's luck
        interval = bootstrap_mean(values.ravel(), np.repeat(np.arange(40), 5), rng=draws, resamples=200)
        held += bool(interval.low <= 0 <= interval.high)
    assert 0.90 <= held / 400 <= 0.98


def test_one_seed_is_one_result() -> None:
    values, question = rng(7).normal(size=30), np.arange(30) // 3
    assert figures(bootstrap_mean(values, question, rng=rng(1))) == figures(
        bootstrap_mean(values, question, rng=rng(1))
    )
    assert figures(bootstrap_mean(values, question, rng=rng(1))) != figures(
        bootstrap_mean(values, question, rng=rng(2))
    )


def test_many_questions_are_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values, question = rng(8).normal(size=30), np.arange(30)
    whole = bootstrap_mean(values, question, rng=rng(), resamples=100)
    monkeypatch.setattr("spark_framework.stats.bootstrap._CHUNK", 700)
    assert figures(bootstrap_mean(values, question, rng=rng(), resamples=100)) == pytest.approx(figures(whole))


def test_alpha_gets_its_interval_from_resampled_states() -> None:
    truth = rng(9).normal(6, 2, size=(60, 1, 9))
    scores = np.rint(truth + rng(10).normal(0, 1, size=(60, 2, 9)))
    question = np.arange(60) // 5
    interval = bootstrap_states(lambda states: krippendorff_alpha(scores[states]), question, rng=rng(), resamples=300)
    assert interval.value == krippendorff_alpha(scores)
    assert 0.7 < interval.low < interval.value < interval.high < 0.9


def test_undefined_resamples_are_left_out_and_counted() -> None:
    values = [1.0, 2.0, nan, nan]
    interval = bootstrap_mean(values, [0, 1, 2, 3], rng=rng(), resamples=4000)
    assert interval.undefined == pytest.approx((2 / 4) ** 4, abs=0.02)
    assert (interval.low, interval.value, interval.high) == (1, 1.5, 2)


def test_what_is_never_defined_has_no_interval() -> None:
    interval = bootstrap_mean(np.column_stack([[nan, nan], [1.0, 2.0]]), [0, 1], rng=rng())
    assert np.isnan([interval.value[0], interval.low[0], interval.high[0]]).all()
    assert interval.undefined.tolist() == [1, 0]
    assert interval.value[1] == 1.5


@pytest.mark.parametrize("values", [[], [4.0, 6.0]], ids=["no question", "one question"])
def test_fewer_than_two_questions_give_no_interval(values: list[float]) -> None:
    for interval in (
        bootstrap_mean(values, [0] * len(values), rng=rng()),
        bootstrap_states(
            lambda states: np.mean(np.take(values, states)) if len(states) else nan, [0] * len(values), rng=rng()
        ),
    ):
        assert np.isnan([interval.low, interval.high, interval.undefined]).all()
        assert interval.value == pytest.approx(5 if values else nan, nan_ok=True)


def test_an_interval_holds_its_figure_even_where_resampling_is_biased() -> None:
    def largest_share(sums: np.ndarray) -> np.ndarray:
        return (sums / sums.sum(axis=1, keepdims=True)).max(axis=1)

    interval = bootstrap_sums(np.eye(30), np.arange(30), largest_share, rng=rng(), resamples=200)
    assert interval.low == interval.value == pytest.approx(1 / 30)
    assert interval.high > interval.value


def test_rows_that_cannot_be_summed_are_refused() -> None:
    with pytest.raises(ValueError, match="rows with nan have no sum"):
        bootstrap_sums([[nan]], [0], lambda sums: sums[:, 0], rng=rng())
    with pytest.raises(ValueError, match="3 states but 2 question labels"):
        bootstrap_mean([1.0, 2.0, 3.0], [0, 1], rng=rng())


def test_an_estimate_over_questions_is_deterministic_and_close_to_the_normal_interval() -> None:
    values = np.random.default_rng(3).normal(size=400)

    def of(seed: int) -> tuple[float, float]:
        return estimate_over_questions(values, lambda means: means[:, 0], seed=seed)[1:3]

    assert of(0) == of(0) != of(1)
    half = 1.96 * values.std() / 20
    assert of(0) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_an_estimate_over_questions_resamples_as_in_the_formula() -> None:
    rows = np.random.default_rng(4).random((30, 2))
    estimate = estimate_over_questions(rows, lambda means: means[:, 0] / means[:, 1], resamples=500)
    drawn = np.random.default_rng(0).integers(30, size=(500, 30))
    means = rows[drawn].mean(axis=1)
    low, high = np.percentile(means[:, 0] / means[:, 1], [2.5, 97.5])
    value = rows[:, 0].mean() / rows[:, 1].mean()
    assert estimate[:3] == pytest.approx((value, min(low, value), max(high, value)), abs=1e-12)


def test_an_estimate_over_one_question_or_none() -> None:
    assert estimate_over_questions([0.25], lambda means: means[:, 0]) == (0.25, 0.25, 0.25, None)
    with pytest.raises(ValueError, match="no question"):
        estimate_over_questions([], lambda means: means[:, 0])
