"""The commands that reuse a run's stored candidates and scores: `rejudge`, `reselect`, `calibrate`, `study judges`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import (
    Commands,
    add_command,
    add_group,
    add_judge_cost,
    add_questions,
    add_run,
    open_host,
    positive,
    settings_with_batch,
)

_JUDGE = "name of the judge; change its settings with --set judge.KEY=VALUE"
_SCORES = "use the scores in RUN/rejudged/NAME.jsonl (default: the run's own)"


def register(commands: Commands) -> None:
    """Add the commands of this module."""
    command = add_command(commands, "rejudge", run_rejudge, "score stored candidates with another judge", settings=True)
    add_run(command)
    command.add_argument("--judge", required=True, metavar="X", help=_JUDGE)
    command.add_argument("--name", metavar="NAME", help="write RUN/rejudged/NAME.jsonl (default: the judge's name)")
    repeat = "number of the repeat; each shows candidates in another order (default 0: the run's order)"
    command.add_argument("--repeat", type=int, default=0, metavar="K", help=repeat)
    add_judge_cost(command)

    text = "replay the selection with stored scores and another selector, threshold or judge"
    command = add_command(commands, "reselect", run_reselect, text, settings=True)
    add_run(command)
    selector = "name of the selector; change its settings with --set selector.KEY=VALUE"
    command.add_argument("--selector", metavar="S", help=selector)
    threshold = "a candidate is viable if its score is above T (default: the run's threshold)"
    command.add_argument("--threshold", type=float, metavar="T", help=threshold)
    command.add_argument("--judge", metavar="NAME", help=_SCORES)
    name = "write RUN/reselected/NAME.jsonl (default: a name made from the settings)"
    command.add_argument("--name", metavar="NAME", help=name)

    text = "fit a local judge's raw values to another judge's scores"
    command = add_command(commands, "calibrate", run_calibrate, text, settings=True)
    add_run(command)
    command.add_argument("--judge", required=True, metavar="X", help=_JUDGE)
    command.add_argument("--against", metavar="NAME", help=_SCORES)
    command.add_argument("--output", metavar="FILE", help="file to write (default: RUN/calibration/X.json)")
    add_questions(command)

    study = add_group(commands, "study", "measure how a choice changes the results")
    text = "compare judges on one run: scores, decisions, selections, rewards"
    command = add_command(study, "judges", run_judges, text)
    add_run(command)
    judges = "names of judges, or a YAML file that maps labels to judges"
    command.add_argument("--judges", required=True, metavar="A,B|FILE", help=judges)
    repeats = "number of times each judge scores a step (default 2)"
    command.add_argument("--repeats", type=positive, default=2, metavar="R", help=repeats)
    add_questions(command)
    command.add_argument("--estimate", action="store_true", help="print calls, tokens and price, then stop")


def run_rejudge(args: argparse.Namespace) -> int:
    """Score with another judge; prints the file of the verdicts and their cost, or the estimated cost."""
    from ..studies.rejudge import estimate_rejudging, rejudge

    act = estimate_rejudging if args.estimate else rejudge
    with open_host(args):
        print(act(args.folder, args.judge, name=args.name, repeat=args.repeat, overrides=settings_with_batch(args)))
    return 0


def run_reselect(args: argparse.Namespace) -> int:
    """Select again; prints the tables."""
    from ..studies.reselect import reselect

    with open_host(args):
        print(
            reselect(args.folder, args.selector, args.threshold, judge=args.judge, name=args.name, overrides=args.set)
        )
    return 0


def run_calibrate(args: argparse.Namespace) -> int:
    """Fit a judge's calibration map; prints its file and how well it fits."""
    from ..studies.calibrate import calibrate

    with open_host(args):
        done = calibrate(
            args.folder, args.judge, against=args.against, output=args.output, questions=args.questions,
            overrides=args.set,
        )  # fmt: skip
    print(done)
    return 0


def run_judges(args: argparse.Namespace) -> int:
    """Compare judges; prints the summary, or the estimated cost."""
    from ..studies.judge_sensitivity.study import estimate_study, study_judges

    file = Path(args.judges)
    judges = file if file.suffix in (".yaml", ".yml", ".json") else args.judges.split(",")
    sizes = {"repeats": args.repeats, "questions": args.questions}
    with open_host(args):
        if args.estimate:
            print(estimate_study(args.folder, judges, **sizes))
            return 0
        study = study_judges(args.folder, judges, **sizes, report=lambda line: print(line, flush=True))
    print(f"\ntables and plots: {study.folder}")
    return 0
