"""`science`: conversions, masses, equations, constants, elements."""

from __future__ import annotations

import pytest

from tests.plugins.tools.calls import answer


@pytest.mark.parametrize(
    ("value", "frm", "to", "expected"),
    [
        (60, "mile/hour", "m/s", "60 mile/hour = 26.8224 m/s"),
        (72, "km/h", "m/s", "72 km/h = 20 m/s"),
        (25, "degC", "degF", "25 degC = 77 degF"),
        (25, "C", "F", "25 C = 77 F"),
        (212, "F", "K", "212 F = 373.15 K"),
        (300, "K", "°C", "300 K = 26.85 °C"),
        (100, "degrees Celsius", "kelvin", "100 degrees Celsius = 373.15 kelvin"),
        ("1/4", "hour", "s", "0.25 hour = 900 s"),
        ("1,500", "g", "kg", "1500 g = 1.5 kg"),
        (5, "meters per second", "km/h", "5 meters per second = 18 km/h"),
        (1, "square feet", "m^2", "1 square feet = 0.09290304 m^2"),
        (1, "g/cm³", "kg/m³", "1 g/cm³ = 1000 kg/m³"),
        (1, "gauss", "tesla", "1 gauss = 0.0001 tesla"),
        (2, "kcal", "J", "2 kcal = 8368 J"),
        (1, "kWh", "MJ", "1 kWh = 3.6 MJ"),
    ],
)
def test_convert(value: float | str, frm: str, to: str, expected: str) -> None:
    assert answer("science", op="convert", value=value, frm=frm, to=to) == expected


@pytest.mark.parametrize(
    ("value", "frm", "to", "message"),
    [
        (1, "m", "kg", "different dimensions"),
        (1, "bogus", "m", "unknown unit in 'bogus'"),
        (1, "10**10**10*m", "m", "exponent"),
        (1, "m**(1000)", "m", "exponent too large"),
        (1, "5 m", "m", "put numbers in value"),
        (1, "m;", "m", "not allowed"),
        (1, "m " * 20, "m", "too many units"),
        ("9**9**9", "m", "km", "power too large"),
        ("", "m", "km", "convert needs value"),
        (1, "m", "", "convert needs to"),
        (float("nan"), "m", "km", "finite number"),
        (1e308, "km", "nm", "out of range"),
    ],
)
def test_bad_conversions(value: float | str, frm: str, to: str, message: str) -> None:
    text = answer("science", op="convert", value=value, frm=frm, to=to)
    assert text.startswith("error: ")
    assert message in text


@pytest.mark.parametrize(
    ("formula", "mass"),
    [
        ("H2O", 18.015),
        ("H_2SO_4", 98.078),
        ("H₂SO₄", 98.078),
        ("Ca(OH)2", 74.093),
        ("CuSO4·5H2O", 249.685),
        ("CuSO4.5H2O", 249.685),
        ("MgSO4*7H2O", 246.474),
        ("[Cu(NH3)4]2+", 131.668),
        ("SO4^2-", 96.062),
        ("Fe3+", 55.845),
        ("NH4+", 18.038),
        ("NaCl(aq)", 58.443),
        ("CO", 28.010),
        ("Co", 58.933),
    ],
)
def test_molar_mass(formula: str, mass: float) -> None:
    text = answer("science", op="molar_mass", formula=formula)
    assert text.startswith(f"{formula} = ")
    assert text.endswith(" g/mol")
    assert float(text.split(" = ")[1].split()[0]) == pytest.approx(mass, abs=1e-3)


@pytest.mark.parametrize("formula", ["h2o", "Xx2", "ATP", "H2O)", "((H", ".", "H..O", "H99999", " ", "EtOH", "H2\n"])
def test_bad_formulas(formula: str) -> None:
    assert answer("science", op="molar_mass", formula=formula + "?").startswith("error: ")


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("H2 + O2 -> H2O", "2 H2 + O2 -> 2 H2O"),
        ("H2+O2=H2O", "2 H2 + O2 -> 2 H2O"),
        ("CH4+2O2→CO2+2H2O", "CH4 + 2 O2 -> CO2 + 2 H2O"),
        ("Al + HCl --> AlCl3 + H2", "2 Al + 6 HCl -> 2 AlCl3 + 3 H2"),
        ("KMnO4 + HCl -> KCl + MnCl2 + H2O + Cl2", "2 KMnO4 + 16 HCl -> 2 KCl + 2 MnCl2 + 8 H2O + 5 Cl2"),
        ("H2 -> O2", "error: the equation cannot be balanced"),
        ("Fe + O2 -> FeO + Fe2O3", "error: balancing is not unique"),
        ("H2O", "error: write the equation as A + B -> C + D"),
    ],
)
def test_balance(equation: str, expected: str) -> None:
    assert answer("science", op="balance", equation=equation) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("speed of light", "speed of light in vacuum = 299792458 m s^-1"),
        ("c", "speed of light in vacuum = 299792458 m s^-1"),
        ("gas constant", "molar gas constant = 8.314462618 J mol^-1 K^-1"),
        ("planck", "Planck constant = 6.62607015e-34 J Hz^-1"),
        ("Avogadro's number", "Avogadro constant = 6.02214076e+23 mol^-1"),
        ("g", "standard acceleration of gravity = 9.80665 m s^-2"),
        ("G", "Newtonian constant of gravitation = 6.6743e-11 m^3 kg^-1 s^-2"),
        ("bogus", "error: unknown constant 'bogus'"),
    ],
)
def test_constant(name: str, expected: str) -> None:
    assert answer("science", op="constant", name=name) == expected


def test_element() -> None:
    iron = answer("science", op="element", name="iron")
    assert iron.startswith(
        "Iron (Fe): atomic number 26, atomic mass 55.845 u, group 8, period 4, electronegativity 1.83"
    )
    assert answer("science", op="element", name="Fe") == answer("science", op="element", name="26") == iron
    assert answer("science", op="element", name="aluminum").startswith("Aluminium (Al): atomic number 13")
    assert answer("science", op="element", name="phlogiston") == "error: unknown element 'phlogiston'"
    assert answer("science", op="element") == "error: element needs name"
