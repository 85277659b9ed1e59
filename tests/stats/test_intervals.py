"""Intervals and tests of shares, against formulas written out here."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest

from spark_framework.stats.intervals import EstimateWithInterval, mcnemar, wilson


def wilson_by_formula(successes: int, n: int, level: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = successes / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def test_wilson_is_the_score_interval() -> None:
    rng = random.Random(0)
    for n in (1, 2, 10, 17, 300, 1000):
        for successes in {0, 1, n, rng.randint(0, n), rng.randint(0, n)}:
            for level in (0.9, 0.95):
                expected = wilson_by_formula(successes, n, level)
                assert wilson(successes, n, level) == pytest.approx(expected, abs=1e-12)


def test_wilson_without_data_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (9, 2), (5, 5), (140, 101)])
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    a = [True] * only_a + [False] * only_b + [True, False]
    b = [False] * only_a + [True] * only_b + [True, False]
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    assert mcnemar(a, b) == pytest.approx(min(1.0, 2 * tail / 2**n), abs=1e-12)
    assert mcnemar(b, a) == mcnemar(a, b)


def test_mcnemar_requires_the_same_questions() -> None:
    with pytest.raises(ValueError, match="same questions"):
        mcnemar([True], [True, False])


def test_an_estimate_in_words() -> None:
    assert str(EstimateWithInterval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert str(EstimateWithInterval(0.5, 0.25, 0.75, beyond_noise=False)) == "0.500 [0.250, 0.750] ≈"
    assert str(EstimateWithInterval(0.5, 0.25, 0.75, beyond_noise=True)) == "0.500 [0.250, 0.750]"
    assert str(EstimateWithInterval(-1e-9)) == "0.000"
    assert str(EstimateWithInterval(1234.56)) == "1234.6"
    assert str(EstimateWithInterval(math.nan, 0, 1)) == "–"
