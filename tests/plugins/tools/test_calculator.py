"""`calculator`: what it reads, what it prints, what it refuses."""

from __future__ import annotations

import pytest

from tests.plugins.tools.calls import answer


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # a whole number or a short decimal stands alone, another fraction has its decimal beside it
        ("12*37+9", "453"),
        ("25/2", "12.5"),
        ("25/3", "25/3 ≈ 8.33333333333"),
        ("0.1+0.2", "0.3"),
        ("123456789*1000.5", "123518517394.5"),
        ("1000*1.07^20", "3869.68446249"),
        ("-7/3", "-7/3 ≈ -2.33333333333"),
        ("6.02×10^23", "6.02e+23"),
        ("10^-9", "1e-9"),
        # precedence
        ("2+3*4^2", "50"),
        ("-2^2", "-4"),
        ("2^-1", "0.5"),
        ("2^3^2", "512"),
        ("7 // 2", "3"),
        ("-5 % 3", "1"),
        ("2(3+4)", "14"),
        ("(1+2)(3+4)", "21"),
        ("1/2(3)", "1.5"),
        # spellings
        ("3 x 4", "12"),
        ("6 ÷ 4 × 2 − 1", "2"),
        ("5²", "25"),
        ("√16 + √(9)", "7"),
        ("|3-5|", "2"),
        ("1,234,567+1", "1234568"),
        ("$1,200*5%", "60"),
        ("20% of 50", "10"),
        ("275.08/6.5%", "4232"),
        ("100 % 3", "1"),
        ("5! + (2+1)!", "126"),
        ("2+2=?", "4"),
        # functions; commas inside a call separate arguments
        ("gcd(12,345)", "3"),
        ("lcm(4, 6)", "12"),
        ("mean(100,200,300)", "200"),
        ("mean([1, 2, 4])", "7/3 ≈ 2.33333333333"),
        ("median(3,1,2)", "2"),
        ("stdev(2,4,4,4,5,5,7,9)", "2.1380899353"),
        ("comb(52,5)", "2598960"),
        ("perm(5,2)", "20"),
        ("factorial(20)", "2432902008176640000"),
        ("log(1000)", "3"),
        ("log(8, 2)", "3"),
        ("ln(e^2)", "2"),
        ("ln 10", "2.30258509299"),
        ("exp(1)", "2.71828182846"),
        ("round(2.675, 2)", "2.68"),
        ("round(-2.5)", "-3"),
        ("floor(-1.5)", "-2"),
        ("floor(sqrt(2)^2)", "2"),
        ("sin(pi)", "0"),
        ("sin 30°", "0.5"),
        ("cos(60°)", "0.5"),
        ("atan(1)*4", "3.14159265359"),
        ("9^0.5", "3"),
        ("max(pi, 3)", "3.14159265359"),
    ],
)
def test_computes(expression: str, expected: str) -> None:
    assert answer("calculator", expression=expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "empty expression"),
        ("1/0", "division by zero"),
        ("0^-1", "division by zero"),
        ("sqrt(-1)", "square root of a negative number"),
        ("(-8)^(1/3)", "complex"),
        ("ln(0)", "logarithm outside its domain"),
        ("tan(pi/2)", "tan is not defined there"),
        ("9^9^9", "power too large"),
        ("exp(10^9)", "out of range"),
        ("factorial(1001)", "factorial needs whole numbers from 0 to 1000"),
        ("comb(2.5, 1)", "comb needs whole numbers"),
        ("x + 1", "unknown name 'x'"),
        ("foo(3)", "unknown function 'foo'"),
        ("max()", "wrong arguments for max"),
        ("1 +", "cannot read the expression at the end"),
        ("2 3", "cannot read the expression at '3'"),
        ("(1 + 2", "expected ')'"),
        ("3 = 3", "without '='"),
        ("1 < 2", "without '<'"),
        ("a.b", "'.' is not allowed"),
        ("-" * 300 + "1", "too complex"),
        ("1+" * 150 + "1", "too complex"),
        ("1" * 401, "at most 400"),
    ],
)
def test_refuses_with_a_short_reason(expression: str, message: str) -> None:
    text = answer("calculator", expression=expression)
    assert text.startswith("error: ")
    assert message in text
