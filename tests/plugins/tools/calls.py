"""Calls the default tools as the framework does: validate, call, and turn every exception into `error: …`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from spark_framework.api import Tool, ToolContext

NAMES = ("calculator", "python", "solver", "science", "stats_finance", "encyclopedia", "dictionary", "search")
LIMIT = 2000


def tool_class(name: str) -> type[Tool]:
    (found,) = entry_points(group="spark_framework.v1")[f"tool.{name}"].load().spark_tools()
    return found


@cache
def tool(name: str) -> Tool:
    """One instance for all tests: pools and indexes are opened once."""
    return tool_class(name)()


def answer(tool_name: str, /, **arguments: Any) -> str:
    return call(tool(tool_name), arguments)


def call(instance: Tool, arguments: dict[str, Any], seed: int = 0) -> str:
    try:
        text = instance.call(instance.Args.model_validate(arguments), ToolContext(seed=seed))
    except Exception as error:
        text = f"error: {error}"
    return text[:LIMIT]
