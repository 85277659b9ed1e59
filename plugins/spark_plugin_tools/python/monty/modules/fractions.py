import math
from decimal import Decimal
from typing import Any


class Fraction:
    """An exact ratio. It cannot be compared by < and is always true: Monty does not ask classes about that."""

    def __init__(self, numerator: Any = 0, denominator: Any = 1) -> None:
        over, under = _ratio(numerator)
        over2, under2 = _ratio(denominator)
        top, bottom = over * under2, under * over2
        if bottom == 0:
            raise ZeroDivisionError(f"Fraction({top}, 0)")
        shared = math.gcd(top, bottom) * (-1 if bottom < 0 else 1)
        self.numerator: int = top // shared
        self.denominator: int = bottom // shared

    def __add__(self, other: Any) -> Any:
        if isinstance(other, (float, complex)):
            return float(self) + other
        over, under = _ratio(other)
        return Fraction(self.numerator * under + over * self.denominator, self.denominator * under)

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, (float, complex)):
            return float(self) * other
        over, under = _ratio(other)
        return Fraction(self.numerator * over, self.denominator * under)

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, (float, complex)):
            return float(self) / other
        over, under = _ratio(other)
        return Fraction(self.numerator * under, self.denominator * over)

    def __rtruediv__(self, other: Any) -> Any:
        if isinstance(other, (float, complex)):
            return other / float(self)
        return Fraction(other) / self

    def __floordiv__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) // other
        over, under = _ratio(other)
        return (self.numerator * under) // (self.denominator * over)

    def __mod__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) % other
        return self - other * (self // other)

    def __pow__(self, power: Any) -> Any:
        if isinstance(power, Fraction) and power.denominator == 1:
            power = power.numerator
        if not isinstance(power, int):
            return float(self) ** float(power)
        if power >= 0:
            return Fraction(self.numerator**power, self.denominator**power)
        return Fraction(self.denominator**-power, self.numerator**-power)

    def __rpow__(self, base: Any) -> Any:
        if self.denominator == 1:
            return base**self.numerator
        return float(base) ** float(self)

    def __neg__(self) -> Any:
        return Fraction(-self.numerator, self.denominator)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return Fraction(abs(self.numerator), self.denominator)

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, Fraction):
            return self.numerator == other.numerator and self.denominator == other.denominator
        if isinstance(other, int):
            return self.denominator == 1 and self.numerator == other
        return isinstance(other, float) and math.isfinite(other) and self == Fraction(other)

    def __hash__(self) -> int:
        return hash(self.numerator) if self.denominator == 1 else hash((self.numerator, self.denominator))

    def __float__(self) -> float:
        return self.numerator / self.denominator

    def __int__(self) -> int:
        whole = abs(self.numerator) // self.denominator
        return whole if self.numerator >= 0 else -whole

    def __round__(self, digits: Any = None) -> Any:
        if digits is not None:
            scale = Fraction(10) ** digits
            return Fraction(round(self * scale)) / scale
        floor = self.numerator // self.denominator
        twice = 2 * (self.numerator - floor * self.denominator)
        if twice == self.denominator:
            return floor + floor % 2
        return floor + 1 if twice > self.denominator else floor

    def __str__(self) -> str:
        return str(self.numerator) if self.denominator == 1 else f"{self.numerator}/{self.denominator}"

    def __repr__(self) -> str:
        return f"Fraction({self.numerator}, {self.denominator})"

    def as_integer_ratio(self) -> tuple[int, int]:
        return self.numerator, self.denominator

    def limit_denominator(self, limit: int = 1_000_000) -> Any:
        """The closest fraction with a denominator up to `limit`, by continued fractions."""
        if self.denominator <= limit:
            return self
        p0, q0, p1, q1 = 0, 1, 1, 0
        n, d = self.numerator, self.denominator
        while q0 + n // d * q1 <= limit:
            whole = n // d
            p0, q0, p1, q1 = p1, q1, p0 + whole * p1, q0 + whole * q1
            n, d = d, n - whole * d
        k = (limit - q0) // q1
        if 2 * d * (q0 + k * q1) <= self.denominator:
            return Fraction(p1, q1)
        return Fraction(p0 + k * p1, q0 + k * q1)


def _ratio(value: Any) -> tuple[int, int]:
    """Numerator and denominator of what a fraction can be made of."""
    if isinstance(value, Fraction):
        return value.numerator, value.denominator
    if isinstance(value, int):
        return int(value), 1
    if isinstance(value, float):
        if math.isinf(value) or math.isnan(value):
            raise ValueError(f"cannot convert {value} to integer ratio")
        mantissa, exponent = math.frexp(value)
        return _scaled(int(mantissa * 2**53), 2, exponent - 53)
    if isinstance(value, (str, Decimal)):
        return _read(str(value))
    raise TypeError(f"argument should be a number or a string, not {type(value).__name__}")


def _read(text: str) -> tuple[int, int]:
    """`3`, `-3/4`, `0.25`, `1e-3`."""
    over, slash, under = text.strip().replace("_", "").partition("/")
    if slash:
        return int(over), int(under)
    digits, _, exponent = over.lower().partition("e")
    whole, _, part = digits.partition(".")
    return _scaled(int(whole + part), 10, int(exponent or 0) - len(part))


def _scaled(number: int, base: int, exponent: int) -> tuple[int, int]:
    if exponent >= 0:
        return int(number * base**exponent), 1
    return number, int(base**-exponent)
