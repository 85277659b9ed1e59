"""`spark-framework steptool`: StepTool's files and figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .options import Commands, add_command, add_group, open_host, positive

if TYPE_CHECKING:
    from ..steptool.commands import Judging


def register(commands: Commands) -> None:
    """Add the commands of this module."""
    steptool = add_group(commands, "steptool", "read, write and evaluate StepTool's files")

    text = "read StepTool's CSV, predictions and annotations into a folder"
    command = add_command(steptool, "import", run_import, text)
    command.add_argument("files", nargs="+", metavar="FILE", help="CSV, or JSON with predictions or annotations")
    command.add_argument("--to", required=True, metavar="DIR", help="folder for the imported trajectories")

    command = add_command(steptool, "export", run_export, "write trajectories in StepTool's formats", settings=True)
    _add_trajectories(command, "stage of a run; exports its data, with its filters and rewards")
    command.add_argument("--to", required=True, metavar="FILE", help="file to write")
    formats = ("csv", "predictions", "annotations")
    command.add_argument("--as", dest="sort", choices=formats, default="csv", help="format (default csv)")
    styles = ("qwen2", "llama3-1", "toolllama")
    command.add_argument("--style", choices=styles, default="qwen2", help="csv: chat template (default qwen2)")
    alpha = "csv: weight of SuccCalling (default 1, as released)"
    command.add_argument("--alpha", type=float, default=1.0, metavar="A", help=alpha)

    text = "compute pass rate, success rate of calls, and recall of needed tools"
    command = add_command(steptool, "evaluate", run_evaluate, text, settings=True)
    _add_trajectories(command, "stage of a run; reads its evaluation")
    command.add_argument("--needed", metavar="FILE", help="JSON file: names of the needed tools by query id")


def _add_trajectories(parser: argparse.ArgumentParser, stage: str) -> None:
    parser.add_argument("folder", metavar="DIR", help="run folder, or folder of imported trajectories")
    parser.add_argument("--stage", metavar="S", help=stage)
    parser.add_argument("--round", metavar="NAME", help="round of trajectories")
    judge = "annotate with this judge; change its settings with --set judge.KEY=VALUE"
    parser.add_argument("--judge", metavar="X", help=judge)
    repeats = "number of times the judge rates each trajectory (default 3)"
    parser.add_argument("--repeats", type=positive, default=3, metavar="R", help=repeats)


def run_import(args: argparse.Namespace) -> int:
    """Read StepTool's files into a folder; prints the rounds."""
    from ..steptool.collection import import_files

    for name, count in import_files(map(Path, args.files), Path(args.to)).items():
        print(f"{args.to}: round {name}, {count} trajectories")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write trajectories in one of StepTool's formats; prints how many."""
    from ..steptool.commands import export_trajectories

    with open_host(args):
        count = export_trajectories(
            args.folder, Path(args.to), sort=args.sort, stage=args.stage, round_name=args.round, style=args.style,
            alpha=args.alpha, judging=_judging(args),
        )  # fmt: skip
    print(f"{args.to}: {count} {'rows' if args.sort == 'csv' else 'queries'}")
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Compute StepTool's metrics; prints them as JSON."""
    from ..steptool.commands import evaluate_trajectories
    from ..steptool.metrics import read_needed

    needed = read_needed(Path(args.needed)) if args.needed else None
    with open_host(args):
        figures = evaluate_trajectories(
            args.folder, stage=args.stage, round_name=args.round, judging=_judging(args), needed=needed
        )
    print(json.dumps(figures, indent=2))
    return 0


def _judging(args: argparse.Namespace) -> Judging | None:
    from ..steptool.commands import Judging

    return Judging(args.judge, args.repeats, args.set) if args.judge else None
