"""`solver`: symbolic mathematics and propositional logic."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, ToolError, hookimpl

from ..shared.formula_parser import ExpressionError
from ..shared.worker_pool import WorkerError, WorkerPool
from .logic import entails

SECONDS = 5.0  # of processor time

Operation = Literal["solve", "simplify", "expand", "factor", "diff", "integrate", "limit", "series", "eval", "entails"]


class Solver(Tool):
    """Algebra and calculus with sympy in processes, with five seconds of processor time a call; logic by truth table.

    `log` is the natural logarithm here, and `i`, `e` and `pi` are constants unless they are listed as variables.
    """

    name = "solver"
    description = (
        "Solves equations and does algebra, calculus and propositional logic with symbols. "
        "integrate: function, or function and both limits; limit: function and point; eval: expression and values like "
        "'x = 3'; entails: premises, then the conclusion."
    )

    class Config(ComponentConfig):
        workers: int = Field(default=2, ge=1, le=64)
        """Processes that compute at the same time."""

    class Args(ToolArgs):
        op: Operation
        expressions: list[Annotated[str, Field(max_length=400)]] = Field(
            min_length=1, max_length=8, description="for example ['x^2 - 5x + 6 = 0']"
        )
        variables: list[Annotated[str, Field(max_length=12)]] = Field(
            default=[], max_length=6, description="what to solve or differentiate for; default: the unknowns"
        )

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._pool = pool = WorkerPool("spark_plugin_tools.solver.algebra", self.config.workers, SECONDS)
        # Calls repeat: a judge that executes all candidates' calls executes the chosen one's before the run does.
        self._reply = lru_cache(maxsize=1024)(lambda request: pool.ask(json.loads(request)))

    def call(self, args: Any, context: ToolContext) -> str:
        try:
            if args.op == "entails":
                return entails(args.expressions)
            reply = self._reply(args.model_dump_json())
        except (ExpressionError, WorkerError) as error:
            raise ToolError(str(error)) from None
        if "error" in reply:
            raise ToolError(reply["error"])
        return str(reply["text"])

    def close(self) -> None:
        self._pool.close()


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Solver]
