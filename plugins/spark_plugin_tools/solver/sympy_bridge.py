"""From a parsed formula to sympy objects and back to text. Every size is bounded on the way in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy
from sympy.printing.str import StrPrinter

from ..shared.formula_parser import COMPARISONS, Call, ExpressionError, Name, Node, Number, Operation, parse

MAX_BITS = 8192
_LARGEST = {  # arguments of functions whose values have too many digits beyond
    **dict.fromkeys(("factorial", "gamma"), 1000),
    **dict.fromkeys(("binomial", "comb", "nCr"), 2000),
    **dict.fromkeys(("sinh", "cosh"), MAX_BITS),
}

_SAME_NAME = (
    "sin cos tan cot sec csc asin acos atan sinh cosh tanh asinh acosh atanh sqrt sign floor ceiling "
    "factorial binomial gamma erf gcd lcm re im conjugate"
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": lambda x: _power(sympy.E, x),
    "cbrt": lambda x: -sympy.cbrt(-x) if x.is_negative else sympy.cbrt(x),
    "ln": lambda x: sympy.log(x),
    "log": lambda x, base=sympy.E: _logarithm(x, base),
    "log10": lambda x: sympy.log(x, 10),
    "log2": lambda x: sympy.log(x, 2),
    "abs": sympy.Abs,
    "Abs": sympy.Abs,
    "ceil": sympy.ceiling,
    "max": sympy.Max,
    "min": sympy.Min,
    "comb": sympy.binomial,
    "nCr": sympy.binomial,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    **{name: getattr(sympy, name) for name in _SAME_NAME.split()},
}
_CONSTANTS = {"pi": sympy.pi, "π": sympy.pi, "e": sympy.E, "i": sympy.I}
_CONSTANTS |= dict.fromkeys(("oo", "inf", "infinity", "∞"), sympy.oo)
_RELATIONS = {"=": sympy.Eq, "!=": sympy.Ne, "<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge}


class Builder:
    """Builds sympy objects from parsed trees. Names in `variables` are symbols even where they look like constants."""

    def __init__(self, expressions: Sequence[str], variables: Sequence[str]) -> None:
        trees = [parse(text, _FUNCTIONS) for text in expressions]
        self.variables = frozenset(variables)
        # Absolute values and order only make sense for real unknowns; otherwise find complex solutions.
        self.real = True if any(_needs_real(tree) for tree in trees) else None
        self.built = [self.build(tree) for tree in trees]

    def symbol(self, name: str) -> Any:
        return sympy.Symbol(name, real=self.real)

    def build(self, node: Node) -> Any:
        if isinstance(node, Number):
            return sympy.Rational(node.text)
        if isinstance(node, Name):
            return self.named(node.name)
        operands = [self.build(child) for child in (node.arguments if isinstance(node, Call) else node.operands)]
        if isinstance(node, Call):
            return _called(node.name, operands)
        return _operated(node.symbol, operands)

    def named(self, name: str) -> Any:
        if name in _CONSTANTS and name not in self.variables:
            return _CONSTANTS[name]
        if len(name) > 12:
            raise ExpressionError(f"bad name {name[:20]!r}")
        return self.symbol(name)


def _needs_real(node: Node) -> bool:
    if isinstance(node, Call):
        return node.name in ("abs", "Abs") or any(map(_needs_real, node.arguments))
    if isinstance(node, Operation):
        return node.symbol in ("<", ">", "<=", ">=") or any(map(_needs_real, node.operands))
    return False


def _called(name: str, arguments: list[Any]) -> Any:
    limit = _LARGEST.get(name)
    if limit and any(argument.is_number and abs(argument.evalf(15)) > limit for argument in arguments):
        raise ExpressionError(f"the argument of {name} is too large")
    if not arguments:
        raise ExpressionError(f"wrong arguments for {name}")
    try:
        return _FUNCTIONS[name](*arguments)
    except TypeError:
        raise ExpressionError(f"wrong arguments for {name}") from None


def _logarithm(value: Any, base: Any) -> Any:
    if base in (0, 1):
        raise ExpressionError("logarithm outside its domain")
    return sympy.log(value, base)


def _operated(symbol: str, operands: list[Any]) -> Any:
    if symbol in COMPARISONS:
        return _RELATIONS[symbol](*operands, evaluate=False)
    if symbol == "neg":
        return -operands[0]
    left, right = operands
    match symbol:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            if right == 0:
                raise ExpressionError("division by zero")
            return left / right
        case "//":
            return sympy.floor(left / right)
        case "mod":
            return sympy.Mod(left, right)
    return _power(left, right)


def _power(base: Any, exponent: Any) -> Any:
    if exponent.is_number and exponent.is_finite:
        bits = max(base.p.bit_length(), base.q.bit_length()) if base.is_Rational else 1
        if bits * abs(exponent.evalf(15)) > MAX_BITS:
            raise ExpressionError("power too large")
    return base**exponent


def named_text(symbol: Any, value: Any) -> str:
    text = value_text(value)
    return f"{symbol.name} {text}" if text.startswith("≈") else f"{symbol.name} = {text}"


def value_text(value: Any) -> str:
    """A value with its decimal where that adds information: 7, x^2, `7/2 = 3.5`, `sqrt(2) ≈ 1.41421356237`.

    Raises ExpressionError if there is no value, as at a pole.
    """
    if isinstance(value, sympy.Expr) and value.has(sympy.nan, sympy.zoo) and not value.has(sympy.Piecewise):
        raise ExpressionError("the result is undefined")
    exact = plain_text(value)
    if not (isinstance(value, sympy.Expr) and value.is_number and value.is_finite) or value.is_Integer:
        return exact
    decimal = _decimal(value)
    if value.is_Float:
        return decimal
    if len(exact) > 40 or value.has(sympy.CRootOf):
        return f"≈ {decimal}"
    if not value.is_real:
        return exact
    return f"{exact} = {decimal}" if value.is_Rational and sympy.Rational(decimal) == value else f"{exact} ≈ {decimal}"


def _decimal(value: Any) -> str:
    """Twelve significant digits without needless zeros, of a real or complex number."""
    number = value.evalf(15, chop=not value.is_Rational)  # removes the rounding error of a zero, and keeps 1e-400
    if number.is_real:
        fits = number == 0 or 1e-300 < abs(number) < 1e300
        return f"{float(number):.12g}" if fits else str(sympy.N(number, 12))
    real, imaginary = map(float, number.as_real_imag())
    return f"{real:.8g} {'-' if imaginary < 0 else '+'} {abs(imaginary):.8g}i"


class _Printer(StrPrinter):  # type: ignore[misc]
    """sympy's text in the spelling that the tools read: ln, e, i, infinity."""

    def _print_log(self, expression: Any) -> str:
        return f"ln({self._print(expression.args[0])})"

    def _print_Exp1(self, expression: Any) -> str:
        return "e"

    def _print_ImaginaryUnit(self, expression: Any) -> str:
        return "i"

    def _print_Infinity(self, expression: Any) -> str:
        return "infinity"

    def _print_NegativeInfinity(self, expression: Any) -> str:
        return "-infinity"

    def _print_Relational(self, expression: Any) -> str:
        sign = {"==": "=", "!=": "!="}.get(expression.rel_op)
        if sign is None:
            return str(super()._print_Relational(expression))
        return f"{self._print(expression.lhs)} {sign} {self._print(expression.rhs)}"

    def _print_BooleanTrue(self, expression: Any) -> str:
        return "true"

    def _print_BooleanFalse(self, expression: Any) -> str:
        return "false"


def plain_text(value: Any) -> str:
    text: str = _Printer().doprint(value)
    return text.replace("**", "^").replace(" & ", " and ").replace(" | ", " or ")
