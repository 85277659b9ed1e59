"""Physics and engineering: formulas and units."""

from __future__ import annotations

import math
import random

from spark_framework.questions.practice.calls import Plan, calculator, convert, one_step, printed, solver
from spark_framework.questions.practice.family import Draft, family
from spark_framework.questions.practice.options import Amount


def _computed(expression: str, equation: str) -> Plan:
    """The three ways to compute a formula: as an expression, as a program, as an equation in one unknown."""
    return one_step(calculator(expression), printed(expression), solver("solve", equation))


@family(
    "physics",
    seen=(
        "What is the kinetic energy of a {m} kg object moving at {v} m/s?",
        "A {m} kg body moves at {v} m/s. Its kinetic energy is",
        "Find the kinetic energy of {m} kg at a speed of {v} m/s.",
    ),
    new=(
        "How much kinetic energy does a mass of {m} kg have at {v} m/s?",
        "A cart of {m} kg rolls at {v} m/s. Which kinetic energy does it carry?",
    ),
)
def kinetic_energy(rng: random.Random) -> Draft:
    m, v = rng.randint(2, 60), rng.randint(2, 30)
    expression = f"0.5*{m}*{v}**2"
    return Draft(
        slots={"m": m, "v": v},
        answer=Amount(0.5 * m * v**2, "J"),
        wrong=(Amount(m * v**2, "J"), Amount(m * v, "J"), Amount(0.5 * m * v, "J")),
        plan=_computed(expression, f"2*E = {m}*{v}**2"),
    )


@family(
    "physics",
    seen=(
        "What is the density of a sample of {m} g with a volume of {v} mL?",
        "A {m} g sample fills {v} mL. Its density is",
        "Find the density for mass {m} g and volume {v} mL.",
    ),
    new=(
        "A liquid of {m} g takes up {v} mL. How dense is it?",
        "How many grams per mL has a body of {m} g and {v} mL?",
    ),
)
def density(rng: random.Random) -> Draft:
    m, v = rng.randint(2, 60) * 5, rng.randint(2, 30)
    return Draft(
        slots={"m": m, "v": v},
        answer=Amount(m / v, "g/mL"),
        wrong=(Amount(v / m, "g/mL"), Amount(m * v, "g/mL")),
        plan=_computed(f"{m}/{v}", f"{v}*x = {m}"),
    )


@family(
    "physics",
    seen=(
        "A car travels {s} m in {t} s. What is its average speed?",
        "What is the average speed when {s} m are covered in {t} s?",
        "Find the average speed for a distance of {s} m and a time of {t} s.",
    ),
    new=("A runner needs {t} s for {s} m. Her average speed is", "How fast is a train that covers {s} m in {t} s?"),
)
def average_speed(rng: random.Random) -> Draft:
    s, t = rng.randint(2, 60) * 10, rng.randint(2, 30)
    return Draft(
        slots={"s": s, "t": t},
        answer=Amount(s / t, "m/s"),
        wrong=(Amount(s * t, "m/s"),),
        plan=_computed(f"{s}/{t}", f"{t}*v = {s}"),
    )


@family(
    "engineering",
    seen=(
        "A {u} V battery drives a {r} ohm resistor. What is the current?",
        "What current flows through {r} ohm at {u} V?",
        "Find the current for a voltage of {u} V and a resistance of {r} ohm.",
    ),
    new=(
        "A lamp of {r} ohm is connected to {u} V. It draws",
        "How many amperes does a {u} V source push through {r} ohm?",
    ),
)
def ohm_current(rng: random.Random) -> Draft:
    u, r = rng.randint(2, 240), rng.randint(2, 60)
    return Draft(
        slots={"u": u, "r": r},
        answer=Amount(u / r, "A"),
        wrong=(Amount(r / u, "A"), Amount(u * r, "A")),
        plan=_computed(f"{u}/{r}", f"{r}*x = {u}"),
    )


