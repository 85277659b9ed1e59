"""`stats_finance`: distributions, samples, time value of money and dates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from spark_framework.api import Tool, ToolArgs, ToolContext, ToolError, hookimpl

from ..shared.numbers import Integer, Number
from . import finance, statistics

_LIMIT = 1e15


def _amount(description: str = "") -> Any:
    return Field(default=0.0, ge=-_LIMIT, le=_LIMIT, allow_inf_nan=False, description=description or None)


class StatsFinance(Tool):
    """Each operation reads its own arguments; the others are ignored."""

    name = "stats_finance"
    description = (
        "Statistics (dist, describe, ttest, interval, correlation, regression), time value of money "
        "(pv, fv, pmt, npv, irr) and dates (date_add, date_diff, weekday)."
    )

    class Args(ToolArgs):
        op: Literal[
            "dist",
            "describe",
            "ttest",
            "interval",
            "correlation",
            "regression",
            "pv",
            "fv",
            "pmt",
            "npv",
            "irr",
            "date_add",
            "date_diff",
            "weekday",
        ]
        name: str = Field(
            default="",
            max_length=20,
            description="dist: normal, t, chi2, f, binomial, poisson, geometric, exponential or uniform",
        )
        fn: str = Field(
            default="",
            max_length=20,
            description="dist: cdf, sf, ppf, pdf or pmf; describe: mean, median, mode, sd, range and others",
        )
        x: Number = _amount("dist: the point; ttest: the mean to test against")
        params: list[Number] = Field(
            default=[], max_length=3, description="dist: normal [mean, sd], binomial [n, p], t [df]"
        )
        values: list[Number] = Field(
            default=[], max_length=200, description="the numbers, or the cash flows from now on"
        )
        other: list[Number] = Field(default=[], max_length=200, description="the second sample")
        level: Number = Field(default=0.95, gt=0, lt=1, description="interval: confidence level")
        rate: Number = Field(default=0.0, gt=-1, le=100, description="per period, 0.05 for 5%")
        n: Number = Field(default=0.0, ge=0, le=5000, description="number of periods")
        pmt: Number = _amount("payment at the end of each period")
        pv: Number = _amount("present value")
        fv: Number = _amount("future value")
        date: str = Field(default="", max_length=10, description="YYYY-MM-DD")
        days: Integer = Field(
            default=0, ge=-4_000_000, le=4_000_000, description="date_add: how many, back if negative"
        )
        to_date: str = Field(default="", max_length=10, description="date_diff: YYYY-MM-DD")

    def call(self, args: Any, context: ToolContext) -> str:
        if any(not abs(value) <= _LIMIT for value in (*args.params, *args.values, *args.other)):
            raise ToolError("values must be finite and below 1e15")
        try:
            return _OPERATIONS[args.op](args)
        except (statistics.StatisticsError, finance.FinanceError) as error:
            raise ToolError(str(error)) from None
        except ArithmeticError:
            raise ToolError("result out of range") from None


_OPERATIONS: dict[str, Callable[[Any], str]] = {
    "dist": lambda a: statistics.dist(a.name, a.fn, a.x, a.params),
    "describe": lambda a: statistics.describe(a.values, a.fn),
    "ttest": lambda a: statistics.ttest(a.values, a.other, a.x),
    "interval": lambda a: statistics.interval(a.values, a.level),
    "correlation": lambda a: statistics.correlation(a.values, a.other),
    "regression": lambda a: statistics.regression(a.values, a.other),
    "pv": lambda a: finance.present_value(a.rate, a.n, a.pmt, a.fv),
    "fv": lambda a: finance.future_value(a.rate, a.n, a.pmt, a.pv),
    "pmt": lambda a: finance.payment(a.rate, a.n, a.pv, a.fv),
    "npv": lambda a: finance.net_present_value(a.rate, a.values),
    "irr": lambda a: finance.internal_rate(a.values),
    "date_add": lambda a: finance.date_add(a.date, a.days),
    "date_diff": lambda a: finance.date_diff(a.date, a.to_date),
    "weekday": lambda a: finance.weekday(a.date),
}


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [StatsFinance]
