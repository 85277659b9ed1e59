"""`encyclopedia`: the opening of the best article."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from spark_framework.api import Tool, ToolArgs, ToolContext, ToolError, hookimpl

from . import _knowledge

LEAST_COVERAGE = 0.5
"""Share of the query that an article has to hold where the query does not name it: `capital of Atlantis` finds none."""


class Encyclopedia(Tool):
    """Searches the packaged articles: countries, events, elements, works and discoveries, formulas, terms."""

    name = "encyclopedia"
    description = "Looks up a topic and returns the opening of its article: countries, events, elements, works, laws."

    class Args(ToolArgs):
        query: str = Field(max_length=200, description="for example Battle of Hastings or capital of Peru")

    def call(self, args: Any, context: ToolContext) -> str:
        if not args.query.strip():
            raise ToolError("empty query")
        hits = _knowledge.encyclopedia().find(args.query, 1)
        if not hits or not (hits[0].is_named or hits[0].coverage >= LEAST_COVERAGE):
            raise ToolError(f"no article found for {args.query[:60]!r}; try a shorter name")
        return hits[0].text


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Encyclopedia]
