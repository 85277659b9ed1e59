"""The solver's operations, carried out with sympy in a worker process."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy
from sympy.polys.polyroots import roots_linear, roots_quadratic

from ..shared.formula_parser import ExpressionError
from .sympy_bridge import Builder, named_text, plain_text, value_text

MAX_CHARACTERS = 4000  # of an answer; the model sees fewer, and an expanded power can have millions


def answer(request: Mapping[str, Any]) -> dict[str, str]:
    """The worker's entry: `{"text": …}`, or `{"error": …}` with one short line."""
    try:
        return {"text": compute(request["op"], request["expressions"], request["variables"])[:MAX_CHARACTERS]}
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
    for name in variables:
        if not re.fullmatch(r"[^\W\d]\w{0,11}", name):
            raise ExpressionError(f"bad variable name {name[:20]!r}")
    if op != "solve":
        expressions = [re.sub(r"^\s*[A-Za-z]\([A-Za-z]\)\s*=", "", text) for text in expressions]  # f(x) = x^2
    builder = Builder(expressions, variables)
    built = builder.built
    if op not in ("solve", "eval"):  # x = 3 means the point 3, and y = x^2 the function
        built = [item.rhs if isinstance(item, sympy.Eq) and item.lhs.is_Symbol else item for item in built]
    return _OPERATIONS[op](built, [builder.symbol(name) for name in variables])


def _solve(given: list[Any], symbols: list[Any]) -> str:
    if not symbols:
        symbols = _unknowns(given) if len(given) > 1 else [_main_symbol(given)]
    if not all(isinstance(item, sympy.Eq | sympy.Expr) for item in given):
        region = sympy.solve(given, *symbols)
        return {True: "true for all values", False: "no solution"}.get(region) or plain_text(region)
    equations = [item.lhs - item.rhs if isinstance(item, sympy.Eq) else item for item in given]
    if all(map(_vanishes, equations)):
        return "true for all values"
    # One equation is passed alone: in a list, sympy finds no root of x^5 - x + 1.
    asked = equations if len(equations) > 1 else equations[0]
    roots = _roots_of_quadratic(asked, symbols) if len(equations) == 1 else None
    solutions = sympy.solve(asked, symbols, dict=True) if roots is None else [{symbols[0]: root} for root in roots]
    if not solutions:
        return "no solution"
    shown = solutions
    if len(solutions) > 4:  # a power of ten has ten roots, of which one or two matter
        shown = [found for found in solutions if all(value.is_real for value in found.values())] or solutions
    text = " or ".join(
        ", ".join(named_text(symbol, found[symbol]) for symbol in symbols if symbol in found) for found in shown
    )
    return text if shown is solutions else f"{text} (and {len(solutions) - len(shown)} complex)"


def _roots_of_quadratic(expression: Any, symbols: list[Any]) -> list[Any] | None:
    """The roots where it is a rational polynomial of one unknown, at most of the second degree; there `solve` takes
    three times as long."""
    if len(symbols) != 1 or expression.free_symbols != set(symbols) or not expression.is_polynomial(symbols[0]):
        return None
    polynomial = sympy.Poly(expression, symbols[0])
    if polynomial.degree() > 2 or not (polynomial.domain.is_ZZ or polynomial.domain.is_QQ):
        return None
    roots = roots_quadratic(polynomial) if polynomial.degree() == 2 else roots_linear(polynomial)
    return sorted(set(roots), key=sympy.default_sort_key)


def _vanishes(expression: Any) -> bool:
    """Whether it is 0 for all values. One nonzero value disproves that without simplifying, which takes 5 ms."""
    symbols = sorted(expression.free_symbols, key=lambda symbol: str(symbol.name))
    somewhere = expression.subs([(symbol, sympy.Rational(10 + 3 * place, 7)) for place, symbol in enumerate(symbols)])
    if somewhere.is_Rational and somewhere != 0:
        return False
    return bool(sympy.simplify(expression) == 0)


def _simplify(given: list[Any], symbols: list[Any]) -> str:
    return value_text(sympy.simplify(_only(given, "simplify")))


def _expand(given: list[Any], symbols: list[Any]) -> str:
    return value_text(sympy.expand(_only(given, "expand")))


def _factor(given: list[Any], symbols: list[Any]) -> str:
    expression = _only(given, "factor")
    if expression.is_Integer:
        powers = sorted(sympy.factorint(expression).items())
        return "*".join(f"{prime}^{power}" if power > 1 else str(prime) for prime, power in powers) or "1"
    return value_text(sympy.factor(expression))


def _diff(given: list[Any], symbols: list[Any]) -> str:
    expression = _only(given, "diff")
    return value_text(sympy.simplify(sympy.diff(expression, *(symbols or [_main_symbol(given)]))))


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
        if not (result.is_Float and result._prec > 1):  # so sympy marks a figure without one good digit
            raise ExpressionError("no closed form found, and no reliable figure either")
    return value_text(result) if definite else f"{value_text(sympy.simplify(result))} + C"


def _limit(given: list[Any], symbols: list[Any]) -> str:
    if len(given) != 2:
        raise ExpressionError("limit needs the function and the point, for example ['sin(x)/x', '0']")
    symbol = symbols[0] if symbols else _main_symbol(given[:1])
    try:
        value = sympy.limit(given[0], symbol, given[1], "+-")
    except ValueError:  # the two sides differ
        value = sympy.zoo
    if isinstance(value, sympy.AccumBounds):
        return f"no limit: it oscillates between {plain_text(value.min)} and {plain_text(value.max)}"
    if value is sympy.zoo:
        left, right = (value_text(sympy.limit(given[0], symbol, given[1], side)) for side in "-+")
        return f"no limit: {left} from the left, {right} from the right"
    return value_text(value)


def _series(given: list[Any], symbols: list[Any]) -> str:
    if len(given) > 2:
        raise ExpressionError("series needs the function, or the function and the point")
    point = given[1] if len(given) > 1 else 0
    return plain_text(sympy.series(given[0], symbols[0] if symbols else _main_symbol(given[:1]), point, 6))


def _eval(given: list[Any], symbols: list[Any]) -> str:
    expression, *assignments = given
    for assignment in assignments:
        if not (isinstance(assignment, sympy.Eq) and assignment.lhs.is_Symbol):
            raise ExpressionError("after the expression, eval takes values such as 'x = 3'")
        expression = expression.subs(assignment.lhs, assignment.rhs)
    if isinstance(expression, sympy.core.relational.Relational):
        expression = expression.doit()
    return value_text(sympy.simplify(expression))


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
