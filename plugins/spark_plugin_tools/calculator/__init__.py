"""`calculator`: exact arithmetic."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from spark_framework.api import Tool, ToolArgs, ToolContext, ToolError, hookimpl

from ..shared.formula_parser import ExpressionError
from .exact_arithmetic import calculate


class Calculator(Tool):
    """Computes one expression exactly. Terminating decimals print alone, other fractions as `25/3 ≈ 8.33333333333`."""

    name = "calculator"
    description = (
        "Computes an arithmetic expression exactly: + - * / ^ %, roots, log (base 10), ln, trigonometry in radians, "
        "factorial, comb, gcd, lcm, mean."
    )

    class Args(ToolArgs):
        expression: str = Field(max_length=400, description="for example 2*(3+4)^2 or 15% of 80 or sqrt(2)")

    def call(self, args: Any, context: ToolContext) -> str:
        try:
            return calculate(args.expression)
        except ExpressionError as error:
            raise ToolError(str(error)) from None


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Calculator]
