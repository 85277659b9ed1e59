"""Exact arithmetic on untrusted text: fractions where possible, 30-digit mpmath elsewhere, every size bounded."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from threading import Lock
from typing import Any

from ..shared.formula_parser import Call, ExpressionError, Name, Node, Number, Operation, parse

MAX_BITS = 8192
MAX_MAGNITUDE = 40_000  # binary exponent of a non-exact number
MAX_ANGLE = 10**12  # above it, too few of the 30 digits are left after reduction by the period
NOISE = 1e-27  # relative size below which a result is only rounding
_LOCK = Lock()  # mpmath keeps its precision and its constants in shared state

Value = Any
"""A `Fraction`, or an mpmath number where no exact value is known."""


@cache
def _mp() -> Any:
    import mpmath  # 0.05 s, and not every run computes

    context = mpmath.mp.clone()
    context.dps = 30
    return context


def evaluate(text: str) -> Value:
    """The value of an arithmetic expression. Raises ExpressionError with a short reason."""
    text = re.sub(r"(?<=[0-9)])\s+[xX]\s+(?=[0-9(])", "*", text)  # 3 x 4
    tree = parse(text, _FUNCTIONS)
    with _LOCK:
        return _value(tree)


def calculate(text: str) -> str:
    """`evaluate`, written out: an integer or a short decimal alone, a fraction with its decimal value."""
    value = evaluate(text)
    with _LOCK:
        return _text(value)


def _text(value: Value) -> str:
    if not isinstance(value, Fraction):
        return _decimal(value, 12)
    exact = _decimal(value, 18)
    if Fraction(exact) == value and not (value.denominator == 1 and abs(value) < 10**21):
        return exact
    if value.denominator == 1 and _bits(value) < 400:
        return str(value.numerator)
    decimal = _decimal(value, 12)
    return f"{value} ≈ {decimal}" if _bits(value) <= 30 else decimal


def _decimal(value: Value, digits: int) -> str:
    """`value` to `digits` significant digits, without needless zeros."""
    text = str(_mp().nstr(_real(value), digits, min_fixed=-8, max_fixed=16))
    return text.removesuffix(".0").replace(".0e", "e")


def _value(node: Node) -> Value:
    if isinstance(node, Number):
        return _checked(Fraction(node.text))
    if isinstance(node, Name):
        return _constant(node.name)
    if isinstance(node, Call):
        return _called(node.name, [_value(argument) for argument in node.arguments])
    operands = [_value(operand) for operand in node.operands]
    try:
        return _checked(_operated(node, operands))
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None


def _operated(node: Operation, operands: list[Value]) -> Value:
    if node.symbol == "neg":
        return -operands[0]
    if node.symbol == "^":
        return _power(*operands)
    left, right = _alike(*operands)
    match node.symbol:
        case "+":
            return _sum(left, right)
        case "-":
            return _sum(left, -right)
        case "*":
            return left * right
        case "/":
            return left / right
        case "//":
            return _whole(math.floor)(left / right)
        case "mod":
            return _remainder(left, right)
    raise ExpressionError(f"write only an expression to compute, without {node.symbol!r}")


def _constant(name: str) -> Value:
    mp = _mp()
    constants = {"pi": mp.pi, "π": mp.pi, "e": mp.e, "tau": 2 * mp.pi, "τ": 2 * mp.pi}
    if name not in constants:
        raise ExpressionError(f"unknown name {name[:20]!r}")
    return +constants[name]


def _called(name: str, arguments: list[Value]) -> Value:
    if len(arguments) > 100:
        raise ExpressionError(f"too many arguments for {name}")
    try:
        result = _FUNCTIONS[name](*arguments)
        return _checked(Fraction(result) if isinstance(result, int) else result)
    except ExpressionError:
        raise
    except (TypeError, ValueError, ArithmeticError, IndexError):
        raise ExpressionError(f"wrong arguments for {name}") from None


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _checked(value: Value) -> Value:
    """The value, if it is small enough for further computation."""
    if isinstance(value, Fraction):
        return value if _bits(value) <= MAX_BITS else _checked(_real(value))
    mp = _mp()
    if isinstance(value, mp.mpc):
        raise ExpressionError("the result is a complex number")
    if not mp.isfinite(value) or (value != 0 and abs(mp.mag(value)) > MAX_MAGNITUDE):
        raise ExpressionError("result out of range")
    return value


def _alike(left: Value, right: Value) -> tuple[Value, Value]:
    """Both as fractions or both as mpmath numbers: the two kinds do not mix."""
    exact = isinstance(left, Fraction) and isinstance(right, Fraction)
    return (left, right) if exact else (_real(left), _real(right))


def _real(value: Value) -> Value:
    return _mp().mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _sum(left: Value, right: Value) -> Value:
    """Treat the difference of inexact numbers that cancel as rounding: sqrt(2)^2 - 2 is 0."""
    total = left + right
    return Fraction(0) if not isinstance(total, Fraction) and abs(total) < NOISE * abs(left) else total


def _remainder(left: Value, right: Value) -> Value:
    if right == 0:
        raise ExpressionError("division by zero")
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left % right
    return _sum(left, -right * _real(_whole(math.floor)(left / right)))


def _power(base: Value, exponent: Value) -> Value:
    if base == 0:
        if exponent < 0:
            raise ExpressionError("division by zero")
        return Fraction(exponent == 0)
    integral = isinstance(exponent, Fraction) and exponent.denominator == 1
    if base < 0 and not integral:
        raise ExpressionError("the result is a complex number")
    if isinstance(base, Fraction):
        if integral and abs(exponent) * max(1, _bits(base) - 1) <= MAX_BITS:
            return base ** int(exponent)
        if isinstance(exponent, Fraction) and exponent == Fraction(1, 2):
            return _sqrt(base)
    growth = _real(exponent) * _ln(abs(base))
    if abs(growth) > MAX_MAGNITUDE:
        raise ExpressionError("power too large: the result is out of range")
    size = _mp().exp(growth)
    return -size if base < 0 and exponent % 2 else size


def _sqrt(value: Value) -> Value:
    if value < 0:
        raise ExpressionError("square root of a negative number")
    if isinstance(value, Fraction):
        above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if above**2 == value.numerator and below**2 == value.denominator:
            return Fraction(above, below)
    return _mp().sqrt(_real(value))


def _cbrt(value: Value) -> Value:
    root = _mp().cbrt(_real(abs(value)))
    return -root if value < 0 else root


def _inexact(name: str) -> Callable[..., Value]:
    """The mpmath function of that name, on a real argument."""
    return lambda argument: getattr(_mp(), name)(_real(argument))


def _growing(name: str) -> Callable[[Value], Value]:
    """The same for a function that overflows, for which mpmath never returns if the argument is huge."""

    def function(argument: Value) -> Value:
        if abs(argument) > MAX_MAGNITUDE:
            raise ExpressionError("result out of range")
        return getattr(_mp(), name)(_real(argument))

    return function


def _circular(name: str) -> Callable[[Value], Value]:
    """sin, cos or tan in radians: multiples of pi give exact zeros, and tan has poles."""

    def function(angle: Value) -> Value:
        if abs(angle) > MAX_ANGLE:
            raise ExpressionError(f"the angle of {name} is too large")
        real = _real(angle)
        result = getattr(_mp(), name)(real)
        noise = NOISE * abs(real)
        if abs(result) * noise > 1:
            raise ExpressionError(f"{name} is not defined there")
        return Fraction(0) if abs(result) < noise else result

    return function


def _logarithm(value: Value, base: Value = Fraction(10)) -> Value:
    if value <= 0 or base <= 0 or base == 1:
        raise ExpressionError("logarithm outside its domain")
    result = _ln(value) / _ln(base)
    if isinstance(value, Fraction) and isinstance(base, Fraction):
        guess = int(_mp().nint(result))
        if abs(guess) * _bits(base) <= MAX_BITS and base**guess == value:
            return Fraction(guess)
    return result


def _ln(value: Value) -> Value:
    """The natural logarithm, with all digits near 1 too."""
    if isinstance(value, Fraction) and Fraction(1, 2) < value < 2:
        return _mp().log1p(_real(value - 1))
    return _mp().log(_real(value))


def _whole(rounding: Callable[[Any], int]) -> Callable[[Value], Fraction]:
    def function(value: Value) -> Fraction:
        if not isinstance(value, Fraction):
            if abs(value) > 1e25:
                raise ExpressionError("number too large to be rounded exactly")
            value = Fraction(_mp().nstr(value, 25))  # five guard digits: floor(sqrt(2)^2) is 2
        return Fraction(rounding(value))

    return function


def _round(value: Value, digits: Value = Fraction(0)) -> Fraction:
    """Half away from zero, as in schools; Python would round 2.5 to 2."""
    scale: int = 10 ** _natural(digits, 20, "round")
    half_up = _whole(lambda number: math.floor(abs(number) + Fraction(1, 2)))(value * scale)
    return Fraction(half_up if value >= 0 else -half_up) / scale


def _natural(value: Value, limit: int, name: str) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= limit:
        raise ExpressionError(f"{name} needs whole numbers from 0 to {limit}")
    return int(value)


def _counting(function: Callable[..., int], name: str, limit: int) -> Callable[..., int]:
    return lambda *arguments: function(*(_natural(argument, limit, name) for argument in arguments))


def _on_integers(function: Callable[..., int], name: str) -> Callable[..., int]:
    def checked(*arguments: Value) -> int:
        if not arguments or any(not isinstance(item, Fraction) or item.denominator != 1 for item in arguments):
            raise ExpressionError(f"{name} needs whole numbers")
        return function(*map(int, arguments))

    return checked


def _together(function: Callable[[list[Value]], Value]) -> Callable[..., Value]:
    """`function` of all arguments, converted to mpmath numbers if one of them is one: the two kinds do not mix."""

    def gathered(*values: Value) -> Value:
        if not values:
            raise TypeError("no arguments")
        exact = all(isinstance(value, Fraction) for value in values)
        return function(list(values) if exact else [_real(value) for value in values])

    return gathered


def _spread(values: list[Value]) -> Value:
    """Sample standard deviation."""
    mean = sum(values) / len(values)
    return _sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "sqrt": _sqrt,
    "log": _logarithm,
    "log10": _logarithm,
    "log2": lambda value: _logarithm(value, Fraction(2)),
    "ln": lambda value: Fraction(0) if value == 1 else _logarithm(value, +_mp().e),
    "abs": abs,
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "round": _round,
    "min": _together(min),
    "max": _together(max),
    "sum": _together(sum),
    **{name: _together(lambda values: sum(values) / len(values)) for name in ("mean", "average")},
    "median": _together(statistics.median),
    "stdev": _together(_spread),
    "gcd": _on_integers(math.gcd, "gcd"),
    "lcm": _on_integers(math.lcm, "lcm"),
    "mod": lambda left, right: _remainder(*_alike(left, right)),
    "radians": lambda value: _real(value) * _mp().pi / 180,
    "degrees": lambda value: _real(value) * 180 / _mp().pi,
    "factorial": _counting(math.factorial, "factorial", 1000),
    **{name: _counting(math.comb, "comb", 2000) for name in ("comb", "nCr", "C")},
    **{name: _counting(math.perm, "perm", 1000) for name in ("perm", "nPr", "P")},
    **{name: _circular(name) for name in ("sin", "cos", "tan")},
    **{name: _growing(name) for name in ("exp", "sinh", "cosh", "gamma")},
    **{name: _inexact(name) for name in ("asin", "acos", "atan", "tanh", "erf")},
    "cbrt": _cbrt,
}
