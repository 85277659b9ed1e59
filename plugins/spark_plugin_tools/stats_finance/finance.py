"""Time value of money, and dates. Rates are per period, payments come at the end of each."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, timedelta


class FinanceError(ValueError):
    """The request has no answer. The message is short and meant for the model."""


def future_value(rate: float, n: float, pmt: float, pv: float) -> str:
    """Future value of pv and n payments."""
    growth, annuity = _factors(rate, n)
    return _money(pv * growth + pmt * annuity)


def present_value(rate: float, n: float, pmt: float, fv: float) -> str:
    """Present value of n payments, followed by fv."""
    growth, annuity = _factors(rate, n)
    return _money((fv + pmt * annuity) / growth)


def payment(rate: float, n: float, pv: float, fv: float) -> str:
    """The payment of each period that repays a loan of pv, or saves up fv."""
    growth, annuity = _factors(rate, n)
    if annuity == 0:
        raise FinanceError("n must be above 0")
    return _money((pv * growth + fv) / annuity)


def net_present_value(rate: float, values: Sequence[float]) -> str:
    """Net present value of cash flows, the first one now and the others one period apart."""
    _need_flows(values)
    return _money(_npv(rate, values))


def internal_rate(values: Sequence[float]) -> str:
    """The rates from -90 % to 1,000 % at which the net present value is 0, by bisection between sign changes."""
    _need_flows(values)
    if not any(values):
        raise FinanceError("all cash flows are 0")
    import numpy as np

    grid = [step / 100 for step in range(-90, 1002)]
    discount = 1 / (1 + np.array(grid))
    worth = np.polynomial.polynomial.polyval(discount, values).tolist()
    rates = [
        _bisected(low, high, values)
        for low, high, left, right in zip(grid, grid[1:], worth, worth[1:], strict=False)
        if left == 0 or left * right < 0
    ]
    if not rates:
        raise FinanceError("no internal rate of return")
    return " or ".join(f"{rate:.6f} ({100 * rate:.4f}%)" for rate in rates[:3])


def _bisected(low: float, high: float, values: Sequence[float]) -> float:
    rising = _npv(high, values) > 0
    for _ in range(60):
        middle = (low + high) / 2
        if (_npv(middle, values) > 0) == rising:
            high = middle
        else:
            low = middle
    return round((low + high) / 2, 9) + 0.0  # no negative zero


def _npv(rate: float, values: Sequence[float]) -> float:
    return sum(value / (1 + rate) ** period for period, value in enumerate(values))


def _factors(rate: float, n: float) -> tuple[float, float]:
    """(1 + rate)^n, and the future value of 1 paid n times."""
    exponent = n * math.log1p(rate)
    return math.exp(exponent), n if rate == 0 else math.expm1(exponent) / rate


def _need_flows(values: Sequence[float]) -> None:
    if not 2 <= len(values) <= 120:
        raise FinanceError("values must be a list of 2 to 120 numbers")


def _money(amount: float) -> str:
    if not math.isfinite(amount):
        raise FinanceError("result out of range")
    return f"{amount:.2f}" if 1 <= abs(amount) < 1e15 else f"{amount:.6g}"


def date_add(text: str, days: int) -> str:
    """The day so many days later (or earlier), with its weekday."""
    try:
        found = _date(text) + timedelta(days=days)
    except OverflowError:
        raise FinanceError("date out of range") from None
    return f"{found.isoformat()} ({_weekday(found)})"


def date_diff(start: str, end: str) -> str:
    days = (_date(end) - _date(start)).days
    return f"{days} day{'' if abs(days) == 1 else 's'}"


def weekday(text: str) -> str:
    return _weekday(_date(text))


def _weekday(day: date) -> str:
    """In English, whatever the locale."""
    return ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day.weekday()]


def _date(text: str) -> date:
    refusal = FinanceError("a date must be YYYY-MM-DD")
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):  # Python reads weeks too, in some versions
        raise refusal
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise refusal from None
