"""The commands that work: thin wrappers around the pipeline."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..config.load import load_config
from ..config.run import RunConfig, preset
from ..host.manager import Host, using_host
from ..pipeline import generate as pipeline
from ..pipeline.estimate import forecast_rollouts
from ..util.launcher import is_first


def quickstart(args: argparse.Namespace) -> int:
    """The ladder of the preset `quickstart`, on one seed."""
    overrides = [*args.set, *([f"run={json.dumps(args.folder)}"] if args.folder else [])]
    return _ladder(preset("quickstart"), overrides, args.disable, seeds=1)


def generate(args: argparse.Namespace) -> int:
    """Generate and judge; prints the run folder, or what the judge will cost."""
    with using_host(Host(args.disable)):
        config = load_config(args.config, RunConfig, with_batch(args))
        print(forecast_rollouts(config, args.round) if args.estimate else pipeline.generate(config, args.round))
    return 0


def with_batch(args: argparse.Namespace) -> list[str]:
    """All settings of a command that takes --set and --batch."""
    return [*args.set, *(["judging.batch=true"] if args.batch else [])]


def train(args: argparse.Namespace) -> int:
    """Train one stage; prints the adapter's folder, or what it will cost."""
    with using_host(Host(args.disable)):
        path = Path(args.folder)
        run = load_config(path, RunConfig) if path.is_file() else path
        result = pipeline.plan(run, args.stage) if args.dry_run else pipeline.train(run, args.stage)
        if is_first():
            print(result)
    return 0


def export(args: argparse.Namespace) -> int:
    """Merge a stage's adapter into a plain model; prints its folder."""
    with using_host(Host(args.disable)):
        print(pipeline.export(Path(args.folder), args.stage, args.to))
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Evaluate one stage; prints the figures as JSON."""
    with using_host(Host(args.disable)):
        print(json.dumps(pipeline.evaluate(Path(args.folder), args.stage, args.questions), indent=2))
    return 0


def ladder(args: argparse.Namespace) -> int:
    """Compare the stages over one or several seeds."""
    return _ladder(args.config, args.set, args.disable, args.seeds)


def _ladder(config: str | Path, overrides: list[str], disable: list[str], seeds: int) -> int:
    from ..studies.ladder import ladder

    with using_host(Host(disable)):
        settings = load_config(config, RunConfig, overrides)
        ladder(settings, seeds, report=lambda line: print(line, flush=True))
        print(f"\nfigures: {settings.run / 'ladder.json'}")
    return 0
