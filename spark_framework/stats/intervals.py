"""Estimates with 95 % intervals, and exact tests of shares. scipy is imported on first use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

UNDEFINED = "–"
"""Stands for a value that is not defined."""


class EstimateWithInterval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float = math.nan
    """nan, like `high`, where the interval is not known."""
    high: float = math.nan
    beyond_noise: bool | None = None
    """Whether the difference exceeds the judges' own noise when they are asked again; None where unknown."""

    def __str__(self) -> str:
        if math.isnan(self.value):
            return UNDEFINED
        interval = "" if math.isnan(self.low) else f" [{short(self.low)}, {short(self.high)}]"
        return f"{short(self.value)}{interval}{' ≈' if self.beyond_noise is False else ''}"


def short(value: float) -> str:
    """Three decimals, one from 100 on; never -0."""
    text = f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return "0.000" if text == "-0.000" else text


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) for n = 0."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    low, high = binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(low), float(high)


def mcnemar(correct_a: Sequence[bool], correct_b: Sequence[bool]) -> float:
    """Two-sided p-value of McNemar's exact test: is A right where B is wrong as often as the other way round?"""
    if len(correct_a) != len(correct_b):
        raise ValueError(f"{len(correct_a)} answers against {len(correct_b)}: the test needs the same questions")
    only_a = sum(bool(a) and not b for a, b in zip(correct_a, correct_b, strict=True))
    only_b = sum(bool(b) and not a for a, b in zip(correct_a, correct_b, strict=True))
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue)
