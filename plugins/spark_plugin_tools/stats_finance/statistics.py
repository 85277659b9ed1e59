"""Probability distributions, descriptive figures and simple tests. scipy is imported on first use."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

# name: scipy's name, the parameters in the usual notation, and what scipy takes for them (args, loc, scale)
_DISTRIBUTIONS: dict[str, tuple[str, str, Callable[..., tuple[tuple[float, ...], float, float]]]] = {
    "normal": ("norm", "mean, sd", lambda mean=0.0, sd=1.0: ((), mean, sd)),
    "t": ("t", "df", lambda df: ((df,), 0.0, 1.0)),
    "chi2": ("chi2", "df", lambda df: ((df,), 0.0, 1.0)),
    "f": ("f", "df1, df2", lambda df1, df2: ((df1, df2), 0.0, 1.0)),
    "binomial": ("binom", "n, p", lambda n, p: ((n, p), 0.0, 1.0)),
    "poisson": ("poisson", "mean", lambda mean: ((mean,), 0.0, 1.0)),
    "geometric": ("geom", "p", lambda p: ((p,), 0.0, 1.0)),
    "exponential": ("expon", "rate", lambda rate=1.0: ((), 0.0, 1 / rate)),
    "uniform": ("uniform", "low, high", lambda low=0.0, high=1.0: ((), low, high - low)),
}
_DISCRETE = ("binomial", "poisson", "geometric")
_DIST_FUNCTIONS = ("cdf", "sf", "ppf", "pdf", "pmf")


class StatisticsError(ValueError):
    """The request has no answer. The message is short and meant for the model."""


def number(value: float) -> str:
    """Ten significant digits without needless zeros."""
    if not math.isfinite(value):
        raise StatisticsError("the result is not a finite number")
    return f"{value:.10g}"


def dist(name: str, fn: str, x: float, params: Sequence[float]) -> str:
    """`P(X <= x)` as cdf, `P(X > x)` as sf, the quantile as ppf, the density or probability as pdf or pmf."""
    if name not in _DISTRIBUTIONS or fn not in _DIST_FUNCTIONS:
        names, functions = ", ".join(_DISTRIBUTIONS), ", ".join(_DIST_FUNCTIONS)
        raise StatisticsError(f"unknown distribution or function; name is one of {names}; fn one of {functions}")
    scipy_name, notation, translate = _DISTRIBUTIONS[name]
    try:
        arguments, loc, scale = translate(*params)
    except (TypeError, ZeroDivisionError):
        raise StatisticsError(f"params of {name} are [{notation}]") from None
    import numpy as np
    from scipy import stats  # 0.9 s

    if fn in ("pdf", "pmf"):
        fn = "pmf" if name in _DISCRETE else "pdf"
    location: dict[str, float] = {"loc": loc} if name in _DISCRETE else {"loc": loc, "scale": scale}
    with np.errstate(all="ignore"):  # values outside a domain give nan
        result = float(getattr(getattr(stats, scipy_name), fn)(x, *arguments, **location))
    if fn == "ppf" and name in _DISCRETE and not math.isnan(result):
        result = max(result, float(getattr(stats, scipy_name).support(*arguments)[0]))  # scipy starts one below
    if math.isnan(result):
        raise StatisticsError(f"params or x outside the domain; params of {name} are [{notation}]")
    return number(result)


def describe(values: Sequence[float], fn: str) -> str:
    """One figure where `fn` names it, else the usual ones in one line. sd and variance are the sample's (n - 1)."""
    _need(values, 1, "values")
    if fn:
        if fn not in _FIGURES:
            raise StatisticsError(f"unknown fn; it is one of {', '.join(_FIGURES)}")
        return _figure(fn, values)
    shown = (
        "n",
        "sum",
        "mean",
        "median",
        "mode",
        "min",
        "max",
        "range",
        *(("sd", "variance") if len(values) > 1 else ()),
    )
    return ", ".join(f"{name} = {_figure(name, values)}" for name in shown)


def _figure(fn: str, values: Sequence[float]) -> str:
    try:
        result = _FIGURES[fn](values)
    except statistics.StatisticsError:
        raise StatisticsError(f"{fn} needs at least 2 values") from None
    return result if isinstance(result, str) else number(result)


def _mode(values: Sequence[float]) -> str:
    """The most frequent values; none where all occur once."""
    counts = Counter(values)
    most = max(counts.values())
    if most == 1 and len(counts) > 1:
        return "none"
    return " and ".join(number(value) for value in sorted(counts) if counts[value] == most)


def _quartile(which: int) -> Callable[[Sequence[float]], float]:
    return lambda values: statistics.quantiles(values, n=4, method="inclusive")[which - 1]


_FIGURES: dict[str, Callable[[Sequence[float]], float | str]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "mode": _mode,
    "sd": statistics.stdev,
    "variance": statistics.variance,
    "population_sd": statistics.pstdev,
    "population_variance": statistics.pvariance,
    "range": lambda values: max(values) - min(values),
    "min": min,
    "max": max,
    "sum": math.fsum,
    "n": len,
    "q1": _quartile(1),
    "q3": _quartile(3),
    "iqr": lambda values: float(_quartile(3)(values)) - float(_quartile(1)(values)),
}


def ttest(values: Sequence[float], other: Sequence[float], x: float) -> str:
    """Two-sided: Welch's test of two samples, or one sample against the mean x."""
    _need(values, 2, "values")
    gap, variance, df = statistics.fmean(values) - x, statistics.variance(values) / len(values), len(values) - 1.0
    if other:
        _need(other, 2, "other")
        second = statistics.variance(other) / len(other)
        gap = statistics.fmean(values) - statistics.fmean(other)
        if variance + second > 0:  # Welch and Satterthwaite's degrees of freedom
            df = (variance + second) ** 2 / (variance**2 / df + second**2 / (len(other) - 1))
        variance += second
    if variance == 0:
        raise StatisticsError("the values do not vary")
    from scipy import stats

    t = gap / math.sqrt(variance)
    return f"t = {t:.6g}, df = {df:.6g}, p = {2 * float(stats.t.sf(abs(t), df)):.6g}"


def interval(values: Sequence[float], level: float) -> str:
    """Confidence interval of the mean by Student's t."""
    _need(values, 2, "values")
    from scipy import stats

    mean = statistics.fmean(values)
    margin = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    if not math.isfinite(margin):
        raise StatisticsError("the level is too close to 1")
    return f"{level:.10g} confidence interval of the mean: {mean - margin:.8g} to {mean + margin:.8g}"


def correlation(values: Sequence[float], other: Sequence[float]) -> str:
    """Pearson's r."""
    return f"r = {_paired(statistics.correlation, values, other):.8g}"


def regression(values: Sequence[float], other: Sequence[float]) -> str:
    """Least-squares line of other (y) on values (x)."""
    line = _paired(statistics.linear_regression, values, other)
    return f"y = {line.slope:.8g} x {'-' if line.intercept < 0 else '+'} {abs(line.intercept):.8g}"


def _paired(function: Callable[..., Any], values: Sequence[float], other: Sequence[float]) -> Any:
    if len(values) != len(other) or len(values) < 2:
        raise StatisticsError("values and other must be equally long, at least 2")
    try:
        return function(values, other)
    except statistics.StatisticsError:
        raise StatisticsError("the values do not vary") from None


def _need(values: Sequence[float], least: int, name: str) -> None:
    if len(values) < least:
        raise StatisticsError(f"{name} must be a list of at least {least} numbers")
