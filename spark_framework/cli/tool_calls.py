"""Calls tools by hand, for `tools try` and `tools prepare`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..config.load import build_config, load_config
from ..contracts.components import Tool, ToolContext, Toolset
from ..errors import ConfigError, DataError, UserError
from ..host.component_spec import ComponentSpec, ToolSpec
from ..host.lifecycle import check_permissions, open_tools
from ..host.manager import Host
from ..util.strict_json import read_json


def call_tool(host: Host, args: argparse.Namespace) -> tuple[bool, str]:
    """Call one tool with the arguments of the command line. Returns (succeeded, what a model would read)."""
    with ExitStack() as stack:
        tools = _ToolRegistry(stack, args)
        arguments = _mapping(args.arguments, "the arguments")
        return host.calls.call_tool(tools.find(args.name), arguments, ToolContext())


def answer_calls(host: Host, args: argparse.Namespace) -> None:
    """Print an answer to every call of a file, as JSON lines."""
    with ExitStack() as stack:
        tools = _ToolRegistry(stack, args)
        for name, arguments in _calls(args.jsonl):
            answer = _answer(host, tools, name, arguments)
            print(json.dumps({"tool": name or None, **answer}), flush=True)


def tool_spec(name: str, settings: list[str], allowed: list[str]) -> ComponentSpec:
    """A tool as chosen on the command line. Raises `UserError` if it is unknown or lacks a permission."""
    prefixed = [f"tool.{setting}" for setting in settings]
    spec: ComponentSpec = build_config({"tool": {"use": name}}, _OneTool, prefixed, "--set").tool
    try:
        check_permissions(spec, allowed)
    except ConfigError as exc:
        permissions = " ".join(f"--allow {word}" for word in sorted(spec.build().needs))  # type: ignore[attr-defined]
        raise ConfigError(f"{str(exc).partition(';')[0]}; add {permissions}") from exc
    return spec


class _OneTool(BaseModel):
    tool: ToolSpec


class _ToolRegistry:
    """Tools by name: those of a config file, or any installed tool, opened at its first call."""

    def __init__(self, stack: ExitStack, args: argparse.Namespace) -> None:
        self._stack, self._args = stack, args
        self._tools: dict[str, Tool] = {}
        if args.config:
            self._tools.update(stack.enter_context(_tools_of(args.config)))

    def find(self, name: str) -> Tool:
        """A tool by its name, or `TOOLSET:TOOL`."""
        if name not in self._tools:
            if self._args.config:
                raise ConfigError(f"{self._args.config} has no tool {name!r}; it has {', '.join(self._tools)}")
            toolset, _, inner = name.partition(":")
            spec = tool_spec(toolset, self._args.set, self._args.allow)
            found = {tool.name: tool for tool in self._stack.enter_context(open_tools([spec]))}
            if inner not in found and issubclass(spec.cls, Toolset):
                raise ConfigError(f"write {toolset}:TOOL; its tools are {', '.join(found)}")
            self._tools[name] = found[inner or toolset.rpartition("/")[2]]
        return self._tools[name]


@contextmanager
def _tools_of(path: str) -> Iterator[dict[str, Tool]]:
    """The tools of a run's config file, with its permissions and its recorded replies."""
    from ..config.run import RunConfig
    from ..host.manager import current_host
    from ..host.tool_cache import open_replies
    from ..runs.run_dir import RunFolder

    config = load_config(path, RunConfig)
    with ExitStack() as stack:
        tools = stack.enter_context(open_tools(config.tools))
        if any("network" in tool.needs for tool in tools):
            cache = stack.enter_context(open_replies(RunFolder(config.run, config).replies(), config.replies.mode))
            stack.enter_context(current_host().calls.recorded(cache))
        yield {tool.name: tool for tool in tools}


def _answer(host: Host, tools: _ToolRegistry, name: str, arguments: dict[str, Any] | str) -> dict[str, Any]:
    """The answer to one line of the file. A call that cannot be made gets an error as its answer."""
    start = time.perf_counter()
    try:
        if isinstance(arguments, str):
            raise UserError(arguments)
        tool = tools.find(name)
        start = time.perf_counter()
        _, output = host.calls.call_tool(tool, arguments, ToolContext())
    except UserError as exc:
        output = f"error: {exc}"
    return {"output": output, "seconds": round(time.perf_counter() - start, 6)}


def _calls(source: str) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(tool, arguments) of each line; for a line that is not a call: the tool, if it can be read, and the problem."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{source}: cannot be read as UTF-8 text ({exc})") from exc
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        call: Any = None
        problem = ""
        try:
            call = read_json(line)
        except ValueError as strict:
            problem = str(strict)
            with suppress(ValueError, RecursionError):  # the tool's name may be readable nevertheless
                call = json.loads(line)
        name = call.get("tool") if isinstance(call, dict) else None
        arguments = call.get("arguments") if isinstance(call, dict) else None
        if problem or not (isinstance(name, str) and isinstance(arguments, dict)):
            problem = problem or 'a call is {"tool": NAME, "arguments": {…}}'
            yield name if isinstance(name, str) else "", f"{source}, line {number}: {problem}"
        else:
            yield name, arguments


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        value = read_json(text)
    except ValueError as exc:
        raise DataError(f"{where}: not JSON ({exc})") from exc
    if not isinstance(value, dict):
        raise DataError(f"{where}: should be a JSON object, but is {text.strip()[:60]}")
    return value
