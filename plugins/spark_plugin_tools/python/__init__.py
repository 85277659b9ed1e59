"""`python`: runs a program, and answers with what it printed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from spark_framework.api import ComponentConfig, Tool, ToolArgs, ToolContext, hookimpl

from .bubblewrap.sandbox import Sandbox
from .interpreter import Interpreter
from .monty.runner import Monty


class Python(Tool):
    """Runs a program in pydantic-monty's worker processes: a Python subset with limits on time, memory and recursion.

    With `backend: full` in CPython with numpy, scipy and sympy, in a sandbox of bubblewrap and seccomp (Linux). Where
    that cannot be had it refuses to start; it never runs a program outside.

    The clock is fixed and `random` starts from the call's seed, so that a program always prints the same.
    Answers with what was printed, or with the value of a closing expression if nothing was printed.
    """

    name = "python"
    description = (
        "Runs a short Python program and returns what it prints. Standard modules such as math and itertools only."
    )

    class Config(ComponentConfig):
        backend: Literal["monty", "full"] = "monty"
        """`monty` needs nothing; `full` has all of Python with numpy, scipy and sympy, and needs bubblewrap."""
        workers: int = Field(default=2, ge=1, le=64)
        """Programs that run at the same time."""

    class Args(ToolArgs):
        code: str = Field(max_length=8000, description="for example print(sum(range(10)))")

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._interpreter: Interpreter = Monty(self.config.workers)
        if self.config.backend == "full":
            self._interpreter = Sandbox(self.config.workers)
            self.description = (  # type: ignore[misc]  # the description depends on the settings
                "Runs a short Python program and returns what it prints. It has the standard library, numpy, scipy and "
                "sympy; no files, network or threads."
            )

    def prepare(self) -> None:
        self._interpreter.prepare()

    def call(self, args: Any, context: ToolContext) -> str:
        return self._interpreter.run(args.code, context.seed)

    def close(self) -> None:
        self._interpreter.close()


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Python]
