"""Numbers of two kinds: fractions where possible, 30-digit mpmath elsewhere, every size bounded."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

from ..shared.formula_parser import ExpressionError

MAX_BITS = 8192
MAX_MAGNITUDE = 40_000  # binary exponent of a non-exact number
NOISE = 1e-27  # relative size below which a result is only rounding

Value = Any
"""A `Fraction`, or an mpmath number where no exact value is known."""


@cache
def mp() -> Any:
    import mpmath  # 0.05 s, and not every run computes

    context = mpmath.mp.clone()
    context.dps = 30
    return context


def bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def checked(value: Value) -> Value:
    """The value, if it is small enough for further computation."""
    if isinstance(value, Fraction):
        return value if bits(value) <= MAX_BITS else checked(real(value))
    context = mp()
    if isinstance(value, context.mpc):
        raise ExpressionError("the result is a complex number")
    if not context.isfinite(value) or (value != 0 and abs(context.mag(value)) > MAX_MAGNITUDE):
        raise ExpressionError("result out of range")
    return value


def same_kind(left: Value, right: Value) -> tuple[Value, Value]:
    """Both as fractions or both as mpmath numbers: the two kinds do not mix."""
    exact = isinstance(left, Fraction) and isinstance(right, Fraction)
    return (left, right) if exact else (real(left), real(right))


def real(value: Value) -> Value:
    return mp().mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def add(left: Value, right: Value) -> Value:
    """Treat the difference of inexact numbers that cancel as rounding: sqrt(2)^2 - 2 is 0."""
    total = left + right
    return Fraction(0) if not isinstance(total, Fraction) and abs(total) < NOISE * abs(left) else total
