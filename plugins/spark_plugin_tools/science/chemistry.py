"""Chemical formulas, equations and elements. Masses and element data are molmass's (BSD)."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

MAX_CHARACTERS = 80
MAX_SPECIES = 12

_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉·•*", "0123456789...")
_PHASE = re.compile(r"\((?:aq|s|l|g)\)$")
# SO4^2-, [Cu(NH3)4]2+, NH4+; the figure belongs to the charge in Fe3+, of one element only, and the last one in SO42-.
_CHARGE = re.compile(
    r"(?:\^([0-9]*)|(?<=\])([0-9]*)|(?<=^[A-Z])([0-9])|(?<=^[A-Z][a-z])([0-9])|(?<=O[0-9])([2-4])(?=-)"
    r"|(?<=[A-Za-z)0-9]))([+-])$"
)
_PART = re.compile(r"([A-Z][a-z]?)([0-9]*)|([(\[])|([)\]])([0-9]*)")
_CLOSING = {"(": ")", "[": "]"}
ELECTRON = "electron"


class ChemistryError(ValueError):
    """The text is not chemistry, or has no answer. The message is short and meant for the model."""


def composition(formula: str) -> Counter[str]:
    """Atoms of each element, and the charge as `ELECTRON`, negative where electrons are missing.

    `CuSO4·5H2O`, `[Cu(NH3)4]2+`, `H_2SO_4`, `SO4^2-` and `e-` are read. Raises ChemistryError.
    """
    if len(formula) > MAX_CHARACTERS:
        raise ChemistryError(f"formula longer than {MAX_CHARACTERS} characters")
    text = re.sub(r"\s+(?=[0-9]*[+-]$)", "^", formula.translate(_PLAIN).strip())  # SO4 2-
    text = _PHASE.sub("", re.sub(r"[\s_{}]", "", text))
    if not text:
        raise ChemistryError("empty formula")
    if re.search(r"[0-9]{5}", text):
        raise ChemistryError("subscript too large")
    if text in ("e-", "e^-"):
        return Counter({ELECTRON: 1})
    atoms: Counter[str] = Counter()
    if charge := _CHARGE.search(text):
        *figures, sign = charge.groups()
        size = int(next(filter(None, figures), 1))
        atoms[ELECTRON] = size if sign == "-" else -size
        text = text[: charge.start()]
    for part in text.split("."):
        count, body = re.fullmatch(r"([0-9]*)(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        for symbol, number in _atoms(body, formula).items():
            atoms[symbol] += int(count or 1) * number
    if not any(number for symbol, number in atoms.items() if symbol != ELECTRON):
        raise ChemistryError(f"there are no atoms in {formula[:40]!r}")
    return atoms


def _atoms(body: str, formula: str) -> Counter[str]:
    """Atoms of a formula without dots, phases and charges."""
    unreadable = ChemistryError(f"cannot read formula {formula[:40]!r}; write it like Ca(OH)2")
    stack: list[Counter[str]] = [Counter()]
    expected: list[str] = []
    position = 0
    while position < len(body):
        match = _PART.match(body, position)
        if match is None:
            raise unreadable
        symbol, count, opening, closing, times = match.groups()
        if symbol:
            if symbol not in _elements():
                raise unreadable
            stack[-1][symbol] += int(count or 1)
        elif opening:
            stack.append(Counter())
            expected.append(_CLOSING[opening])
        elif closing and expected and closing == expected.pop():
            inner = stack.pop()
            for name, number in inner.items():
                stack[-1][name] += number * int(times or 1)
        else:
            raise unreadable
        position = match.end()
    if expected or not stack[0]:
        raise unreadable
    return stack[0]


def molar_mass(formula: str) -> str:
    """`H2SO4 = 98.0783 g/mol`; electrons of a charge weigh nothing. Raises ChemistryError."""
    atoms = composition(formula)
    del atoms[ELECTRON]
    if not atoms:
        raise ChemistryError(f"there are no atoms in {formula[:40]!r}")
    mass = sum(_elements()[symbol].mass * number for symbol, number in atoms.items())
    return f"{formula.strip()} = {mass:.7g} g/mol"


def balance(equation: str) -> str:
    """The equation with the smallest integer coefficients, found as an exact null space. Charges are balanced too.

    Raises ChemistryError.
    """
    text = re.sub(r"<?[-=]+>|[→⇌⟶]", "=", equation)
    if len(equation) > 300 or text.count("=") != 1:
        raise ChemistryError("write the equation as A + B -> C + D")
    sides = [re.split(r"\s\+\s|\+(?=[A-Z\[(\d])", side.strip()) for side in text.split("=")]
    species = [re.sub(r"^\d+\s*", "", term.strip()) for side in sides for term in side]
    if len(species) > MAX_SPECIES:
        raise ChemistryError("too many species")
    counts = [composition(term) for term in species]
    signs = [1] * len(sides[0]) + [-1] * len(sides[1])
    rows = [
        [sign * count[symbol] for sign, count in zip(signs, counts, strict=True)]
        for symbol in sorted(set().union(*counts))
    ]
    coefficients = _null_vector(rows)
    terms = [f"{n} {term}" if n > 1 else term for n, term in zip(coefficients, species, strict=True)]
    return f"{' + '.join(terms[: len(sides[0])])} -> {' + '.join(terms[len(sides[0]) :])}"


def _null_vector(rows: list[list[int]]) -> list[int]:
    """The smallest positive integers v with `rows @ v == 0`, where they are unique up to a factor."""
    from sympy import Matrix  # 0.4 s

    basis = Matrix(rows).nullspace()
    if len(basis) > 1:
        raise ChemistryError("balancing is not unique")
    if not basis or min(basis[0]) <= 0:
        raise ChemistryError("the equation cannot be balanced")
    scale = math.lcm(*(int(value.q) for value in basis[0]))  # one entry is 1, so this is the smallest
    return [int(value * scale) for value in basis[0]]


SPELLINGS = {"aluminum": "aluminium", "cesium": "caesium", "sulphur": "sulfur"}


def element(name: str) -> str:
    """Data of an element, found by name, symbol or atomic number. Raises ChemistryError."""
    wanted = name.strip().lower()
    wanted = SPELLINGS.get(wanted, wanted)
    for item in _elements():
        if wanted in (item.symbol.lower(), item.name.lower(), str(item.number)):
            return describe(item)
    raise ChemistryError(f"unknown element {name[:30]!r}")


def describe(item: Any) -> str:
    """One line about a molmass element; figures that are not known are left out."""
    facts = [
        f"{item.name} ({item.symbol}): atomic number {item.number}",
        f"atomic mass {item.mass:.6g} u",
        f"group {item.group}",
        f"period {item.period}",
    ]
    if item.eleneg:
        facts.append(f"electronegativity {item.eleneg:g}")
    if item.tmelt:
        facts.append(f"melts at {item.tmelt:g} K")
    if item.tboil:
        facts.append(f"boils at {item.tboil:g} K")
    facts.append(f"electrons {item.eleconfig}")
    return ", ".join(facts)


def _elements() -> Any:
    """All elements; indexed by symbol."""
    from molmass import ELEMENTS

    return ELEMENTS
