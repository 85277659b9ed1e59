"""The functions and powers of the calculator, exact where possible."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..shared.formula_parser import ExpressionError
from .mixed_numbers import MAX_BITS, MAX_MAGNITUDE, NOISE, Value, add, bits, mp, real, same_kind

MAX_ANGLE = 10**12  # above it, too few of the 30 digits are left after reduction by the period


def remainder(left: Value, right: Value) -> Value:
    if right == 0:
        raise ExpressionError("division by zero")
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left % right
    return add(left, -right * real(to_integer(math.floor)(left / right)))


def power(base: Value, exponent: Value) -> Value:
    if base == 0:
        if exponent < 0:
            raise ExpressionError("division by zero")
        return Fraction(exponent == 0)
    integral = isinstance(exponent, Fraction) and exponent.denominator == 1
    if base < 0 and not integral:
        raise ExpressionError("the result is a complex number")
    if isinstance(base, Fraction):
        if integral and abs(exponent) * max(1, bits(base) - 1) <= MAX_BITS:
            return base ** int(exponent)
        if isinstance(exponent, Fraction) and exponent == Fraction(1, 2):
            return _sqrt(base)
    growth = real(exponent) * _ln(abs(base))
    if abs(growth) > MAX_MAGNITUDE:
        raise ExpressionError("power too large: the result is out of range")
    size = mp().exp(growth)
    return -size if base < 0 and exponent % 2 else size


def _sqrt(value: Value) -> Value:
    if value < 0:
        raise ExpressionError("square root of a negative number")
    if isinstance(value, Fraction):
        above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if above**2 == value.numerator and below**2 == value.denominator:
            return Fraction(above, below)
    return mp().sqrt(real(value))


def _cbrt(value: Value) -> Value:
    root = mp().cbrt(real(abs(value)))
    return -root if value < 0 else root


def _inexact(name: str) -> Callable[..., Value]:
    """The mpmath function of that name, on a real argument."""
    return lambda argument: getattr(mp(), name)(real(argument))


def _growing(name: str) -> Callable[[Value], Value]:
    """The same for a function that overflows, for which mpmath never returns if the argument is huge."""

    def function(argument: Value) -> Value:
        if abs(argument) > MAX_MAGNITUDE:
            raise ExpressionError("result out of range")
        return getattr(mp(), name)(real(argument))

    return function


def _circular(name: str) -> Callable[[Value], Value]:
    """sin, cos or tan in radians: multiples of pi give exact zeros, and tan has poles."""

    def function(angle: Value) -> Value:
        if abs(angle) > MAX_ANGLE:
            raise ExpressionError(f"the angle of {name} is too large")
        radians = real(angle)
        result = getattr(mp(), name)(radians)
        noise = NOISE * abs(radians)
        if abs(result) * noise > 1:
            raise ExpressionError(f"{name} is not defined there")
        return Fraction(0) if abs(result) < noise else result

    return function


def _logarithm(value: Value, base: Value = Fraction(10)) -> Value:
    if value <= 0 or base <= 0 or base == 1:
        raise ExpressionError("logarithm outside its domain")
    result = _ln(value) / _ln(base)
    if isinstance(value, Fraction) and isinstance(base, Fraction):
        guess = int(mp().nint(result))
        if abs(guess) * bits(base) <= MAX_BITS and base**guess == value:
            return Fraction(guess)
    return result


def _ln(value: Value) -> Value:
    """The natural logarithm, with all digits near 1 too."""
    if isinstance(value, Fraction) and Fraction(1, 2) < value < 2:
        return mp().log1p(real(value - 1))
    return mp().log(real(value))


def to_integer(rounding: Callable[[Any], int]) -> Callable[[Value], Fraction]:
    def function(value: Value) -> Fraction:
        if not isinstance(value, Fraction):
            if abs(value) > 1e25:
                raise ExpressionError("number too large to be rounded exactly")
            value = Fraction(mp().nstr(value, 25))  # five guard digits: floor(sqrt(2)^2) is 2
        return Fraction(rounding(value))

    return function


def _round(value: Value, digits: Value = Fraction(0)) -> Fraction:
    """Half away from zero, as in schools; Python would round 2.5 to 2."""
    scale: int = 10 ** _natural(digits, 20, "round")
    half_up = to_integer(lambda number: math.floor(abs(number) + Fraction(1, 2)))(value * scale)
    return Fraction(half_up if value >= 0 else -half_up) / scale


def _natural(value: Value, limit: int, name: str) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= limit:
        raise ExpressionError(f"{name} needs whole numbers from 0 to {limit}")
    return int(value)


def _counting(function: Callable[..., int], name: str, limit: int) -> Callable[..., int]:
    return lambda *arguments: function(*(_natural(argument, limit, name) for argument in arguments))


def _on_integers(function: Callable[..., int], name: str) -> Callable[..., int]:
    def on_integers(*arguments: Value) -> int:
        if not arguments or any(not isinstance(item, Fraction) or item.denominator != 1 for item in arguments):
            raise ExpressionError(f"{name} needs whole numbers")
        return function(*map(int, arguments))

    return on_integers


def _together(function: Callable[[list[Value]], Value]) -> Callable[..., Value]:
    """`function` of all arguments, converted to mpmath numbers if one of them is one: the two kinds do not mix."""

    def gathered(*values: Value) -> Value:
        if not values:
            raise TypeError("no arguments")
        exact = all(isinstance(value, Fraction) for value in values)
        return function(list(values) if exact else [real(value) for value in values])

    return gathered


def _spread(values: list[Value]) -> Value:
    """Sample standard deviation."""
    mean = sum(values) / len(values)
    return _sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "sqrt": _sqrt,
    "log": _logarithm,
    "log10": _logarithm,
    "log2": lambda value: _logarithm(value, Fraction(2)),
    "ln": lambda value: Fraction(0) if value == 1 else _logarithm(value, +mp().e),
    "abs": abs,
    "floor": to_integer(math.floor),
    "ceil": to_integer(math.ceil),
    "round": _round,
    "min": _together(min),
    "max": _together(max),
    "sum": _together(sum),
    **{name: _together(lambda values: sum(values) / len(values)) for name in ("mean", "average")},
    "median": _together(statistics.median),
    "stdev": _together(_spread),
    "gcd": _on_integers(math.gcd, "gcd"),
    "lcm": _on_integers(math.lcm, "lcm"),
    "mod": lambda left, right: remainder(*same_kind(left, right)),
    "radians": lambda value: real(value) * mp().pi / 180,
    "degrees": lambda value: real(value) * 180 / mp().pi,
    "factorial": _counting(math.factorial, "factorial", 1000),
    **{name: _counting(math.comb, "comb", 2000) for name in ("comb", "nCr", "C")},
    **{name: _counting(math.perm, "perm", 1000) for name in ("perm", "nPr", "P")},
    **{name: _circular(name) for name in ("sin", "cos", "tan")},
    **{name: _growing(name) for name in ("exp", "sinh", "cosh", "gamma")},
    **{name: _inexact(name) for name in ("asin", "acos", "atan", "tanh", "erf")},
    "cbrt": _cbrt,
}
