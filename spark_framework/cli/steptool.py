"""`spark-framework steptool`: StepTool's files and figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..host.manager import Host, using_host
from ..steptool.commands import Judging, evaluate_trajectories, export_trajectories


def import_(args: argparse.Namespace) -> int:
    """Read StepTool's files into a folder; prints the rounds."""
    from ..steptool.collection import import_files

    for name, count in import_files(map(Path, args.files), Path(args.to)).items():
        print(f"{args.to}: round {name}, {count} trajectories")
    return 0


def export(args: argparse.Namespace) -> int:
    """Write trajectories in one of StepTool's formats; prints how many."""
    with using_host(Host(args.disable)):
        count = export_trajectories(
            args.folder, Path(args.to), sort=args.sort, stage=args.stage, round_name=args.round, style=args.style,
            alpha=args.alpha, judging=_judging(args),
        )  # fmt: skip
    print(f"{args.to}: {count} {'rows' if args.sort == 'csv' else 'queries'}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Prints the figures as JSON."""
    from ..steptool.metrics import read_needed

    needed = read_needed(Path(args.needed)) if args.needed else None
    with using_host(Host(args.disable)):
        figures = evaluate_trajectories(
            args.folder, stage=args.stage, round_name=args.round, judging=_judging(args), needed=needed
        )
    print(json.dumps(figures, indent=2))
    return 0


def _judging(args: argparse.Namespace) -> Judging | None:
    return Judging(args.judge, args.repeats, args.set) if args.judge else None
