"""Decisions against plain Python: every tie-break drawn out, sets as sets, thresholds tried one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spark_framework.stats.agreement import over_states
from spark_framework.stats.viability import (
    empty_viable,
    leniency_matched_threshold,
    near_threshold,
    repeat_sd,
    top1_agreement,
    top_shares,
    viable_overlap,
)

nan = np.nan
pairs = hnp.arrays(
    np.float64,
    st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 5)),
    elements=st.sampled_from([nan, 0.0, 5.0, 6.0, 6.5, 7.0, 10.0]),
)


def both_scored(a: np.ndarray, b: np.ndarray) -> list[int]:
    return [c for c in range(len(a)) if not np.isnan(a[c]) and not np.isnan(b[c])]


@given(pairs)
@settings(max_examples=100, deadline=None)
def test_top1_agreement_is_the_mean_over_all_ways_to_break_ties(scores: np.ndarray) -> None:
    expected = []
    for a, b in zip(*scores, strict=True):
        shared = both_scored(a, b)
        best = [[c for c in shared if judge[c] == max(judge[shared])] for judge in (a, b) if shared]
        draws = [x == y for x, y in itertools.product(*best)] if shared else [nan]
        expected.append(np.mean(draws))
    assert top1_agreement(*scores).tolist() == pytest.approx(expected, nan_ok=True)


def test_a_judge_who_ties_everything_agrees_by_chance_only() -> None:
    flat, sure = np.full((1, 9), 7.0), np.arange(9.0)[None]
    assert top1_agreement(flat, sure).tolist() == pytest.approx([1 / 9])
    assert top1_agreement(flat, flat).tolist() == pytest.approx([1 / 9])
    assert top1_agreement(sure, sure).tolist() == [1]


def test_top_shares_split_a_state_among_its_best_candidates() -> None:
    shares = top_shares([[8, 8, nan, 3], [1, 9, 2, 9], [nan] * 4])
    assert shares.tolist() == pytest.approx(np.array([[0.5, 0.5, 0, 0], [0, 0.5, 0, 0.5], [nan] * 4]), nan_ok=True)
    assert top_shares(np.empty((0, 9))).shape == (0, 9)


@given(pairs, st.sampled_from([-1.0, 5.0, 6.0, 6.2, 10.0]), st.sampled_from([5.0, 6.0]))
@settings(max_examples=100, deadline=None)
def test_overlap_is_the_jaccard_index_of_the_viable_sets(scores: np.ndarray, at_a: float, at_b: float) -> None:
    jaccard, both_empty = [], []
    for a, b in zip(*scores, strict=True):
        shared = both_scored(a, b)
        viable_a, viable_b = {c for c in shared if a[c] > at_a}, {c for c in shared if b[c] > at_b}
        either = viable_a | viable_b
        jaccard.append((len(viable_a & viable_b) / len(either) if either else 1.0) if shared else nan)
        both_empty.append(float(not either) if shared else nan)
    overlap = viable_overlap(*scores, at_a, at_b)
    assert overlap.jaccard.tolist() == pytest.approx(jaccard, nan_ok=True)
    assert overlap.both_empty.tolist() == pytest.approx(both_empty, nan_ok=True)


@given(pairs)
@settings(max_examples=50, deadline=None)
def test_a_curve_is_its_thresholds_one_by_one(scores: np.ndarray) -> None:
    thresholds = [3, 4, 5, 6, 7, 8, 9]
    curve = viable_overlap(*scores, thresholds)
    for k, threshold in enumerate(thresholds):
        single = viable_overlap(*scores, threshold)
        assert curve.jaccard[:, k].tolist() == pytest.approx(single.jaccard.tolist(), nan_ok=True)
        assert curve.both_empty[:, k].tolist() == pytest.approx(single.both_empty.tolist(), nan_ok=True)


def test_agreement_on_empty_sets_counts_as_one_and_is_reported() -> None:
    overlap = viable_overlap([[1, 2], [7, 2], [nan, nan]], [[3, 6], [7, 8], [9, 9]])
    assert over_states(overlap.jaccard) == pytest.approx((0.75, 1 / 3))
    assert over_states(overlap.both_empty) == pytest.approx((0.5, 1 / 3))


def test_states_without_a_viable_candidate_are_counted() -> None:
    scores = [[6, 5, nan], [6.1, nan, 0], [nan, nan, nan]]
    assert empty_viable(scores).tolist() == pytest.approx([1, 0, nan], nan_ok=True)
    assert empty_viable(scores, 5.9).tolist() == pytest.approx([0, 0, nan], nan_ok=True)


@given(pairs)
@settings(max_examples=100, deadline=None)
def test_no_other_threshold_matches_leniency_better(scores: np.ndarray) -> None:
    a, b = (judge[~np.isnan(scores).any(axis=0)] for judge in scores)
    matched = leniency_matched_threshold(*scores)
    if not len(b):
        assert np.isnan(matched).all()
        return
    states = (~np.isnan(scores).any(axis=0)).any(axis=1).sum()
    assert matched.count_a == pytest.approx((a > 6).sum() / states)
    assert matched.count_b == pytest.approx((b > matched.threshold).sum() / states)
    tried = np.arange(-1, 11, 0.25)
    gaps = np.abs((b[:, None] > tried).sum(axis=0) - (a > 6).sum()) / states
    gap = abs(matched.count_b - matched.count_a)
    assert gap == pytest.approx(gaps.min())
    levels = np.array([*b, b.min() - 1, 6])
    as_good = [level for level in levels if abs((b > level).sum() - (a > 6).sum()) / states <= gap + 1e-9]
    assert abs(matched.threshold - 6) == min(abs(level - 6) for level in as_good)


def test_a_judge_as_lenient_as_the_other_keeps_the_threshold() -> None:
    a = np.array([[5.0, 6.0, 7.0, 8.0]])
    assert leniency_matched_threshold(a, a) == (6.0, 2.0, 2.0)
    assert leniency_matched_threshold(a, [[1.0, 2.0, 9.0, 9.0]]) == (6.0, 2.0, 2.0)


def test_a_milder_judge_gets_the_higher_threshold() -> None:
    a = np.random.default_rng(0).integers(0, 9, size=(50, 9)).astype(float)
    matched = leniency_matched_threshold(a, a + 2)
    assert matched.threshold == 8
    assert matched.count_a == matched.count_b == (a > 6).sum() / 50
    assert viable_overlap(a, a + 2, 6, matched.threshold).jaccard.tolist() == [1] * 50
    assert leniency_matched_threshold(a + 10, a) == (-1, 9, 9)


def test_repeat_noise_is_the_pooled_spread_within_candidates() -> None:
    rng = np.random.default_rng(1)
    worth = rng.uniform(0, 10, size=(300, 1, 9))
    assert repeat_sd(worth + rng.normal(0, 0.8, size=(300, 3, 9))) == pytest.approx(0.8, rel=0.03)
    first, second = np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])
    assert repeat_sd(np.stack([first, second], axis=1)) == pytest.approx(np.sqrt((1 + 4) / 2 / 2))


def test_a_candidate_scored_once_does_not_count_for_noise() -> None:
    assert np.isnan(repeat_sd([[[1.0, 5.0]]]))
    assert np.isnan(repeat_sd([[[1.0, nan], [nan, 5.0]]]))
    assert repeat_sd([[[1.0, 5.0], [3.0, nan]]]) == pytest.approx(np.sqrt(2))
    assert repeat_sd([[[4.0, 5.0], [4.0, 5.0]]]) == 0


def test_picks_near_the_threshold_are_those_within_the_band() -> None:
    assert near_threshold([6.5, 7.1, 5.0, nan], 1).tolist() == pytest.approx([1, 0, 1, nan], nan_ok=True)
    assert over_states(near_threshold([6.5, 7.1, 5.0, nan], 1)) == pytest.approx((2 / 3, 0.25))
