"""Symbolic mathematics on untrusted text. Runs in a worker process; text becomes sympy objects without any `eval`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy
from sympy.printing.str import StrPrinter

from ._expressions import COMPARISONS, Call, ExpressionError, Name, Node, Number, Operation, parse

MAX_BITS = 8192
MAX_GAMMA = 500  # largest argument of a factorial and its relatives

_SAME_NAME = (
    "sin cos tan cot sec csc asin acos atan sinh cosh tanh asinh acosh atanh exp sqrt cbrt sign floor ceiling "
    "factorial binomial gamma erf gcd lcm re im conjugate"
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ln": sympy.log,
    "log": sympy.log,
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


def answer(request: Mapping[str, Any]) -> dict[str, str]:
    """The worker's entry: `{"text": …}`, or `{"error": …}` with one short line."""
    try:
        return {"text": compute(request["op"], request["expressions"], request["variables"])}
    except ExpressionError as error:
        return {"error": str(error)}
    except (MemoryError, RecursionError):
        return {"error": "too large to compute"}
    except NotImplementedError:
        return {"error": "no exact method is known for this; ask something simpler"}
    except Exception as error:  # sympy raises many kinds
        return {"error": f"cannot compute this ({type(error).__name__})"}


def compute(op: str, expressions: Sequence[str], variables: Sequence[str]) -> str:
    """Carry out one operation of the solver."""
    builder = _Builder(expressions, variables)
    built = builder.built
    if op != "solve":
        built = [expression.rhs if _is_assignment(op, expression) else expression for expression in built]
    for name in variables:
        if not re.fullmatch(r"[^\W\d]\w{0,11}", name):
            raise ExpressionError(f"bad variable name {name[:20]!r}")
    symbols = [builder.symbol(name) for name in variables]
    return _OPERATIONS[op](built, symbols)


def _is_assignment(op: str, expression: Any) -> bool:
    """`x = 3` stands for 3 where only a point can be meant, and `f = x^2` for its right side."""
    return op != "eval" and isinstance(expression, sympy.Eq) and expression.lhs.is_Symbol


class _Builder:
    """Builds sympy objects from parsed trees. Names in `variables` are symbols even where they look like constants."""

    def __init__(self, expressions: Sequence[str], variables: Sequence[str]) -> None:
        trees = [parse(text, _FUNCTIONS) for text in expressions]
        self.variables = frozenset(variables)
        # Absolute values and order only make sense for real unknowns; elsewhere complex solutions are wanted.
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
    if name in ("factorial", "binomial", "comb", "nCr", "gamma") and any(
        argument.is_number and abs(argument.evalf(15)) > MAX_GAMMA for argument in arguments
    ):
        raise ExpressionError(f"the argument of {name} is too large")
    try:
        return _FUNCTIONS[name](*arguments)
    except TypeError:
        raise ExpressionError(f"wrong arguments for {name}") from None


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


# -- operations ------------------------------------------------------------------------------------------------------


def _solve(given: list[Any], symbols: list[Any]) -> str:
    if not symbols:
        symbols = _unknowns(given) if len(given) > 1 else [_main_symbol(given)]
    if len(given) == 1 and not isinstance(given[0], sympy.Eq | sympy.Expr):
        return _text(sympy.solve(given[0], symbols[0]))
    equations = [item.lhs - item.rhs if isinstance(item, sympy.Eq) else item for item in given]
    if all(sympy.simplify(equation) == 0 for equation in equations):
        return "true for all values"
    # One equation is passed alone: in a list, sympy finds no root of x^5 - x + 1.
    solutions = sympy.solve(equations if len(equations) > 1 else equations[0], symbols, dict=True)
    if not solutions:
        return "no solution"
    shown = solutions
    if len(solutions) > 4:  # a power of ten has ten roots, and one or two are wanted
        shown = [found for found in solutions if all(value.is_real for value in found.values())] or solutions
    text = " or ".join(
        ", ".join(_named(symbol, found[symbol]) for symbol in symbols if symbol in found) for found in shown
    )
    return text if shown is solutions else f"{text} (and {len(solutions) - len(shown)} complex)"


def _simplify(given: list[Any], symbols: list[Any]) -> str:
    return _value(sympy.simplify(_only(given, "simplify")))


