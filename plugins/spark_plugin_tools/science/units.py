"""Unit conversion with pint and physical constants with scipy, on untrusted text."""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from ..calculator.exact_arithmetic import evaluate
from ..shared.formula_parser import ExpressionError

MAX_CHARACTERS = 80
MAX_EXPONENT = 12
MAX_UNITS = 12
SMALLEST, LARGEST = 1e-300, 1e300  # sizes between which floats have all their digits

_LOCK = Lock()  # pint's registry fills caches while it parses

# Common spellings, and pint's.
_REWRITTEN = (
    (r"\^", "**"),
    ("[·⋅×]", "*"),
    ("²", "**2"),
    ("³", "**3"),
    ("°C", "degC"),
    ("°F", "degF"),
    (r"\b[kK](?:mh|ph)\b", "km/h"),
    (r"\bbtu\b", "BTU"),
    (r"\bCalories?\b", "kcal"),
    (r"\bfl[ _.]oz\b", "fluid_ounce"),
    (r"\b(?:deg|degrees?)[ _](?=[CFcf])", "deg"),
    (r"\bdeg(?:Celsius|celsius)\b", "degC"),
    (r"\bdeg(?:Fahrenheit|fahrenheit)\b", "degF"),
    (r"\bCelsius\b", "celsius"),
    (r"\bFahrenheit\b", "fahrenheit"),
    (r"\bKelvin\b", "kelvin"),
)
_EXPONENT = r"\*\*\s*\(?\s*(-?[0-9]+(?:\.[0-9]+)?)(?![0-9_.]|[eE][-+]?[0-9])"
_ANGLE = r"\b(?:rad|radians?|deg|degrees?|rpm|revolutions?_per_minute|revolutions?|turns?|cycles?)\b"
_HERTZ = r"\b(?:[hH]ertz|Hz)\b"


class UnitError(ValueError):
    """The text is not a unit or a constant, or there is no answer. The message is short and meant for the model."""


@cache
def _registry() -> Any:
    import pint

    registry = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    registry.enable_contexts("Gaussian")  # gauss to tesla
    return registry


def convert(value: float | str, source: str, target: str) -> str:
    """`60 mile/hour = 26.8224 m/s`. Offset units count from their own zero. Raises UnitError."""
    try:
        number = float(evaluate(value) if isinstance(value, str) else value)
    except ExpressionError as error:
        raise UnitError(f"bad value: {error}") from None
    except OverflowError:
        raise UnitError("the value is out of range") from None
    if number and not SMALLEST <= abs(number) <= LARGEST:
        raise UnitError("the value is out of range")
    if {source.strip(), target.strip()} <= {"C", "F", "K"}:  # no other quantity goes between these letters
        read_source, read_target = ({"C": "degC", "F": "degF"}.get(text.strip(), "K") for text in (source, target))
    else:
        read_source, read_target = source, target
        if re.search(_ANGLE, f"{source} {target}"):  # one hertz is one turn a second, and pint takes a radian for 1
            read_source, read_target = (re.sub(_HERTZ, "(turn/s)", text) for text in (source, target))
    with _LOCK:
        start, end = _unit(read_source), _unit(read_target)
        result = _converted(number, start, end, f"{source} to {target}")
    return f"{number:.9g} {source.strip()} = {result:.9g} {target.strip()}"


def _converted(number: float, start: Any, end: Any, what: str) -> float:
    import pint

    try:
        result = float(_registry().Quantity(number, start).to(end).magnitude)
    except pint.DimensionalityError:
        raise UnitError(f"cannot convert {what}: different dimensions") from None
    except (pint.PintError, ArithmeticError, ValueError, TypeError):
        raise UnitError(f"cannot convert {what}") from None
    vanished = result == 0 and 0 < abs(number) < 1  # a larger number can be the zero of another scale
    if not abs(result) <= LARGEST or vanished or 0 < abs(result) < SMALLEST:
        raise UnitError("result out of range")
    return result


