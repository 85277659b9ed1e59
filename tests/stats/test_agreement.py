"""Agreement on scores against scipy, krippendorff, scikit-learn and an analysis of variance by least squares."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from spark_framework.stats.agreement import (
    binary_agreement,
    icc,
    kendall,
    krippendorff_alpha,
    over_states,
    quadratic_weighted_kappa,
    score_profile,
    spearman,
)

LEVELS = list(range(11))
SIX_DIGITS: dict[str, Any] = {"abs": 1e-6, "rel": 1e-6, "nan_ok": True}
scores_SJC = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5),
    elements=st.sampled_from([np.nan, 0.0, 5.0, 6.0, 6.5, 10.0]),
)


def judges(seed: int, judges: int, *, levels: int = 11, missing: float = 0.0, noise: float = 1.0) -> np.ndarray:
    """Whole scores of 40 states and 9 candidates by judges who see one truth with noise and a leniency of their own."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(levels / 2, levels / 4, size=(40, 1, 9))
    seen = truth + rng.normal(0, noise, size=(40, judges, 9)) + np.linspace(-1, 1, judges)[None, :, None]
    scores = np.clip(np.rint(seen), 0, levels - 1)
    scores[rng.random(scores.shape) < missing] = np.nan
    return scores


ODD: dict[str, np.ndarray] = {
    "all ties": np.full((5, 2, 9), 7.0),
    "one judge": judges(1, 1),
    "constant judges": np.broadcast_to(np.array([3.0, 8.0])[None, :, None], (5, 2, 9)),
    "one constant judge": np.where(np.arange(2)[None, :, None] == 0, 6.0, judges(2, 2)),
    "two categories": judges(3, 2, levels=2),
    "perfect agreement": np.repeat(judges(4, 1), 3, axis=1),
    "perfect disagreement": np.concatenate([judges(5, 1), 10 - judges(5, 1)], axis=1),
    "missing cells": judges(6, 3, missing=0.3),
    "a judge who is not there": np.where(np.arange(3)[None, :, None] == 1, np.nan, judges(7, 3)),
    "one unit": np.array([[[3.0], [4.0]]]),
    "nothing shared": np.array([[[3.0, np.nan], [np.nan, 4.0]]]),
    "no states": np.empty((0, 2, 9)),
    "no variance but round-off": np.full((3, 2, 7), 0.1),
}
CASES = {**ODD, **{f"random {seed}": judges(seed, 2 + seed % 3, missing=0.05 * (seed % 2)) for seed in range(10, 14)}}
every_case = pytest.mark.parametrize("scores", CASES.values(), ids=CASES.keys())
every_pair = pytest.mark.parametrize(
    ("a", "b"),
    [(scores[:, 0], scores[:, -1]) for scores in CASES.values() if scores.shape[1] > 1],
    ids=[name for name, scores in CASES.items() if scores.shape[1] > 1],
)


def by_state(reference: Any, a_SC: np.ndarray, b_SC: np.ndarray) -> list[float]:
    figures = []
    for a, b in zip(a_SC, b_SC, strict=True):
        both = ~np.isnan(a) & ~np.isnan(b)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy says aloud that a constant row has no rank correlation
            figures.append(reference(a[both], b[both]).statistic if both.sum() > 1 else np.nan)
    return figures


@every_pair
def test_spearman_of_each_state_is_scipys(a: np.ndarray, b: np.ndarray) -> None:
    assert spearman(a, b).tolist() == pytest.approx(by_state(stats.spearmanr, a, b), **SIX_DIGITS)


@every_pair
def test_kendalls_tau_b_of_each_state_is_scipys(a: np.ndarray, b: np.ndarray) -> None:
    assert kendall(a, b).tolist() == pytest.approx(by_state(stats.kendalltau, a, b), **SIX_DIGITS)


def test_a_state_of_equal_scores_is_left_out_of_the_mean_and_reported() -> None:
    a = [[1, 2, 3], [5, 5, 5], [1, 2, 3], [4, np.nan, np.nan]]
    b = [[1, 2, 3], [1, 2, 3], [3, 2, 1], [4, 5, 6]]
    for figure in (spearman(a, b), kendall(a, b)):
        assert figure.tolist() == pytest.approx([1, np.nan, -1, np.nan], nan_ok=True)
        assert over_states(figure) == (pytest.approx(0.0), 0.5)