# name in the question, name for the tool, size in the family's base unit
LENGTHS = (
    ("metres", "m", 1.0), ("kilometres", "km", 1000.0), ("centimetres", "cm", 0.01),
    ("miles", "mile", 1609.344), ("feet", "foot", 0.3048), ("inches", "inch", 0.0254), ("yards", "yard", 0.9144),
)  # fmt: skip
ENERGIES = (
    ("joules", "J", 1.0), ("kilojoules", "kJ", 1000.0), ("calories", "cal", 4.184),
    ("kilocalories", "kcal", 4184.0), ("kilowatt hours", "kWh", 3.6e6),
)  # fmt: skip
MASSES = (
    ("kilograms", "kg", 1.0), ("grams", "g", 0.001), ("milligrams", "mg", 1e-6),
    ("pounds", "pound", 0.45359237), ("ounces", "ounce", 0.028349523125),
)  # fmt: skip

Unit = tuple[str, str, float]


def _rounded(value: float, unit: str) -> Amount:
    """Four digits, which the factor's eight digits determine safely."""
    return Amount(value, unit, digits=0 if value == round(value) else max(0, 3 - math.floor(math.log10(value))))


def _conversion(rng: random.Random, units: tuple[Unit, ...]) -> Draft:
    """A conversion between two units, with a factor from 0.001 to 5,000 written to eight digits."""
    while True:
        (plural, frm, size), (plural_to, to, size_to) = rng.sample(units, 2)
        if 1e-3 <= size / size_to <= 5e3:
            break
    factor = size / size_to
    value = rng.randint(2, 95) * (100 if factor < 0.01 else 1)
    expression = f"{value}*{factor:.8g}"
    return Draft(
        slots={"value": value, "frm": plural, "to": plural_to},
        answer=_rounded(value * factor, plural_to),
        wrong=(_rounded(value / factor, plural_to),),
        plan=one_step(convert(value, frm, to), calculator(expression), printed(expression)),
    )


CONVERT_SEEN = (
    "Convert {value} {frm} to {to}.",
    "How many {to} are in {value} {frm}?",
    "Express {value} {frm} in {to}.",
)
CONVERT_NEW = ("A quantity of {value} {frm} is how much in {to}?", "Write {value} {frm} as {to}.")


@family("engineering", seen=CONVERT_SEEN, new=CONVERT_NEW)
def length_conversion(rng: random.Random) -> Draft:
    return _conversion(rng, LENGTHS)


@family("physics", seen=CONVERT_SEEN, new=CONVERT_NEW)
def energy_conversion(rng: random.Random) -> Draft:
    return _conversion(rng, ENERGIES)


@family("health", seen=CONVERT_SEEN, new=CONVERT_NEW)
def mass_conversion(rng: random.Random) -> Draft:
    return _conversion(rng, MASSES)


@family(
    "physics",
    seen=(
        "What is {value} {frm} in {to}?",
        "Convert a temperature of {value} {frm} to {to}.",
        "Express {value} {frm} in {to}.",
    ),
    new=("A thermometer reads {value} {frm}. In {to} this is", "Which temperature in {to} equals {value} {frm}?"),
)
def temperature(rng: random.Random) -> Draft:
    value = rng.choice([*range(-10, 32), *range(33, 151)])  # 32 F is 0 C, and zero has no near numbers
    frm, to, unit, to_unit, expression, result = rng.choice(
        [
            ("degrees Celsius", "Fahrenheit", "degC", "degF", f"{value}*9/5+32", value * 9 / 5 + 32),
            ("degrees Fahrenheit", "Celsius", "degF", "degC", f"({value}-32)*5/9", (value - 32) * 5 / 9),
            ("degrees Celsius", "kelvin", "degC", "kelvin", f"{value}+273.15", value + 273.15),
        ]
    )
    return Draft(
        slots={"value": value, "frm": frm, "to": to},
        answer=Amount(result, "K" if to == "kelvin" else to[0], digits=1),
        plan=one_step(convert(value, unit, to_unit), calculator(expression), printed(expression)),
    )


FAMILIES = (
    kinetic_energy,
    density,
    average_speed,
    ohm_current,
    length_conversion,
    energy_conversion,
    mass_conversion,
    temperature,
)
