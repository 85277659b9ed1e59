"""`tools list`, `tools show`, `tools try` and `tools prepare`."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import PluginError, UserError
from . import plugins
from .options import Commands, add_command, add_group, add_set, open_host


def register(commands: Commands) -> None:
    """Add the commands of this module."""
    tools = add_group(commands, "tools", "list, try and prepare the tools that a policy can call")
    add_command(tools, "list", run_list, "list all tools with their descriptions")

    command = add_command(tools, "show", run_show, "show a tool's description, arguments and settings")
    command.add_argument("name", metavar="NAME", help="name of the tool")

    command = add_command(tools, "try", run_try, "call a tool by hand, or make many calls from a file")
    command.add_argument("name", nargs="?", metavar="NAME", help="name of the tool, or TOOLSET:TOOL")
    command.add_argument("arguments", nargs="?", metavar="JSON", help="""like '{"expression": "2^10"}'""")
    lines = 'file of calls, one {"tool": …, "arguments": {…}} on each line; - is standard input'
    command.add_argument("--jsonl", metavar="FILE", help=lines)
    config = "take tools, permissions and recorded replies from this config file"
    command.add_argument("--config", metavar="FILE", help=config)
    _add_settings(command)

    command = add_command(tools, "prepare", run_prepare, "build a tool's index and try its connections")
    command.add_argument("name", metavar="NAME", help="name of the tool")
    _add_settings(command)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add_set(parser, "change a setting of the tool")
    permissions = ("network", "filesystem")
    parser.add_argument("--allow", action="append", default=[], choices=permissions, help="give the tool a permission")


def run_list(args: argparse.Namespace) -> int:
    """Print every tool with its description, including broken ones."""
    from ..host.manager import Host
    from ..stats.tables import plain_table

    host = Host(args.disable)
    rows = []
    for entry in host.installed.entry_points:
        if entry.kind != "tool":
            continue
        try:
            cls: Any = host.component_class("tool", f"{entry.distribution}/{entry.name}").cls
            rows.append((entry.name, " ".join(cls.description.split())))
        except PluginError as exc:
            rows.append((entry.name, f"not usable: {exc}"))
    print(plain_table(("name", "description"), rows))
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print one tool."""
    distribution, slash, name = args.name.rpartition("/")
    args.component = f"{distribution}{slash}tool.{name.removeprefix('tool.')}"
    return plugins.run_show(args)


def run_prepare(args: argparse.Namespace) -> int:
    """Build a tool's files, try its connections, and print its name, description and fingerprint."""
    from ..host.lifecycle import open_tools
    from .tool_calls import tool_spec

    with open_host(args), open_tools([tool_spec(args.name, args.set, args.allow)]) as tools:
        for tool in tools:
            print(f"{tool.name}: {' '.join(tool.description.split())}\n  fingerprint {tool.fingerprint()}")
    return 0


def run_try(args: argparse.Namespace) -> int:
    """Call one tool and print what a model would read, or answer the calls of a file line by line."""
    if (args.jsonl is None) == (args.name is None) or (args.arguments is None) != (args.name is None):
        raise UserError("write `tools try NAME JSON`, or `tools try --jsonl FILE`")
    if args.set and (args.config or args.jsonl):
        raise UserError("--set works with `tools try NAME JSON` only; put the settings into a file: --config FILE")
    from .tool_calls import answer_calls, call_tool

    with open_host(args) as host:
        if args.jsonl:
            answer_calls(host, args)
            return 0
        ok, output = call_tool(host, args)
    print(output)
    return 0 if ok else 1