@lru_cache(maxsize=1024)
def _unit(text: str) -> Any:
    """pint evaluates exponents, so nothing large may reach it."""
    import pint

    if len(text) > MAX_CHARACTERS:
        raise UnitError(f"unit text longer than {MAX_CHARACTERS} characters")
    text = text.strip()
    for pattern, replacement in _REWRITTEN:
        text = re.sub(pattern, replacement, text)
    if not text:
        raise UnitError("empty unit")
    if not re.fullmatch(r"[A-Za-zµμΩÅ%_0-9*/(). -]*", text):
        raise UnitError("the unit has a character that is not allowed; write units like kg*m/s^2")
    exponents = re.findall(_EXPONENT, text)
    if len(exponents) != text.count("**") or re.search(r"\*\*[^A-Za-z*/]*\*\*", text):
        raise UnitError("bad exponent in the unit")
    if any(abs(float(exponent)) > MAX_EXPONENT for exponent in exponents):
        raise UnitError("unit exponent too large")
    if re.search(r"(?<![A-Za-z_0-9.])\d", re.sub(r"^1\s*(?=/)", "", re.sub(_EXPONENT, "", text))):
        raise UnitError("put numbers in value, not in the unit")
    if len(re.findall(r"[A-Za-zµμΩÅ%]+", text)) > MAX_UNITS:
        raise UnitError("too many units")
    try:
        return _registry().Unit(text)
    except pint.UndefinedUnitError:
        raise UnitError(f"unknown unit in {text[:40]!r}") from None
    except Exception:  # pint's parser raises many kinds
        raise UnitError(f"cannot read unit {text[:40]!r}") from None


_ALIASES = {
    "c": "speed of light in vacuum",
    "speed of light": "speed of light in vacuum",
    "g": "standard acceleration of gravity",
    "gravity": "standard acceleration of gravity",
    "acceleration of gravity": "standard acceleration of gravity",
    "G": "Newtonian constant of gravitation",
    "gravitational constant": "Newtonian constant of gravitation",
    "h": "Planck constant",
    "hbar": "reduced Planck constant",
    "R": "molar gas constant",
    "gas constant": "molar gas constant",
    "ideal gas constant": "molar gas constant",
    "universal gas constant": "molar gas constant",
    "k": "Boltzmann constant",
    "kB": "Boltzmann constant",
    "k_B": "Boltzmann constant",
    "NA": "Avogadro constant",
    "N_A": "Avogadro constant",
    "avogadro's number": "Avogadro constant",
    "avogadro number": "Avogadro constant",
    "e": "elementary charge",
    "electron charge": "elementary charge",
    "charge of an electron": "elementary charge",
    "F": "Faraday constant",
    "sigma": "Stefan-Boltzmann constant",
    "epsilon_0": "vacuum electric permittivity",
    "permittivity of free space": "vacuum electric permittivity",
    "mu_0": "vacuum mag. permeability",
    "permeability of free space": "vacuum mag. permeability",
    "m_e": "electron mass",
    "mass of an electron": "electron mass",
    "m_p": "proton mass",
    "mass of a proton": "proton mass",
    "m_n": "neutron mass",
    "coulomb constant": "Coulomb constant",
    "pi": "pi",
}


def constant(name: str) -> str:
    """`speed of light in vacuum = 299792458 m s^-1`; by symbol, usual name or words of the name. Raises UnitError."""
    table = _constants()
    wanted = name.strip()
    found = _ALIASES.get(wanted) or _ALIASES.get(wanted.lower())
    if found is None:
        words = re.findall(r"[a-z0-9]+", wanted.lower().replace("'s", ""))
        if not any(len(word) > 2 and word not in ("constant", "the") for word in words):
            raise UnitError("name a physical constant, for example speed of light")
        fitting = [key for key in table if set(words) <= set(re.findall(r"[a-z0-9]+", key.lower()))]
        if not fitting:
            raise UnitError(f"unknown constant {wanted[:40]!r}")
        found = min(fitting, key=lambda key: ("constant" not in key, len(key), key))
    value, unit = table[found]
    return f"{found} = {value:.10g} {unit}".rstrip()


@cache
def _constants() -> dict[str, tuple[float, str]]:
    """CODATA values, and three that are not in its table."""
    from scipy.constants import physical_constants

    table = {key: (value, unit) for key, (value, unit, _) in physical_constants.items()}
    table["standard acceleration of gravity"] = (9.80665, "m s^-2")
    table["pi"] = (math.pi, "")
    table["Coulomb constant"] = (8.9875517862e9, "N m^2 C^-2")
    return table
