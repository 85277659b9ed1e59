"""Biology, health and computer science: growth, body, numerals."""

from __future__ import annotations

import random

from spark_framework.questions.practice.calls import calculator, one_step, printed, solver, think
from spark_framework.questions.practice.family import Draft, family
from spark_framework.questions.practice.options import Amount


@family(
    "biology",
    seen=(
        "{start} bacteria double every {hours} hours. How many are there after {total} hours?",
        "A culture of {start} cells doubles every {hours} hours. How many cells does it have after {total} hours?",
        "With a doubling time of {hours} hours, how many bacteria come from {start} in {total} hours?",
    ),
    new=(
        "A colony starts with {start} bacteria and doubles each {hours} hours. Its size after {total} hours is",
        "How large is a population of {start} microbes after {total} hours if it doubles in {hours} hours?",
    ),
)
def bacteria(rng: random.Random) -> Draft:
    start, hours, doublings = rng.randint(2, 90) * 10, rng.randint(2, 8), rng.randint(2, 6)
    expression = f"{start}*2**{doublings}"
    return Draft(
        slots={"start": start, "hours": hours, "total": hours * doublings},
        answer=Amount(start * 2**doublings),
        wrong=(
            Amount(start * 2 * doublings),
            Amount(start * 2 ** (doublings - 1)),
            Amount(start * 2 ** (doublings + 1)),
        ),
        plan=one_step(calculator(expression), printed(expression), solver("eval", expression)),
    )


@family(
    "health",
    seen=(
        "What is the body mass index of a person of {mass} kg and {height} m?",
        "A patient weighs {mass} kg and is {height} m tall. What is the BMI?",
        "Find the body mass index for {mass} kg and {height} m.",
    ),
    new=(
        "Someone of {height} m weighs {mass} kg. The body mass index is",
        "Compute the BMI (kg per square metre) at {height} m and {mass} kg.",
    ),
)
def body_mass_index(rng: random.Random) -> Draft:
    mass, height = rng.randint(45, 120), rng.randint(150, 200) / 100
    expression = f"{mass}/{height}**2"
    return Draft(
        slots={"mass": mass, "height": height},
        answer=Amount(mass / height**2, digits=1),
        wrong=(Amount(mass / height, digits=1),),
        plan=one_step(calculator(expression), printed(expression), solver("eval", expression)),
    )


@family(
    "health",
    seen=(
        "A drug is given at {dose} mg per kg. What dose does a {mass} kg patient need?",
        "At {dose} mg per kg, how many mg does a patient of {mass} kg get?",
        "What is the dose for a {mass} kg patient at {dose} mg per kg?",
    ),
    new=(
        "Each kg of body mass needs {dose} mg of a drug. A person of {mass} kg gets",
        "The rule is {dose} mg per kg. Which dose fits {mass} kg?",
    ),
)
def drug_dose(rng: random.Random) -> Draft:
    dose, mass = rng.randint(2, 12), rng.randint(20, 99)
    expression = f"{dose}*{mass}"
    return Draft(
        slots={"dose": dose, "mass": mass},
        answer=Amount(dose * mass, "mg"),
        wrong=(Amount(dose + mass, "mg"), Amount(round(mass / dose), "mg")),
        plan=one_step(calculator(expression), printed(expression), think(f"{dose} * {mass} = {dose * mass}")),
    )


def _numeral(number: int, base: int) -> str:
    """Written with its prefix, 0b101 or 0x5f: as programs print it, and never taken for a decimal number."""
    return bin(number) if base == 2 else hex(number)


BASES = ((2, "binary"), (16, "hexadecimal"))


@family(
    "computer science",
    seen=(
        "What is the decimal value of the {kind} number {numeral}?",
        "Convert {kind} {numeral} to decimal.",
        "Write the {kind} number {numeral} in decimal.",
    ),
    new=("The {kind} numeral {numeral} equals which decimal number?", "Which decimal number is {numeral} in {kind}?"),
)
def to_decimal(rng: random.Random) -> Draft:
    base, kind = rng.choice(BASES)
    number = rng.randint(17, 255)
    numeral = _numeral(number, base)
    places = [(int(digit, 16), base**place) for place, digit in enumerate(reversed(numeral[2:])) if digit != "0"]
    sum_of_places = "+".join(f"{digit}*{size}" if base == 16 else f"{size}" for digit, size in reversed(places))
    return Draft(
        slots={"kind": kind, "numeral": numeral},
        answer=Amount(number),
        plan=one_step(
            printed(numeral),
            calculator(sum_of_places),
            think(f"{sum_of_places} = {number}"),
        ),
    )


@family(
    "computer science",
    seen=(
        "Write the decimal number {number} in {kind}.",
        "Convert decimal {number} to {kind}.",
        "What is {number} in {kind}?",
    ),
    new=("What is the {kind} form of the decimal number {number}?", "Which {kind} numeral stands for {number}?"),
)
def from_decimal(rng: random.Random) -> Draft:
    base, kind = rng.choice(BASES)
    number = rng.randint(17, 255)
    numeral = _numeral(number, base)
    others = [n for n in range(max(9, number // 2), 256) if n != number]
    return Draft(
        slots={"kind": kind, "number": number},
        answer=numeral,
        wrong=[_numeral(other, base) for other in others],
        plan=one_step(printed(f"{'bin' if base == 2 else 'hex'}({number})"), think(f"{number} in {kind} is {numeral}")),
    )


FAMILIES = (bacteria, body_mass_index, drug_dose, to_decimal, from_decimal)