def test_without_a_defined_state_there_is_no_mean() -> None:
    assert over_states([np.nan, np.nan]) == (pytest.approx(np.nan, nan_ok=True), 1.0)
    assert over_states([]) == (pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True))


def test_judges_of_different_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 2\) against \(1, 3\)"):
        spearman([[1, 2]], [[1, 2, 3]])


@pytest.mark.parametrize("level", ["interval", "ordinal"])
@every_case
def test_alpha_is_that_of_the_krippendorff_package(scores: np.ndarray, level: Any) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    data = scores.swapaxes(0, 1).reshape(scores.shape[1], -1)
    paired = data[:, (~np.isnan(data)).sum(axis=0) > 1] if len(data) > 1 else data[:, :0]
    levels = np.unique(paired[~np.isnan(paired)])
    # The package refuses a domain of one value, where alpha is 0 / 0.
    expected = krippendorff.alpha(data, level_of_measurement=level) if len(levels) > 1 else np.nan
    assert krippendorff_alpha(scores, level) == pytest.approx(expected, **SIX_DIGITS)


def test_alpha_of_krippendorffs_own_example() -> None:
    nan = np.nan
    data = [  # Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
    assert krippendorff_alpha([data], "interval") == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha([data], "ordinal") == pytest.approx(0.815, abs=5e-4)


def variance_by_least_squares(scores: np.ndarray) -> tuple[float, float]:
    """ICC(A,1) and ICC(C,1) from the residuals of nested linear models, which share no formula with the code."""
    units = scores.swapaxes(1, 2).reshape(-1, scores.shape[1])
    units = units[~np.isnan(units).any(axis=1)]
    n, k = units.shape
    row, column = (index.ravel() for index in np.indices((n, k)))
    rows, columns, one = np.eye(n)[row], np.eye(k)[column], np.ones((n * k, 1))

    def residual(*terms: np.ndarray) -> float:
        design = np.hstack(terms)
        fitted = design @ np.linalg.lstsq(design, units.ravel(), rcond=None)[0]
        return float(((units.ravel() - fitted) ** 2).sum())

    error, alone = residual(rows, columns), residual(one)
    of_unit = (alone - residual(rows)) / (n - 1)
    of_judge = (alone - residual(columns)) / (k - 1)
    of_error = error / ((n - 1) * (k - 1))
    unit, judge = (of_unit - of_error) / k, (of_judge - of_error) / n  # variance components
    return unit / (unit + judge + of_error), unit / (unit + of_error)


@pytest.mark.parametrize(
    "name", ["two categories", "perfect agreement", "perfect disagreement", "missing cells", "random 10", "random 12"]
)
def test_icc_is_that_of_an_analysis_of_variance(name: str) -> None:
    scores = CASES[name][:20]
    assert icc(scores) == pytest.approx(variance_by_least_squares(scores), **SIX_DIGITS)


def test_icc_of_shrout_and_fleiss_example() -> None:
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    figures = icc(np.transpose(ratings)[None])
    assert figures.agreement == pytest.approx(0.29, abs=5e-3)  # Shrout & Fleiss (1979), table 4
    assert figures.consistency == pytest.approx(0.71, abs=5e-3)


def test_leniency_is_the_gap_between_the_two_intraclass_correlations() -> None:
    strict = judges(8, 1)
    figures = icc(np.concatenate([strict, strict + 2], axis=1))
    assert figures.consistency == pytest.approx(1)
    assert figures.agreement < 0.9


@pytest.mark.parametrize(
    "name",
    [
        "all ties",
        "one judge",
        "a judge who is not there",
        "one unit",
        "nothing shared",
        "no states",
        "no variance but round-off",
    ],
)
def test_icc_without_variance_or_units_is_not_defined(name: str) -> None:
    assert icc(ODD[name]) == pytest.approx((np.nan, np.nan), nan_ok=True)


def test_constant_judges_have_no_consistency_and_no_agreement() -> None:
    assert icc(ODD["constant judges"]) == pytest.approx((0, np.nan), abs=1e-12, nan_ok=True)


@every_pair
def test_weighted_kappa_is_scikit_learns(a: np.ndarray, b: np.ndarray) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    both = ~np.isnan(a) & ~np.isnan(b)
    x, y = a[both], b[both]
    if len(x) < 2 or len({*x, *y}) < 2:
        assert np.isnan(quadratic_weighted_kappa(a, b))
        return
    if (x == np.rint(x)).all():
        expected = metrics.cohen_kappa_score(x.astype(int), y.astype(int), labels=LEVELS, weights="quadratic")
        assert quadratic_weighted_kappa(a, b) == pytest.approx(expected, **SIX_DIGITS)


def test_weighted_kappa_of_scores_in_between_is_lins_concordance() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 10, size=50)
    b = a + rng.normal(0, 1, size=50) + 0.7
    expected = 2 * np.cov(a, b, ddof=0)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert quadratic_weighted_kappa(a, b) == pytest.approx(expected, **SIX_DIGITS)


