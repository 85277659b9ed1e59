"""What is done with a run's stored candidates and scores: `rejudge`, `reselect`, `calibrate`, `study judges`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..host.manager import Host, using_host
from ..studies.calibrate import calibrate as fit
from ..studies.judge_sensitivity.study import estimate_study, study_judges
from ..studies.rejudge import estimate_rejudging
from ..studies.rejudge import rejudge as judge_again
from ..studies.reselect import reselect as select_again
from .run import with_batch


def rejudge(args: argparse.Namespace) -> int:
    """Score with another judge; prints where the verdicts are and what they cost, or will cost."""
    act = estimate_rejudging if args.estimate else judge_again
    with using_host(Host(args.disable)):
        print(act(args.folder, args.judge, name=args.name, repeat=args.repeat, overrides=with_batch(args)))
    return 0


def reselect(args: argparse.Namespace) -> int:
    """Select again; prints the tables."""
    with using_host(Host(args.disable)):
        done = select_again(
            args.folder, args.selector, args.threshold, judge=args.judge, name=args.name, overrides=args.set
        )
    print(done)
    return 0


def calibrate(args: argparse.Namespace) -> int:
    """Fit a judge's map; prints where it is and how good it is."""
    with using_host(Host(args.disable)):
        print(
            fit(
                args.folder,
                args.judge,
                against=args.against,
                output=args.output,
                questions=args.questions,
                overrides=args.set,
            )
        )
    return 0


def judges(args: argparse.Namespace) -> int:
    """Compare judges; prints the summary, or what it will cost."""
    named = Path(args.judges)
    chosen = named if named.suffix in (".yaml", ".yml", ".json") else args.judges.split(",")
    with using_host(Host(args.disable)):
        if args.estimate:
            print(estimate_study(args.folder, chosen, repeats=args.repeats, questions=args.questions))
            return 0
        study = study_judges(
            args.folder,
            chosen,
            repeats=args.repeats,
            questions=args.questions,
            report=lambda line: print(line, flush=True),
        )
    print(f"\ntables and plots: {study.folder}")
    return 0
