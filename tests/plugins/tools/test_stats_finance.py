"""`stats_finance`: distributions, samples, money, dates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugins.tools.calls import answer


@pytest.mark.parametrize(
    ("name", "fn", "x", "params", "expected"),
    [
        ("normal", "cdf", 1.96, [], 0.9750021049),
        ("normal", "sf", 115, [100, 15], 0.1586552539),
        ("normal", "ppf", 0.975, [], 1.959963985),
        ("t", "ppf", 0.975, [9], 2.262157163),
        ("chi2", "sf", 3.841458821, [1], 0.05),
        ("f", "cdf", 1, [5, 5], 0.5),
        ("binomial", "pmf", 3, [10, 0.5], 0.1171875),
        ("binomial", "pdf", 3, [10, 0.5], 0.1171875),
        ("poisson", "cdf", 2, [3], 0.4231900811),
        ("geometric", "pmf", 3, [0.5], 0.125),
        ("exponential", "sf", 2, [0.5], 0.3678794412),  # a rate
        ("uniform", "cdf", 3, [2, 6], 0.25),  # low and high
    ],
)
def test_dist(name: str, fn: str, x: float, params: list[float], expected: float) -> None:
    text = answer("stats_finance", op="dist", name=name, fn=fn, x=x, params=params)
    assert float(text) == pytest.approx(expected, abs=1e-9)


SAMPLE = [2.0, 4, 4, 4, 5, 5, 7, 9]


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        ("mean", "5"),
        ("median", "4.5"),
        ("mode", "4"),
        ("sd", "2.138089935"),
        ("variance", "4.571428571"),
        ("population_sd", "2"),
        ("range", "7"),
        ("min", "2"),
        ("max", "9"),
        ("sum", "40"),
        ("n", "8"),
        (
            "",
            "n = 8, sum = 40, mean = 5, median = 4.5, mode = 4, min = 2, max = 9, range = 7, "
            "sd = 2.138089935, variance = 4.571428571",
        ),
    ],
)
def test_describe(fn: str, expected: str) -> None:
    assert answer("stats_finance", op="describe", values=SAMPLE, fn=fn) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # against scipy.stats.ttest_1samp, ttest_ind(equal_var=False) and t.interval
        ({"op": "ttest", "values": [5.1, 4.9, 5.6, 5.8], "x": 5}, "t = 1.66541, df = 3, p = 0.194421"),
        ({"op": "ttest", "values": [5.1, 4.9, 5.6], "other": [6, 7, 8]}, "t = -2.93288, df = 2.51136, p = 0.0756267"),
        (
            {"op": "interval", "values": [5.1, 4.9, 5.6]},
            "0.95 confidence interval of the mean: 4.3043314 to 6.0956686",
        ),
        ({"op": "correlation", "values": [1, 2, 3], "other": [2, 4, 7]}, "r = 0.99339927"),
        ({"op": "regression", "values": [1, 2, 3], "other": [1, 3, 5]}, "y = 2 x - 1"),
        ({"op": "fv", "rate": 0.07, "n": 5, "pv": 1000}, "1402.55"),
        ({"op": "fv", "rate": 0, "n": 5, "pmt": 10}, "50.00"),
        ({"op": "pv", "rate": 0.07, "n": 5, "fv": 1000}, "712.99"),
        ({"op": "pv", "rate": 0.05, "n": 10, "pmt": 100}, "772.17"),
        ({"op": "pmt", "rate": 0.01, "n": 12, "pv": 1000}, "88.85"),
        ({"op": "npv", "rate": 0.1, "values": [-1000, 500, 500, 500]}, "243.43"),
        ({"op": "irr", "values": [-1000, 500, 500, 500]}, "0.233752 (23.3752%)"),
        ({"op": "irr", "values": [-100, 100]}, "0.000000 (0.0000%)"),
        ({"op": "irr", "values": [-100, 230, -132]}, "0.100000 (10.0000%) or 0.200000 (20.0000%)"),
        ({"op": "date_add", "date": "2024-03-15", "days": 60}, "2024-05-14 (Tuesday)"),
        ({"op": "date_add", "date": "2024-03-01", "days": -1}, "2024-02-29 (Thursday)"),
        ({"op": "date_diff", "date": "2024-01-01", "to_date": "2024-03-01"}, "60 days"),
        ({"op": "date_diff", "date": "2024-01-02", "to_date": "2024-01-01"}, "-1 day"),
        ({"op": "weekday", "date": "2024-07-04"}, "Thursday"),
    ],
)
def test_answers(arguments: dict[str, Any], expected: str) -> None:
    assert answer("stats_finance", **arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"op": "dist", "name": "__class__", "fn": "cdf", "x": 1}, "unknown distribution"),
        ({"op": "dist", "name": "normal", "fn": "rvs", "x": 1}, "unknown distribution or function"),
        ({"op": "dist", "name": "t", "fn": "cdf", "x": 1}, "params of t are [df]"),
        ({"op": "dist", "name": "normal", "fn": "cdf", "x": 1, "params": [0, -1]}, "outside the domain"),
        ({"op": "dist", "name": "normal", "fn": "ppf", "x": 1}, "not a finite number"),
        ({"op": "describe"}, "at least 1"),
        ({"op": "describe", "values": [1], "fn": "sd"}, "at least 2"),
        ({"op": "describe", "values": [1, 2], "fn": "foo"}, "unknown fn"),
        ({"op": "describe", "values": [1e16]}, "below 1e15"),
        ({"op": "describe", "values": [float("nan")]}, "finite"),
        ({"op": "describe", "values": [1.0] * 201}, "values"),
        ({"op": "ttest", "values": [5, 5], "x": 5}, "do not vary"),
        ({"op": "correlation", "values": [1, 2], "other": [1]}, "equally long"),
        ({"op": "irr", "values": [1, 2, 3]}, "no internal rate"),
        ({"op": "irr", "values": [0, 0]}, "all cash flows are 0"),
        ({"op": "irr", "values": [1.0] * 121}, "list of 2 to 120"),
        ({"op": "pv", "rate": 99, "n": 5000, "pmt": 1}, "out of range"),
        ({"op": "pmt", "rate": 0.1}, "n must be above 0"),
        ({"op": "date_add", "date": "2024-13-01"}, "YYYY-MM-DD"),
        ({"op": "date_add", "date": "9999-12-31", "days": 10}, "out of range"),
    ],
)
def test_refuses_with_a_reason(arguments: dict[str, Any], message: str) -> None:
    text = answer("stats_finance", **arguments)
    assert text.startswith("error: ")
    assert message in text