@pytest.mark.parametrize(("rate", "flips"), [(0.5, 0.2), (0.95, 0.1), (0.1, 1.0), (1.0, 0.3)])
def test_kappa_of_process_ok_is_scikit_learns(rate: float, flips: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    a = rng.random(200) < rate
    b = a ^ (rng.random(200) < flips)
    figures = binary_agreement(a, b)
    assert figures.kappa == pytest.approx(metrics.cohen_kappa_score(a, b), **SIX_DIGITS)
    assert figures[1:] == pytest.approx(((a == b).mean(), a.mean(), b.mean()))


def test_kappa_and_rates_count_what_both_judged() -> None:
    figures = binary_agreement([1, 1, 0, 0, np.nan, 1], [1, 0, 0, 0, 1, np.nan])
    assert figures == pytest.approx((0.5, 0.75, 0.5, 0.25))


def test_kappa_of_one_word_is_not_defined_but_its_rates_are() -> None:
    assert binary_agreement([True, True], [True, True]) == pytest.approx((np.nan, 1, 1, 1), nan_ok=True)
    assert binary_agreement([], []) == pytest.approx((np.nan,) * 4, nan_ok=True)
    with pytest.raises(ValueError, match="a yes is 1"):
        binary_agreement([2], [1])


def test_a_profile_describes_one_judges_scores() -> None:
    profile = score_profile([[6, 6, 7.5], [6.4, np.nan, 10]])
    assert profile.n == 5
    assert profile.histogram.tolist() == [0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 1]
    assert (profile.mean, profile.sd) == pytest.approx((7.18, np.std([6, 6, 7.5, 6.4, 10], ddof=1)))
    assert profile.entropy == pytest.approx(stats.entropy([3, 1, 1], base=2))


def test_a_profile_of_one_or_no_score_has_no_spread() -> None:
    assert np.isnan(score_profile([4.0]).sd)
    assert score_profile([4.0]).entropy == 0
    empty = score_profile([np.nan])
    assert (empty.n, empty.histogram.sum()) == (0, 0)
    assert np.isnan([empty.mean, empty.sd, empty.entropy]).all()
    with pytest.raises(ValueError, match="between 0 and 10"):
        score_profile([11.0])


@given(scores_SJC, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_order_of_judges_states_and_candidates_does_not_matter(scores: np.ndarray, random: Any) -> None:
    mixed = scores
    for axis in range(3):
        mixed = np.take(mixed, random.sample(range(scores.shape[axis]), scores.shape[axis]), axis=axis)
    for figure in (krippendorff_alpha, lambda x: krippendorff_alpha(x, "ordinal"), lambda x: icc(x)[0]):
        assert figure(mixed) == pytest.approx(figure(scores), abs=1e-9, nan_ok=True)


@given(scores_SJC)
@settings(max_examples=80, deadline=None)
def test_whatever_the_scores_a_figure_is_at_most_one_or_not_defined(scores: np.ndarray) -> None:
    a, b = scores[:, 0], scores[:, -1]
    ranks = [*spearman(a, b), *kendall(a, b)]
    figures = [*ranks, krippendorff_alpha(scores), krippendorff_alpha(scores, "ordinal"), *icc(scores)]
    figures.append(quadratic_weighted_kappa(a, b))
    assert all(np.isnan(x) or x <= 1 + 1e-9 for x in figures)
    assert not np.isinf(figures).any()
    assert all(np.isnan(x) or x >= -1 - 1e-9 for x in ranks)
    assert kendall(a, b).tolist() == pytest.approx(kendall(b, a).tolist(), nan_ok=True)
