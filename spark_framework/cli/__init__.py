"""The command line. Only the parser is here; a command's module is imported when that command is chosen."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TypeAlias

from ..errors import UserError

USER_ERROR = 2
INTERRUPTED = 130
KINDS = ("tool", "judge", "selector", "reward", "algorithm")
_KINDS = "tool, judge, selector, reward or algorithm"
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 (the answer is no), 2 (the user can mend it), 130 (interrupted)."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as exc:  # argparse ends the program after --help and after a wrong option
        return int(exc.code or 0)
    args.disable = [*args.disable, *args.disable_too]
    module, function = args.run.split(":")
    try:
        if args.disable:
            _check_disabled(args.disable)
        code: int = getattr(import_module(f".{module}", __name__), function)(args)
        sys.stdout.flush()
    except UserError as exc:
        return _complain(str(exc))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _complain(f"no space left for {exc.filename or 'the output'}: free some, then run the command again")
    return code


def _check_disabled(names: list[str]) -> None:
    """Unlike a config and the environment, which serve several machines, a typed option has to mean something here."""
    from ..host.discovery import scan

    scan().check_disabled(names)


def _complain(text: str) -> int:
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return USER_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spark-framework",
        description="Teach language models to use many different tools, by step-wise offline reinforcement learning.",
    )
    _add_disable(parser, "disable")
    anywhere = argparse.ArgumentParser(add_help=False)
    _add_disable(anywhere, "disable_too")
    overrides = argparse.ArgumentParser(add_help=False)
    overrides.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting, like judge.model=gpt-4o"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: str, text: str, *, to: _Commands, settings: bool = False) -> argparse.ArgumentParser:
        parents = [anywhere, overrides] if settings else [anywhere]
        command = to.add_parser(name, help=text, description=text, parents=parents)
        command.set_defaults(run=run)
        return command

    def group(name: str, text: str) -> _Commands:
        return commands.add_parser(name, help=text, description=text).add_subparsers(metavar="COMMAND", required=True)

    command = add("quickstart", "run:quickstart", "the whole loop in small, on a laptop", to=commands, settings=True)
    command.add_argument("--run", dest="folder", metavar="DIR", help="run folder to make")
    command = add("generate", "run:generate", "generate and judge trajectories", to=commands, settings=True)
    command.add_argument("config", metavar="CONFIG", help="config file (YAML)")
    command.add_argument("--round", metavar="NAME", help="only this round")
    _add_spending(command)
    command = add("train", "run:train", "train one stage of a run", to=commands)
    command.add_argument("folder", metavar="RUN", help="run folder, or the config file of a run without rounds")
    command.add_argument("--stage", required=True, metavar="S", help="stage of the run's config")
    command.add_argument("--dry-run", action="store_true", help="print rows, tokens, memory and FLOPs, and stop")
    command = add("export", "run:export", "write a trained stage as a plain model folder", to=commands)
    command.add_argument("folder", metavar="RUN", help="run folder")
    command.add_argument("--stage", required=True, metavar="S", help="stage of the run's config")
    command.add_argument("--to", required=True, metavar="DIR", help="folder to make; it must not exist yet")
    command = add("evaluate", "run:evaluate", "evaluate one stage of a run", to=commands)
    command.add_argument("folder", metavar="RUN", help="run folder")
    command.add_argument("--stage", required=True, metavar="S", help="stage of the run's config")
    command.add_argument("--questions", type=_positive, metavar="N", help="only the first N questions")
    command = add("ladder", "run:ladder", "compare the stages over several seeds", to=commands, settings=True)
    command.add_argument("config", metavar="CONFIG", help="config file (YAML)")
    command.add_argument("--seeds", type=_positive, default=1, metavar="N", help="number of seeds (default 1)")

    command = add("rejudge", "study:rejudge", "score stored candidates with another judge", to=commands, settings=True)
    command.add_argument("folder", metavar="RUN", help="run folder")
    command.add_argument("--judge", required=True, metavar="X", help="judge; its settings: --set judge.KEY=VALUE")
    command.add_argument("--name", metavar="NAME", help="of RUN/rejudged/NAME.jsonl (default: the judge's name)")
    command.add_argument(
        "--repeat", type=int, default=0, metavar="K", help="K-th repeat, in another order (default 0: as the run asked)"
    )
    _add_spending(command)
    command = add(
        "reselect", "study:reselect", "replay another selection from stored scores", to=commands, settings=True
    )
    command.add_argument("folder", metavar="RUN", help="run folder")
    command.add_argument("--selector", metavar="S", help="selector; its settings: --set selector.KEY=VALUE")
    command.add_argument("--threshold", type=float, metavar="T", help="viable above it (default: the run's)")
    command.add_argument("--judge", metavar="NAME", help="scores of RUN/rejudged/NAME.jsonl (default: the run's own)")
    command.add_argument("--name", metavar="NAME", help="of RUN/reselected/NAME.jsonl (default: from the settings)")

    command = add(
        "calibrate", "study:calibrate", "fit a local judge's raw values to another judge's scores",
        to=commands, settings=True,
    )  # fmt: skip
    command.add_argument("folder", metavar="RUN", help="run folder")
    command.add_argument("--judge", required=True, metavar="X", help="judge; its settings: --set judge.KEY=VALUE")
    command.add_argument("--against", metavar="NAME", help="scores of RUN/rejudged/NAME.jsonl (default: the run's own)")
    command.add_argument("--output", metavar="FILE", help="map to write (default: RUN/calibration/X.json)")
    _add_questions(command)

    study = group("study", "what a choice does to the results")
    command = add("judges", "study:judges", "compare judges on a run: scores, decisions, selections, rewards", to=study)
    command.add_argument("folder", metavar="RUN", help="run folder")
    command.add_argument(
        "--judges", required=True, metavar="A,B|FILE", help="judges, or a YAML file with labels and configured judges"
    )
    command.add_argument(
        "--repeats", type=_positive, default=2, metavar="R", help="how often each one is asked (default 2)"
    )
    _add_questions(command)
    command.add_argument("--estimate", action="store_true", help="print what it will cost, and stop")

    steptool = group("steptool", "StepTool's files, figures and recorded numbers")
    command = add("import", "steptool:import_", "read its CSV, predictions and annotations into a folder", to=steptool)
    command.add_argument("files", nargs="+", metavar="FILE", help="CSV, or JSON with predictions or annotations")
    command.add_argument("--to", required=True, metavar="DIR", help="folder of imported trajectories")
    command = add("export", "steptool:export", "write trajectories in its formats", to=steptool, settings=True)
    _add_trajectories(command, "stage of a run: its data, filters and rewards")
    command.add_argument("--to", required=True, metavar="FILE", help="file to write")
    command.add_argument(
        "--as", dest="sort", choices=("csv", "predictions", "annotations"), default="csv", help="format (default csv)"
    )
    command.add_argument(
        "--style",
        choices=("qwen2", "llama3-1", "toolllama"),
        default="qwen2",
        help="csv: chat template (default qwen2)",
    )
    command.add_argument(
        "--alpha", type=float, default=1.0, metavar="A", help="csv: weight of SuccCalling (default 1, the released one)"
    )
    command = add("evaluate", "steptool:evaluate", "pass rate, successful calls, recall", to=steptool, settings=True)
    _add_trajectories(command, "stage of a run: its evaluation")
    command.add_argument("--needed", metavar="FILE", help="JSON: the names of the needed tools for each query's id")
    command = add("check", "steptool:check", "compare recorded numbers with `compat: released`", to=steptool)
    command.add_argument("file", metavar="FIXTURES", help="JSON file of recordings")
    command.add_argument(
        "--data", metavar="DIR", help="clone of StepTool, or folder with its CSVs (default: beside it)"
    )

    plugins = group("plugins", "what is installed")
    command = add("list", "plugins:list_offers", "all installed components, without importing any", to=plugins)
    command.add_argument("--json", action="store_true", help="print JSON")
    command = add("show", "plugins:show", "one component: what it does, its settings, its origin", to=plugins)
    command.add_argument("component", metavar="NAME", help="NAME or KIND.NAME, like judge.gpt4o")
    command = add("new", "scaffold:new", "write a plugin to start from: a distribution with its tests", to=plugins)
    command.add_argument("kind", choices=KINDS, metavar="KIND", help=_KINDS)
    command.add_argument("name", metavar="NAME", help="the component's name, like word_count")
    command.add_argument("--to", default=".", metavar="DIR", help="folder to make it in (default: this one)")
    command = add("check", "plugins:check", "check one component without its author's tests", to=plugins)
    command.add_argument("component", metavar="NAME", help="NAME or KIND.NAME, like judge.gpt4o")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the component")
    _add_timeout(command, "for all checks")
    command = add("doctor", "plugins:doctor", "load each plugin in its own process; what is wrong?", to=plugins)
    _add_timeout(command, "for each plugin")

    config = group("config", "config files")
    add("schema", "config:schema", "the JSON schema of a config file", to=config)
    command = add("check", "config:check", "check a config file and the plugins that it uses", to=config, settings=True)
    command.add_argument("config", metavar="FILE", help="config file (YAML)")

    tools = group("tools", "the tools a policy can call")
    add("list", "tools:list_tools", "all tools with their descriptions", to=tools)
    command = add("show", "tools:show", "one tool: description, arguments, settings", to=tools)
    command.add_argument("name", metavar="NAME")
    command = add("try", "tools:try_tool", "call a tool by hand, or many from a file", to=tools)
    command.add_argument("name", nargs="?", metavar="NAME", help="a tool, or TOOLSET:TOOL")
    command.add_argument("arguments", nargs="?", metavar="JSON", help="""like '{"expression": "2^10"}'""")
    command.add_argument("--jsonl", metavar="FILE", help='lines {"tool": …, "arguments": {…}}; - is standard input')
    command.add_argument(
        "--config", metavar="FILE", help="the tools, permissions and recorded replies of a run's config"
    )
    _add_settings(command)
    command = add("prepare", "tools:prepare", "build a tool's index, try its connections", to=tools)
    command.add_argument("name", metavar="NAME")
    _add_settings(command)
    return parser


def _add_trajectories(parser: argparse.ArgumentParser, stage: str) -> None:
    parser.add_argument("folder", metavar="DIR", help="run folder, or folder of imported trajectories")
    parser.add_argument("--stage", metavar="S", help=stage)
    parser.add_argument("--round", metavar="NAME", help="round of trajectories")
    parser.add_argument("--judge", metavar="X", help="annotate with this judge; settings: --set judge.KEY=VALUE")
    parser.add_argument("--repeats", type=_positive, default=3, metavar="R", help="how often it is asked (default 3)")


def _add_spending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--estimate", action="store_true", help="print calls, tokens and price, and stop")
    parser.add_argument("--batch", action="store_true", help="the same as --set judging.batch=true")


def _add_questions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=_positive, metavar="N", help="only N questions, evenly from all categories")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the tool")
    parser.add_argument(
        "--allow", action="append", default=[], choices=("network", "filesystem"), help="a permission for the tool"
    )


def _add_timeout(parser: argparse.ArgumentParser, of: str) -> None:
    parser.add_argument("--timeout", type=_positive, default=60, metavar="S", help=f"seconds {of} (default 60)")


def _add_disable(parser: argparse.ArgumentParser, dest: str) -> None:
    parser.add_argument(
        "-p",
        dest=dest,
        action="append",
        default=[],
        type=_no,
        metavar="no:KIND.NAME",
        help="run without this plugin (repeatable); no:DISTRIBUTION/KIND.NAME where two offer it",
    )


def _no(text: str) -> str:
    word, _, key = text.partition(":")
    if word != "no" or not key:
        raise argparse.ArgumentTypeError(f"{text!r}: write no:KIND.NAME, like no:judge.gpt4o")
    return key


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)
