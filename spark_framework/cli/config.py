"""`config schema` and `config check`."""

from __future__ import annotations

import argparse
import json

from ..host.manager import Host, using_host


def schema(args: argparse.Namespace) -> int:
    """Print the JSON schema of a config file."""
    from ..config.run import RunConfig

    print(json.dumps(RunConfig.model_json_schema(), indent=2))
    return 0


def check(args: argparse.Namespace) -> int:
    """Check a config file; every plugin that it uses is loaded."""
    from ..config.load import load_config
    from ..config.run import RunConfig

    with using_host(Host(args.disable)):
        load_config(args.config, RunConfig, args.set)
    print(f"{args.config}: good")
    return 0
