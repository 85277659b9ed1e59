"""Helpers to add commands and options, and to open the plugin host. Only argparse is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ..host.manager import Host

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str, *, settings: bool = False
) -> argparse.ArgumentParser:
    """Add a command to the program or to a group.

    Args:
        run: does the work and returns the exit code. It imports what it needs itself.
        text: one line of help.
        settings: also take `--set KEY=VALUE`.
    """
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    add_disable(command, "disable_too")
    if settings:
        add_set(command, "change one setting, like judge.model=gpt-4o")
    return command


def add_group(commands: Commands, name: str, text: str) -> Commands:
    """Add a command that has subcommands."""
    return commands.add_parser(name, help=text, description=text).add_subparsers(metavar="COMMAND", required=True)


def add_run(parser: argparse.ArgumentParser, text: str = "run folder") -> None:
    """Add the positional argument RUN."""
    parser.add_argument("folder", metavar="RUN", help=text)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument CONFIG."""
    parser.add_argument("config", metavar="CONFIG", help="config file (YAML)")


def add_set(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the option --set."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=text)


def add_disable(parser: argparse.ArgumentParser, dest: str) -> None:
    """Add the option -p."""
    text = "disable a plugin (repeatable); write no:DISTRIBUTION/KIND.NAME if two distributions provide it"
    parser.add_argument(
        "-p", dest=dest, action="append", default=[], type=_disabled, metavar="no:KIND.NAME", help=text
    )  # fmt: skip


def add_judge_cost(parser: argparse.ArgumentParser) -> None:
    """Add the options --estimate and --batch."""
    parser.add_argument("--estimate", action="store_true", help="print calls, tokens and price, then stop")
    parser.add_argument("--batch", action="store_true", help="same as --set judging.batch=true")


def add_questions(parser: argparse.ArgumentParser) -> None:
    """Add the option --questions, for commands that sample a run's questions."""
    parser.add_argument(
        "--questions", type=positive, metavar="N", help="use only N questions, evenly from all categories"
    )


def settings_with_batch(args: argparse.Namespace) -> list[str]:
    """The settings of a command that takes --set and --batch."""
    return [*args.set, *(["judging.batch=true"] if args.batch else [])]


def open_host(args: argparse.Namespace) -> AbstractContextManager[Host]:
    """The plugin host of a command, current while the block lasts, without the plugins that -p disables."""
    from ..host.manager import Host, using_host

    return using_host(Host(args.disable))


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _disabled(text: str) -> str:
    word, _, key = text.partition(":")
    if word != "no" or not key:
        raise argparse.ArgumentTypeError(f"{text!r}: write no:KIND.NAME, like no:judge.gpt4o")
    return key
