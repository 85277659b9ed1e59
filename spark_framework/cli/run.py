"""The commands that make a run: `quickstart`, `generate`, `train`, `export`, `evaluate`, `ladder`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .options import (
    Commands,
    add_command,
    add_config,
    add_judge_cost,
    add_run,
    open_host,
    positive,
    settings_with_batch,
)

_STAGE = "name of a stage in the run's config"


def register(commands: Commands) -> None:
    """Add the commands of this module."""
    command = add_command(
        commands, "quickstart", run_quickstart, "run all steps on a small example, on a laptop", settings=True
    )
    command.add_argument("--run", dest="folder", metavar="DIR", help="run folder to create")

    command = add_command(commands, "generate", run_generate, "generate and judge trajectories", settings=True)
    add_config(command)
    command.add_argument("--round", metavar="NAME", help="only this round")
    add_judge_cost(command)

    command = add_command(commands, "train", run_train, "train one stage of a run")
    add_run(command, "run folder, or the config file of a run without rounds")
    command.add_argument("--stage", required=True, metavar="S", help=_STAGE)
    command.add_argument("--dry-run", action="store_true", help="print rows, tokens, memory and FLOPs, then stop")

    command = add_command(commands, "export", run_export, "write a trained stage as a plain model folder")
    add_run(command)
    command.add_argument("--stage", required=True, metavar="S", help=_STAGE)
    command.add_argument("--to", required=True, metavar="DIR", help="folder to create; it must not exist yet")

    command = add_command(commands, "evaluate", run_evaluate, "evaluate one stage of a run")
    add_run(command)
    untrained = "; or the untrained model: `base` without tools, `tools` with tools"
    command.add_argument("--stage", required=True, metavar="S", help=_STAGE + untrained)
    command.add_argument("--questions", type=positive, metavar="N", help="only the first N questions")

    text = "generate, train and evaluate all stages of a config, and compare them"
    command = add_command(commands, "ladder", run_ladder, text, settings=True)
    add_config(command)
    command.add_argument("--seeds", type=positive, default=1, metavar="N", help="number of seeds (default 1)")


def run_quickstart(args: argparse.Namespace) -> int:
    """Run the ladder of the preset `quickstart` on one seed."""
    from ..config.files import preset

    overrides = [*args.set, *([f"run={json.dumps(args.folder)}"] if args.folder else [])]
    return _run_ladder(args, preset("quickstart"), overrides, seeds=1)


def run_generate(args: argparse.Namespace) -> int:
    """Generate and judge; prints the run folder, or the estimated cost of the judge."""
    from ..config.load import load_config
    from ..config.run import RunConfig
    from ..pipeline.estimate import forecast_rollouts
    from ..pipeline.generate import generate

    with open_host(args):
        config = load_config(args.config, RunConfig, settings_with_batch(args))
        print(forecast_rollouts(config, args.round) if args.estimate else generate(config, args.round))
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Train one stage; prints the adapter's folder, or the estimated cost of training."""
    from ..config.load import load_config
    from ..config.run import RunConfig
    from ..pipeline.train import plan, train
    from ..util.launcher import is_first

    with open_host(args):
        path = Path(args.folder)
        run = load_config(path, RunConfig) if path.is_file() else path
        result = plan(run, args.stage) if args.dry_run else train(run, args.stage)
        if is_first():
            print(result)
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Merge a stage's adapter into a plain model; prints its folder."""
    from ..pipeline.train import export

    with open_host(args):
        print(export(Path(args.folder), args.stage, args.to))
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Evaluate one stage; prints the figures as JSON."""
    from ..pipeline.evaluate import evaluate

    with open_host(args):
        print(json.dumps(evaluate(Path(args.folder), args.stage, args.questions), indent=2))
    return 0


def run_ladder(args: argparse.Namespace) -> int:
    """Compare the stages over one or several seeds."""
    return _run_ladder(args, args.config, args.set, args.seeds)


def _run_ladder(args: argparse.Namespace, config: str | Path, overrides: list[str], seeds: int) -> int:
    from ..config.load import load_config
    from ..config.run import RunConfig
    from ..studies.ladder import ladder

    with open_host(args):
        settings = load_config(config, RunConfig, overrides)
        ladder(settings, seeds, report=lambda line: print(line, flush=True))
        print(f"\nfigures: {settings.run / 'ladder.json'}")
    return 0
