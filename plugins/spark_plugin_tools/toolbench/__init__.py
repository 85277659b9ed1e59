"""`toolbench`: the functions of a file of converted predictions as tools, answered from its recorded responses."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spark_framework.api import (
    ComponentConfig,
    ConfigError,
    Tool,
    ToolContext,
    Toolset,
    UserError,
    arguments_from_schema,
    hookimpl,
)

from .recorded_apis import RecordedApis, read_recordings

MAX_DESCRIPTION = 500
"""Characters of a function's description that a policy reads."""
TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})


class ToolBench(Toolset):
    """Tools from OpenAI function schemas. Calls get the recorded responses of the same file, offline; a call that was
    never recorded fails. `Finish` is not a tool: it is the framework's answer."""

    name = "toolbench"
    description = "The functions of a ToolBench or StepTool file, answered from its recorded responses."

    class Config(ComponentConfig):
        file: Path
        """Converted predictions: a JSON object with `available_tools` and `answer` for each query."""
        queries: tuple[str, ...] = ()
        """Ids of the queries whose functions are offered; empty: all of the file."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._tools: tuple[Tool, ...] | None = None

    def prepare(self) -> None:
        self.tools()

    def tools(self) -> Sequence[Tool]:
        """Read the file, if not yet read.

        Raises:
            UserError: the file or one of its functions cannot be used.
        """
        with self._lock:
            if self._tools is None:
                self._tools = self._read()
            return self._tools

    def _read(self) -> tuple[Tool, ...]:
        functions, apis = read_recordings(self.config.file, self.config.queries)
        return tuple(tool_from(function, apis) for function in functions)


class _Recorded(Tool):
    """One function of the file."""

    def __init__(self, apis: RecordedApis) -> None:
        super().__init__()
        self._apis = apis

    def call(self, args: Any, context: ToolContext) -> str:
        return self._apis.call(self.name, args.model_dump())


def tool_from(function: dict[str, Any], apis: RecordedApis) -> Tool:
    """A tool from the `function` part of an OpenAI function schema.

    Raises:
        UserError: its parameters are not a JSON schema.
    """
    name = function["name"]
    text = " ".join(str(function.get("description") or "").split())
    description = text if len(text) <= MAX_DESCRIPTION else f"{text[: MAX_DESCRIPTION - 1]}…"
    try:
        args = arguments_from_schema(cleaned(function.get("parameters") or {}))
    except ConfigError as exc:
        raise UserError(f"tool toolbench: function {name}: {exc}") from exc
    shown = {"name": name, "description": description or f"The function {name}.", "Args": args}
    tool: Tool = type("RecordedTool", (_Recorded,), shown)(apis)
    return tool


def cleaned(parameters: dict[str, Any]) -> dict[str, Any]:
    """ToolBench's parameters as a JSON schema: it lists names that are not properties, and types in capitals."""
    properties = {
        name: {key: value for key, value in field.items() if key != "type"} | _type(field)
        for name, field in parameters.get("properties", {}).items()
        if isinstance(field, dict)
    }
    required = [name for name in parameters.get("required", ()) if name in properties]
    return {"type": "object", "properties": properties, "required": required}


def _type(field: dict[str, Any]) -> dict[str, str]:
    name = str(field.get("type", "")).lower()
    return {"type": name} if name in TYPES else {}


@hookimpl
def spark_tools() -> list[type[Tool | Toolset]]:
    return [ToolBench]
