import math
from typing import Any

pi, e, tau, inf, nan = math.pi, math.e, math.tau, math.inf, math.nan
infj, nanj = complex(0, math.inf), complex(0, math.nan)


def phase(z: Any) -> float:
    z = complex(z)
    return math.atan2(z.imag, z.real)


def polar(z: Any) -> tuple[float, float]:
    return abs(complex(z)), phase(z)


def rect(r: float, phi: float) -> complex:
    return complex(r * math.cos(phi), r * math.sin(phi))


def sqrt(z: Any) -> complex:
    z = complex(z)
    if z == 0:
        return complex(0, z.imag)
    half = math.sqrt((abs(z.real) + abs(z)) / 2)
    if z.real >= 0:
        return complex(half, z.imag / (2 * half))
    return complex(abs(z.imag) / (2 * half), math.copysign(half, z.imag))


def exp(z: Any) -> complex:
    z = complex(z)
    return rect(math.exp(z.real), z.imag)


def log(z: Any, base: Any = None) -> complex:
    z = complex(z)
    natural = complex(math.log(abs(z)), phase(z))
    return natural if base is None else natural / log(base)


def log10(z: Any) -> complex:
    return log(z) / math.log(10)


def cosh(z: Any) -> complex:
    z = complex(z)
    return complex(math.cosh(z.real) * math.cos(z.imag), math.sinh(z.real) * math.sin(z.imag))


def sinh(z: Any) -> complex:
    z = complex(z)
    return complex(math.sinh(z.real) * math.cos(z.imag), math.cosh(z.real) * math.sin(z.imag))


def tanh(z: Any) -> complex:
    return sinh(z) / cosh(z)


def cos(z: Any) -> complex:
    z = complex(z)
    return cosh(complex(-z.imag, z.real))


def sin(z: Any) -> complex:
    z = complex(z)
    turned = sinh(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


def tan(z: Any) -> complex:
    return sin(z) / cos(z)


def isfinite(z: Any) -> bool:
    z = complex(z)
    return math.isfinite(z.real) and math.isfinite(z.imag)


def isinf(z: Any) -> bool:
    z = complex(z)
    return math.isinf(z.real) or math.isinf(z.imag)


def isnan(z: Any) -> bool:
    z = complex(z)
    return math.isnan(z.real) or math.isnan(z.imag)


def isclose(a: Any, b: Any, rel_tol: float = 1e-09, abs_tol: float = 0.0) -> bool:
    return bool(a == b or abs(a - b) <= max(rel_tol * max(abs(a), abs(b)), abs_tol))
