"""Entropies and divergences against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial import distance

from spark_framework.stats.bootstrap import bootstrap_sums
from spark_framework.stats.entropy import (
    conditional_jensen_shannon,
    entropy,
    jensen_shannon,
)

nan = np.nan
mixes = hnp.arrays(np.float64, (2, 3, 4), elements=st.sampled_from([0.0, 0.0, 0.5, 1.0, 7.0]))


@given(mixes)
@settings(max_examples=100, deadline=None)
def test_entropy_and_divergence_are_scipys(mix: np.ndarray) -> None:
    p, q = mix
    for k in range(len(p)):
        if p[k].any():
            assert entropy(p)[k] == pytest.approx(stats.entropy(p[k], base=2), abs=1e-9)
        else:
            assert np.isnan(entropy(p)[k])
        if p[k].any() and q[k].any():
            expected = distance.jensenshannon(p[k], q[k], base=2) ** 2
            assert jensen_shannon(p, q)[k] == pytest.approx(expected, abs=1e-9)
        else:
            assert np.isnan(jensen_shannon(p, q)[k])


def test_equal_mixes_are_0_bits_apart_and_disjoint_ones_1_bit() -> None:
    assert jensen_shannon([2, 6, 0], [1, 3, 0]) == 0
    assert jensen_shannon([1, 0, 0], [0, 3, 4]) == pytest.approx(1)
    assert entropy([1] * 8) == pytest.approx(3)
    assert entropy([5, 0]) == 0


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [np.inf, 1.0]])
def test_weights_that_are_no_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        entropy(weights)
    with pytest.raises(ValueError, match="finite and not negative"):
        jensen_shannon([1.0, 1.0], weights)


def test_groups_count_by_their_size() -> None:
    p, q = [[1, 0], [1, 1]], [[0, 1], [1, 1]]
    assert conditional_jensen_shannon(p, q, [1, 3]) == pytest.approx(0.25)
    assert conditional_jensen_shannon(p, q, [3, 1]) == pytest.approx(0.75)


def test_a_group_that_one_judge_left_empty_is_left_out() -> None:
    assert conditional_jensen_shannon([[1, 0], [0, 0]], [[0, 1], [1, 1]], [1, 3]) == pytest.approx(1)
    assert np.isnan(conditional_jensen_shannon([[0, 0]], [[1, 1]], [5]))
    assert np.isnan(conditional_jensen_shannon(np.empty((0, 2)), np.empty((0, 2)), []))


def test_equal_marginals_can_hide_opposite_groups() -> None:
    p, q = np.array([[4, 0], [0, 4]]), np.array([[0, 4], [4, 0]])
    assert jensen_shannon(p.sum(axis=0), q.sum(axis=0)) == 0
    assert conditional_jensen_shannon(p, q, [4, 4]) == pytest.approx(1)


def test_divergences_resample_with_their_questions() -> None:
    rng = np.random.default_rng(5)
    p, q = np.eye(3)[rng.integers(3, size=200)], np.eye(3)[rng.choice(3, p=[0.8, 0.1, 0.1], size=200)]
    groups = np.eye(2)[rng.integers(2, size=200)]
    rows = np.hstack([(groups[:, :, None] * mix[:, None, :]).reshape(200, 6) for mix in (p, q)] + [groups])

    def divergence(sums: np.ndarray) -> np.ndarray:
        return conditional_jensen_shannon(sums[:, :6].reshape(-1, 2, 3), sums[:, 6:12].reshape(-1, 2, 3), sums[:, 12:])

    interval = bootstrap_sums(rows, np.arange(200) // 2, divergence, rng=np.random.default_rng(0), resamples=300)
    expected = conditional_jensen_shannon(groups.T @ p, groups.T @ q, groups.sum(axis=0))
    assert interval.value == pytest.approx(expected)
    assert 0.02 < interval.low < interval.value < interval.high < 0.5


def test_entropy_without_weights_is_not_defined() -> None:
    assert np.isnan(entropy([]))
    assert np.isnan(entropy([0, 0]))
    assert np.isnan(entropy(np.zeros((3, 0)))).all()
    with pytest.raises(ValueError, match="finite"):
        entropy([1, np.inf])
