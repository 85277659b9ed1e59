"""`dictionary`: the definition of a term, and its relations."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from spark_framework.api import Tool, ToolArgs, ToolContext, ToolError, hookimpl

from . import _knowledge


class Dictionary(Tool):
    """Searches the packaged glossary by headword; endings and function words do not matter."""

    name = "dictionary"
    description = "Defines a term of science, law, economics, psychology, philosophy or history, with related terms."

    class Args(ToolArgs):
        term: str = Field(max_length=80, description="for example opportunity cost")

    def call(self, args: Any, context: ToolContext) -> str:
        if not args.term.strip():
            raise ToolError("empty term")
        for hit in _knowledge.dictionary().find(args.term, 5):
            if hit.is_named:
                return hit.text
        raise ToolError(f"no entry for {args.term[:40]!r}; give one term")


@hookimpl
def spark_tools() -> list[type[Tool]]:
    return [Dictionary]
