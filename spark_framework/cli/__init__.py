"""The command line.

Each module registers the parsers of its commands. What a command needs is imported when it runs, so that help is fast.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence

from ..errors import UserError
from . import config, plugins, run, steptool, study, tools
from .options import add_disable

USER_ERROR = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 (done), 1 (a check failed, a tool returned an error), 2 (the user can fix it), 130
        (interrupted).
    """
    try:
        args = parser().parse_args(argv)
    except SystemExit as exc:  # argparse raises it after --help and after a wrong option
        return int(exc.code or 0)
    args.disable = [*args.disable, *args.disable_too]
    try:
        if args.disable:
            _check_disabled(args.disable)
        code: int = args.run(args)
        sys.stdout.flush()
    except UserError as exc:
        return _complain(str(exc))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `… | head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _complain(
            f"no space left for {exc.filename or 'the output'}: free some space, then run the command again"
        )
    return code


def parser() -> argparse.ArgumentParser:
    """The parser of the whole program."""
    program = argparse.ArgumentParser(
        prog="spark-framework",
        description="Teach language models to use many different tools, by step-wise offline reinforcement learning.",
    )
    add_disable(program, "disable")
    commands = program.add_subparsers(metavar="COMMAND", required=True)
    for family in (run, study, steptool, plugins, config, tools):
        family.register(commands)
    return program


def _check_disabled(names: list[str]) -> None:
    """Refuse names that are not installed: unlike a config or the environment, an option is written for this
    machine."""
    from ..host.discovery import scan

    scan().check_disabled(names)


def _complain(text: str) -> int:
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return USER_ERROR
