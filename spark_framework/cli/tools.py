"""`tools list`, `tools show`, `tools try` and `tools prepare`."""

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
from ..errors import ConfigError, DataError, PluginError, UserError
from ..host.component_spec import Choice, ToolChoice
from ..host.lifecycle import check_permissions, open_tools
from ..host.manager import Host, using_host
from ..util.strict_json import read_json
from . import plugins
from .tables import table


def list_tools(args: argparse.Namespace) -> int:
    """Print every tool with its description; a broken one is a row like the others."""
    host = Host(args.disable)
    rows = []
    for offer in host.inventory.offers:
        if offer.kind != "tool":
            continue
        try:
            cls: Any = host.component_class("tool", f"{offer.distribution}/{offer.name}").cls
            rows.append((offer.name, " ".join(cls.description.split())))
        except PluginError as exc:
            rows.append((offer.name, f"not usable: {exc}"))
    print(table(("name", "description"), rows))
    return 0


def show(args: argparse.Namespace) -> int:
    """Print one tool."""
    distribution, slash, name = args.name.rpartition("/")
    args.component = f"{distribution}{slash}tool.{name.removeprefix('tool.')}"
    return plugins.show(args)


def prepare(args: argparse.Namespace) -> int:
    """Build what a tool needs on disk, try its connections, and print what a policy would see of it."""
    with using_host(Host(args.disable)), open_tools([_choice(args.name, args.set, args.allow)]) as tools:
        for tool in tools:
            print(f"{tool.name}: {' '.join(tool.description.split())}\n  fingerprint {tool.fingerprint()}")
    return 0


def try_tool(args: argparse.Namespace) -> int:
    """Call one tool and print what a model would read, or answer the calls of a file line by line."""
    if (args.jsonl is None) == (args.name is None) or (args.arguments is None) != (args.name is None):
        raise UserError("write `tools try NAME JSON`, or `tools try --jsonl FILE`")
    if args.set and (args.config or args.jsonl):
        raise UserError("--set belongs to `tools try NAME JSON`; settings for a file of calls go into --config FILE")
    with using_host(Host(args.disable)) as host, ExitStack() as stack:
        shelf = _Shelf(stack, args)
        if args.jsonl:
            for name, arguments in _calls(args.jsonl):
                answer = _answer(host, shelf, name, arguments)
                print(json.dumps({"tool": name or None, **answer}), flush=True)
            return 0
        arguments = _mapping(args.arguments, "the arguments")
        ok, output = host.calls.call_tool(shelf.find(args.name), arguments, ToolContext())
    print(output)
    return 0 if ok else 1


class _Shelf:
    """The tools by name: those of a config file, or any that is installed, opened when it is first called."""

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
            choice = _choice(toolset, self._args.set, self._args.allow)
            found = {tool.name: tool for tool in self._stack.enter_context(open_tools([choice]))}
            if inner not in found and issubclass(choice.cls, Toolset):
                raise ConfigError(f"write {toolset}:TOOL; its tools are {', '.join(found)}")
            self._tools[name] = found[inner or toolset.rpartition("/")[2]]
        return self._tools[name]


class _OneTool(BaseModel):
    tool: ToolChoice


def _choice(name: str, settings: list[str], allowed: list[str]) -> Choice:
    prefixed = [f"tool.{setting}" for setting in settings]
    choice: Choice = build_config({"tool": {"use": name}}, _OneTool, prefixed, "--set").tool
    try:
        check_permissions(choice, allowed)
    except ConfigError as exc:
        permissions = " ".join(f"--allow {word}" for word in sorted(choice.build().needs))  # type: ignore[attr-defined]
        raise ConfigError(f"{str(exc).partition(';')[0]}; add {permissions}") from exc
    return choice


@contextmanager
def _tools_of(path: str) -> Iterator[dict[str, Tool]]:
    """The tools of a run's config file, with its permissions and its recorded replies."""
    from ..config.run import RunConfig
    from ..host.manager import current_host
    from ..host.tool_cache import open_replies
    from ..runs.run_dir import RunFolder

    config = load_config(path, RunConfig)
    replies = RunFolder(config.run, config).replies()
    with ExitStack() as stack:
        tools = stack.enter_context(open_tools(config.tools))
        if any("network" in tool.needs for tool in tools):
            cache = stack.enter_context(open_replies(replies, config.replies.mode))
            stack.enter_context(current_host().calls.recorded(cache))
        yield {tool.name: tool for tool in tools}


def _answer(host: Host, shelf: _Shelf, name: str, arguments: dict[str, Any] | str) -> dict[str, Any]:
    """What a line of the file gets: every call gets an answer, also one that cannot be made."""
    start = time.perf_counter()
    try:
        if isinstance(arguments, str):
            raise UserError(arguments)
        tool = shelf.find(name)
        start = time.perf_counter()
        _, output = host.calls.call_tool(tool, arguments, ToolContext())
    except UserError as exc:
        output = f"error: {exc}"
    return {"output": output, "seconds": round(time.perf_counter() - start, 6)}


def _calls(source: str) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(tool, arguments) of each line; of a line that is no call, the tool if it can be read, and what is wrong."""
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
            with suppress(ValueError, RecursionError):  # the tool's name may be read all the same
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
        raise DataError(f"{where}: should be a JSON object, and is {text.strip()[:60]}")
    return value
