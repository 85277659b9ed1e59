"""`python`: what a program prints, and how it is stopped."""

from __future__ import annotations

import pytest
from tool_calls import answer, call, tool

from spark_plugin_tools.python import MODULES


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print(sum(range(10)))", "45"),
        ("print('a')\nprint(2.5)", "a\n2.5"),
        ("from math import sqrt\nx = sqrt(16)\nprint(f'{x:.1f}')", "4.0"),
        ("from datetime import date; print((date(2024, 3, 1) - date(2024, 2, 1)).days)", "29"),
        ("print(bin(10), hex(255))", "0b1010 0xff"),
        ("3 * 4", "12"),  # the value of a closing expression, where nothing was printed
        ("'abc'", "abc"),
        ("print(1)\n2", "1"),
    ],
)
def test_answers_with_what_was_printed(code: str, expected: str) -> None:
    assert answer("python", code=code) == expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 5", "the program printed nothing; use print()"),
        ("print(1)\n1/0", "ZeroDivisionError: division by zero (line 2)"),
        ("print(5", "SyntaxError"),
        ("import numpy", "No module named 'numpy'; there are math"),
        ("def f(n): return f(n+1)\nf(0)", "RecursionError"),
        ("open('/etc/passwd').read()", "PermissionError"),
        ("import socket", "No module named 'socket'"),
        ("9**9**9", "MemoryError"),
        ("while True: pass", "timeout"),
        ("x = 9\nfor i in range(40): x = x*x", "timeout"),  # not interruptible: its worker is killed
        ("1\x00", "SyntaxError"),
    ],
)
def test_failures_in_one_line(code: str, message: str) -> None:
    text = answer("python", code=code)
    assert text.startswith("error: ")
    assert message in text
    assert text.isprintable()
    assert answer("python", code="print(1)") == "1"


def test_the_clock_stands_still_and_chance_follows_the_seed() -> None:
    code = "import random, datetime\nprint(random.random(), datetime.datetime.now())"
    first = call(tool("python"), {"code": code}, seed=1)
    assert "2026-01-01" in first
    assert call(tool("python"), {"code": code}, seed=1) == first
    assert call(tool("python"), {"code": code}, seed=2) != first


def test_the_modules_it_names_are_there() -> None:
    for module in MODULES.split(", "):
        assert answer("python", code=f"import {module}\nprint(1)") == "1", module


def test_programs_share_nothing() -> None:
    assert answer("python", code="secret = 1\nprint(secret)") == "1"
    assert "NameError" in answer("python", code="print(secret)")


def test_output_is_cut() -> None:
    assert answer("python", code="print('x' * 1_000_000)") == "x" * 2000
