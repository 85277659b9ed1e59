"""Exact arithmetic on untrusted text: fractions where possible, 30-digit mpmath elsewhere, every size bounded."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from threading import Lock

from ..shared.formula_parser import Call, ExpressionError, Name, Node, Number, Operation, parse
from .functions import FUNCTIONS, power, remainder, to_integer
from .mixed_numbers import Value, add, bits, checked, mp, real, same_kind

_LOCK = Lock()  # mpmath keeps its precision and its constants in shared state


def evaluate(text: str) -> Value:
    """The value of an arithmetic expression. Raises ExpressionError with a short reason."""
    text = re.sub(r"(?<=[0-9)])\s+[xX]\s+(?=[0-9(])", "*", text)  # 3 x 4
    tree = parse(text, FUNCTIONS)
    with _LOCK:
        return _value(tree)


def calculate(text: str) -> str:
    """`evaluate`, written out: an integer or a short decimal alone, a fraction with its decimal value."""
    value = evaluate(text)
    with _LOCK:
        return _text(value)


def _text(value: Value) -> str:
    if not isinstance(value, Fraction):
        return _decimal(value, 12)
    exact = _decimal(value, 18)
    if Fraction(exact) == value and not (value.denominator == 1 and abs(value) < 10**21):
        return exact
    if value.denominator == 1 and bits(value) < 400:
        return str(value.numerator)
    decimal = _decimal(value, 12)
    return f"{value} ≈ {decimal}" if bits(value) <= 30 else decimal


def _decimal(value: Value, digits: int) -> str:
    """`value` to `digits` significant digits, without needless zeros."""
    text = str(mp().nstr(real(value), digits, min_fixed=-8, max_fixed=16))
    return text.removesuffix(".0").replace(".0e", "e")


def _value(node: Node) -> Value:
    if isinstance(node, Number):
        return checked(Fraction(node.text))
    if isinstance(node, Name):
        return _constant(node.name)
    if isinstance(node, Call):
        return _called(node.name, [_value(argument) for argument in node.arguments])
    operands = [_value(operand) for operand in node.operands]
    try:
        return checked(_operated(node, operands))
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None


def _operated(node: Operation, operands: list[Value]) -> Value:
    if node.symbol == "neg":
        return -operands[0]
    if node.symbol == "^":
        return power(*operands)
    left, right = same_kind(*operands)
    match node.symbol:
        case "+":
            return add(left, right)
        case "-":
            return add(left, -right)
        case "*":
            return left * right
        case "/":
            return left / right
        case "//":
            return to_integer(math.floor)(left / right)
        case "mod":
            return remainder(left, right)
    raise ExpressionError(f"write only an expression to compute, without {node.symbol!r}")


def _constant(name: str) -> Value:
    context = mp()
    constants = {"pi": context.pi, "π": context.pi, "e": context.e, "tau": 2 * context.pi, "τ": 2 * context.pi}
    if name not in constants:
        raise ExpressionError(f"unknown name {name[:20]!r}")
    return +constants[name]


def _called(name: str, arguments: list[Value]) -> Value:
    if len(arguments) > 100:
        raise ExpressionError(f"too many arguments for {name}")
    try:
        result = FUNCTIONS[name](*arguments)
        return checked(Fraction(result) if isinstance(result, int) else result)
    except ExpressionError:
        raise
    except (TypeError, ValueError, ArithmeticError, IndexError):
        raise ExpressionError(f"wrong arguments for {name}") from None
