"""`tools list`, `tools show` and `tools try`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..contracts import Tool, ToolContext
from ..errors import DataError, PluginError, UserError
from ..host.loading import Host
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
            cls = host.component_class("tool", f"{offer.distribution}/{offer.name}").cls
            rows.append((offer.name, " ".join(cast(type[Tool], cls).description.split())))
        except PluginError as exc:
            rows.append((offer.name, f"not usable: {exc}"))
    print(table(("name", "description"), rows))
    return 0


def show(args: argparse.Namespace) -> int:
    """Print one tool."""
    distribution, slash, name = args.name.rpartition("/")
    args.component = f"{distribution}{slash}tool.{name.removeprefix('tool.')}"
    return plugins.show(args)


def try_tool(args: argparse.Namespace) -> int:
    """Call one tool and print what a model would read, or answer the calls of a file line by line."""
    host = Host(args.disable)
    with ExitStack() as stack:

        @cache
        def tool(name: str) -> Tool:
            cls = host.component_class("tool", name).cls
            return cast(Tool, stack.enter_context(closing(cls())))

        if args.jsonl and args.name is None:
            for name, arguments in _calls(args.jsonl):
                built = tool(name)
                start = time.perf_counter()
                _, output = host.calls.call_tool(built, arguments, ToolContext())
                seconds = round(time.perf_counter() - start, 6)
                print(json.dumps({"tool": name, "output": output, "seconds": seconds}), flush=True)
            return 0
        if args.jsonl or args.arguments is None:
            raise UserError("write `tools try NAME JSON`, or `tools try --jsonl FILE`")
        ok, output = host.calls.call_tool(tool(args.name), _mapping(args.arguments, "the arguments"), ToolContext())
    print(output)
    return 0 if ok else 1


def _calls(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{source}: cannot be read as UTF-8 text ({exc})") from exc
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{source}, line {number}"
        if line.strip():
            call = _mapping(line, where)
            if not isinstance(call.get("tool"), str) or not isinstance(call.get("arguments"), dict):
                raise DataError(f'{where}: should be {{"tool": NAME, "arguments": {{…}}}}')
            yield call["tool"], call["arguments"]


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise DataError(f"{where}: not JSON ({exc})") from exc
    if not isinstance(value, dict):
        raise DataError(f"{where}: should be a JSON object, and is {text.strip()[:60]}")
    return value
