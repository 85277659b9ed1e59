"""Chemistry: molar masses, moles, elements, balanced equations."""

from __future__ import annotations

import random
import re

from spark_framework.questions.practice.calls import (
    calculator,
    encyclopedia,
    one_step,
    printed,
    science,
    search,
    solver,
    think,
)
from spark_framework.questions.practice.chemicals import COMPOUNDS, ELEMENTS, EQUATIONS
from spark_framework.questions.practice.family import Draft, family
from spark_framework.questions.practice.options import Amount

WEIGHTS = {symbol: weight for _, symbol, _, weight in ELEMENTS}
# In a description of an element, a bracketed noble gas denotes its inner electrons, `I` and `As` are English words,
# and group and period are numbers up to 18: none of these can be told from an answer.
NOT_SYMBOLS = frozenset({"He", "Ne", "Ar", "Kr", "Xe", "As"})
SYMBOLS = {name: symbol for name, symbol, _, _ in ELEMENTS if len(symbol) > 1 and symbol not in NOT_SYMBOLS}
NUMBERS = {name: number for name, _, number, _ in ELEMENTS if number > 18}


def _sum(formula: str) -> str:
    """The molar mass as an expression: H2O becomes 2*1.008+15.999."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    return "+".join(f"{count}*{WEIGHTS[symbol]}" if count else f"{WEIGHTS[symbol]}" for symbol, count in parts)


def _molar_mass(formula: str) -> float:
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    return sum(WEIGHTS[symbol] * int(count or 1) for symbol, count in parts)


@family(
    "chemistry",
    seen=(
        "What is the molar mass of {formula}?",
        "Find the molar mass of {formula} in g/mol.",
        "Compute the molar mass of the compound {formula}.",
    ),
    new=("One mole of {formula} has a mass of", "How many grams does one mole of {formula} weigh?"),
)
def molar_mass(rng: random.Random) -> Draft:
    formula = rng.choice(COMPOUNDS)
    expression = _sum(formula)
    return Draft(
        slots={"formula": formula},
        answer=Amount(_molar_mass(formula), "g/mol", digits=1),
        plan=one_step(science("molar_mass", formula=formula), calculator(expression), printed(expression)),
    )


@family(
    "chemistry",
    seen=(
        "How many moles are in {grams} g of {formula}?",
        "Find the number of moles in {grams} g of {formula}.",
        "What amount in mol is {grams} g of {formula}?",
    ),
    new=("A {grams} g sample of {formula} contains how many moles?", "{grams} g of {formula} correspond to"),
)
def moles(rng: random.Random) -> Draft:
    formula, amount = rng.choice(COMPOUNDS), rng.randint(5, 95) / 10
    mass = round(_molar_mass(formula), 1)
    grams = round(amount * mass, 1)
    expression, total = f"{grams}/{mass}", _sum(formula)
    return Draft(
        slots={"grams": grams, "formula": formula},
        answer=Amount(amount, "mol", digits=1),
        plan=(
            (science("molar_mass", formula=formula), calculator(total), printed(total)),
            (calculator(expression), printed(expression), solver("solve", f"{mass}*n = {grams}")),
        ),
    )


@family(
    "chemistry",
    seen=(
        "What is the atomic number of {name}?",
        "Which atomic number does {name} have?",
        "Find the atomic number of the element {name}.",
    ),
    new=("How many protons are in an atom of {name}?", "The number of protons of {name} is"),
)
def atomic_number(rng: random.Random) -> Draft:
    name, number = rng.choice(list(NUMBERS.items()))
    return Draft(
        slots={"name": name},
        answer=f"{number}",
        wrong=[f"{other}" for other in NUMBERS.values() if other != number],
        plan=one_step(
            science("element", name=name),
            encyclopedia(name),
            search(f"{name} atomic number"),
            think(f"{name} has the atomic number {number}"),
        ),
    )


@family(
    "chemistry",
    seen=(
        "What is the chemical symbol of {name}?",
        "Which symbol does the element {name} have?",
        "Find the symbol of {name}.",
    ),
    new=("In the periodic table {name} is written as", "Which abbreviation stands for the element {name}?"),
)
def element_symbol(rng: random.Random) -> Draft:
    name, symbol = rng.choice(list(SYMBOLS.items()))
    return Draft(
        slots={"name": name},
        answer=symbol,
        wrong=[other for other in SYMBOLS.values() if other != symbol],
        plan=one_step(
            science("element", name=name),
            encyclopedia(name),
            search(f"{name} symbol"),
            think(f"The symbol of {name} is {symbol}"),
        ),
    )


def _unbalanced(equation: str) -> str:
    return re.sub(r"\b\d+ ", "", equation)


def _variants(equation: str) -> list[str]:
    """The same reaction with wrong coefficients."""
    terms = re.split(r"( \+ | -> )", equation)
    variants = [_unbalanced(equation)]
    for place in range(0, len(terms), 2):
        count, _, formula = terms[place].rpartition(" ")
        for wrong in {1, 2, 3, 4} - {int(count or 1)}:
            term = formula if wrong == 1 else f"{wrong} {formula}"
            variants.append("".join([*terms[:place], term, *terms[place + 1 :]]))
    return sorted(set(variants) - {equation})


@family(
    "chemistry",
    seen=(
        "Balance the equation {equation}.",
        "What is the balanced form of {equation}?",
        "Which coefficients balance {equation}?",
    ),
    new=("Find the balanced equation of the reaction {equation}.", "The reaction {equation} is correctly balanced as"),
)
def balanced_equation(rng: random.Random) -> Draft:
    equation = rng.choice(EQUATIONS)
    return Draft(
        slots={"equation": _unbalanced(equation)},
        answer=equation,
        wrong=_variants(equation),
        plan=one_step(science("balance", equation=_unbalanced(equation)), think(equation)),
    )


FAMILIES = (molar_mass, moles, atomic_number, element_symbol, balanced_equation)
