"""The commands that work: thin wrappers around the pipeline."""

from __future__ import annotations

import argparse
import json
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from .. import pipeline
from ..config import RunConfig, preset
from ..config_files import load_config
from ..errors import ConfigError
from ..host.loading import Host, using_host


def quickstart(args: argparse.Namespace) -> int:
    """All rounds and stages of the preset `quickstart`; prints each stage's figures as JSON."""
    overrides = [*args.set, *([f"run={json.dumps(args.folder)}"] if args.folder else [])]
    with using_host(Host(args.disable)):
        config = load_config(preset("quickstart"), RunConfig, overrides)
        figures = {}
        for kind, name in _in_order(config):
            print(f"{kind} {name}", file=sys.stderr)
            if kind == "round":
                pipeline.generate(config, name)
            else:
                pipeline.train(config.run, name)
                figures[name] = pipeline.evaluate(config.run, name)
    print(json.dumps(figures, indent=2))
    return 0


def generate(args: argparse.Namespace) -> int:
    """Generate and judge; prints the run folder."""
    with using_host(Host(args.disable)):
        print(pipeline.generate(load_config(args.config, RunConfig, args.set), args.round))
    return 0


def train(args: argparse.Namespace) -> int:
    """Train one stage; prints the adapter's folder."""
    with using_host(Host(args.disable)):
        print(pipeline.train(Path(args.folder), args.stage))
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Evaluate one stage; prints the figures as JSON."""
    with using_host(Host(args.disable)):
        print(json.dumps(pipeline.evaluate(Path(args.folder), args.stage, args.questions), indent=2))
    return 0


def ladder(args: argparse.Namespace) -> int:
    """Compare the stages over several seeds; prints the figures as JSON."""
    from ..studies import ladder as study

    with using_host(Host(args.disable)):
        config = load_config(args.config, RunConfig, args.set)
        print(json.dumps(study.ladder(config, args.seeds), indent=2))
    return 0


def _in_order(config: RunConfig) -> list[tuple[str, str]]:
    """Rounds and stages such that each comes after what it needs: a round's adapter, a stage's data and start."""
    order: TopologicalSorter[tuple[str, str]] = TopologicalSorter()
    for r in config.rollouts:
        order.add(("round", r.name), *([("stage", r.adapter)] if r.adapter else []))
    for name, stage in config.stages.items():
        order.add(("stage", name), ("round", stage.data), *([("stage", stage.init)] if stage.init else []))
    try:
        return list(order.static_order())
    except CycleError as exc:
        circle = " needs ".join(f"{kind} {name}" for kind, name in reversed(exc.args[1]))
        raise ConfigError(f"stages: {circle}, which is a circle") from exc