def _expand(given: list[Any], symbols: list[Any]) -> str:
    return _value(sympy.expand(_only(given, "expand")))


def _factor(given: list[Any], symbols: list[Any]) -> str:
    expression = _only(given, "factor")
    if expression.is_Integer:
        powers = sympy.factorint(expression)
        return "*".join(f"{prime}^{power}" if power > 1 else str(prime) for prime, power in powers.items()) or "1"
    return _value(sympy.factor(expression))


def _diff(given: list[Any], symbols: list[Any]) -> str:
    expression = _only(given, "diff")
    return _value(sympy.simplify(sympy.diff(expression, *(symbols or [_main_symbol(given)]))))


def _integrate(given: list[Any], symbols: list[Any]) -> str:
    symbol = symbols[0] if symbols else _main_symbol(given[:1])
    if len(given) not in (1, 3):
        raise ExpressionError("integrate needs the function, or the function and both limits")
    definite = len(given) == 3
    result = sympy.integrate(given[0], (symbol, given[1], given[2]) if definite else symbol)
    if result.has(sympy.Integral):
        if not definite:
            raise ExpressionError("no closed form found")
        result = result.evalf(12)
    return _value(result) if definite else f"{_value(sympy.simplify(result))} + C"


def _limit(given: list[Any], symbols: list[Any]) -> str:
    if len(given) != 2:
        raise ExpressionError("limit needs the function and the point, for example ['sin(x)/x', '0']")
    return _value(sympy.limit(given[0], symbols[0] if symbols else _main_symbol(given[:1]), given[1]))


def _series(given: list[Any], symbols: list[Any]) -> str:
    point = given[1] if len(given) > 1 else 0
    return _text(sympy.series(given[0], symbols[0] if symbols else _main_symbol(given[:1]), point, 6))


def _eval(given: list[Any], symbols: list[Any]) -> str:
    expression, *assignments = given
    for assignment in assignments:
        if not (isinstance(assignment, sympy.Eq) and assignment.lhs.is_Symbol):
            raise ExpressionError("after the expression, eval takes values such as 'x = 3'")
        expression = expression.subs(assignment.lhs, assignment.rhs)
    if isinstance(expression, sympy.core.relational.Relational):
        expression = expression.doit()
    return _value(sympy.simplify(expression))


_OPERATIONS: dict[str, Callable[[list[Any], list[Any]], str]] = {
    "solve": _solve,
    "simplify": _simplify,
    "expand": _expand,
    "factor": _factor,
    "diff": _diff,
    "integrate": _integrate,
    "limit": _limit,
    "series": _series,
    "eval": _eval,
}


def _only(given: list[Any], op: str) -> Any:
    if len(given) != 1 or not isinstance(given[0], sympy.Expr):
        raise ExpressionError(f"{op} needs one expression without '='")
    return given[0]


def _unknowns(given: list[Any]) -> list[Any]:
    return sorted(set().union(*(item.free_symbols for item in given)), key=lambda symbol: str(symbol.name))


def _main_symbol(given: list[Any]) -> Any:
    """x where it occurs, else the first in the alphabet."""
    unknowns = _unknowns(given)
    if not unknowns:
        raise ExpressionError("there is no variable in the expression")
    return next((symbol for symbol in unknowns if symbol.name == "x"), unknowns[0])


# -- text ------------------------------------------------------------------------------------------------------------


def _named(symbol: Any, value: Any) -> str:
    text = _value(value)
    return f"{symbol.name} {text}" if text.startswith("≈") else f"{symbol.name} = {text}"


def _value(value: Any) -> str:
    """A value with its decimal where that says more: 7, x^2, `7/2 = 3.5`, `sqrt(2) ≈ 1.41421356237`."""
    exact = _text(value)
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
    number = value.evalf(15, chop=True)
    if number.is_real:
        return f"{float(number):.12g}" if abs(number) < 1e300 else str(sympy.N(number, 12))
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

    def _print_BooleanTrue(self, expression: Any) -> str:
        return "true"

    def _print_BooleanFalse(self, expression: Any) -> str:
        return "false"


def _text(value: Any) -> str:
    text: str = _Printer().doprint(value)
    return text.replace("**", "^").replace(" & ", " and ").replace(" | ", " or ")
